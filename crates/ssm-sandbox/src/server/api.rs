//! The HTTP endpoint: STS, IAM, EC2 and Systems Manager at one address, distinguished by the request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::control;
use crate::accept::accept;
use crate::account::AuthError;
use crate::clock::{FURTHEST, http_date};
use crate::services::query::{Form, Service};
use crate::services::response::ServiceResponse;
use crate::services::{ec2, iam, query, ssm, sts};
use crate::sigv4;
use crate::state::State;
use crate::state::faults::ApiFault;
use crate::state::requests::{RecordedParameters, RequestOutcome};

const MAX_BODY: usize = 1 << 20;
/// Maximum bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// Connections that are served at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 512;
/// Time allowed for a request's head, and for a connection to stay idle: longer than clients keep
/// an idle one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// Time allowed for a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    let connection = |tcp| serve_connection(tcp, state.clone());
    accept(listener, MOST_CONNECTIONS, connection).await;
}

async fn serve_connection(tcp: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { answer(&state, request).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(tcp), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "API connection ended");
    }
}

/// The connection is dropped without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the response was dropped as a fault demanded")]
struct Dropped;

async fn answer(
    state: &Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    if state.control
        && let Some((status, body)) = control::answer(state, &head)
    {
        return Ok(plain(status, body));
    }
    let read = Limited::new(body, MAX_BODY).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the sandbox reads at most {MAX_BODY} bytes\n");
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Ok(Err(_)) | Err(_) => return Err(Dropped),
    };
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let call = match target {
        Some(target) => Call::Ssm {
            action: target
                .strip_prefix("AmazonSSM.")
                .unwrap_or(target)
                .to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        },
        None => Call::query(&body),
    };
    let fault = state.take_fault(call.action());
    let refusal = match &fault {
        Some(ApiFault::Throttle) => Some(("ThrottlingException", "Rate exceeded")),
        Some(ApiFault::Refuse { code, message }) => Some((code.as_str(), message.as_str())),
        _ => None,
    };
    if let Some((code, message)) = refusal {
        let answer = call.error(StatusCode::BAD_REQUEST, code, message);
        return Ok(respond(state, &call, None, answer, Duration::ZERO));
    }
    let request = sigv4::Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
        service: call.service(),
    };
    let mut key = None;
    let authenticated = state.authenticate(&request, &mut key);
    let answer = match authenticated {
        Ok(caller) => match &call {
            Call::Ssm { action, .. } => ssm::answer(state, &caller, action, &body),
            Call::Query(service, form) if *service == query::IAM => {
                iam::answer(state, &caller, form)
            }
            Call::Query(service, form) if *service == query::EC2 => {
                ec2::answer(state, &caller, form)
            }
            Call::Query(_, form) => sts::answer(state, &caller, form),
        },
        Err(error) => call.refuse(&error),
    };
    match fault {
        Some(ApiFault::ErrorAfterHandling) => {
            let answer = call.error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "We encountered an internal error.",
            );
            Ok(respond(state, &call, key, answer, Duration::ZERO))
        }
        Some(ApiFault::DropAfterHandling) => {
            state.record(call.action(), key, call.asked(), RequestOutcome::Dropped);
            Err(Dropped)
        }
        Some(ApiFault::MalformedBody) => {
            // Corrupts the date; the secrets around it stay.
            let body = answer
                .body
                .replace("<Expiration>", "<Expiration>not a date ");
            let body = body.replace("\"TokenValue\":\"", "\"TokenValue\":[\"");
            Ok(respond(
                state,
                &call,
                key,
                ServiceResponse { body, ..answer },
                Duration::ZERO,
            ))
        }
        Some(ApiFault::Slow(release)) => {
            release.notified().await;
            Ok(respond(state, &call, key, answer, Duration::ZERO))
        }
        Some(ApiFault::DateAhead(by)) => Ok(respond(state, &call, key, answer, by)),
        Some(ApiFault::Throttle | ApiFault::Refuse { .. }) | None => {
            Ok(respond(state, &call, key, answer, Duration::ZERO))
        }
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn respond(
    state: &State,
    call: &Call,
    key: Option<String>,
    answer: ServiceResponse,
    date_ahead: Duration,
) -> Response<Full<Bytes>> {
    state.record(
        call.action(),
        key,
        call.asked(),
        match answer.error {
            Some(code) => RequestOutcome::Error(code),
            None => RequestOutcome::Answered,
        },
    );
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let request_id = state.account().uuid().to_string();
    for (name, value) in [
        ("content-type", answer.content_type.to_owned()),
        ("x-amzn-requestid", request_id),
        (
            "date",
            http_date(state.clock.unix() + date_ahead.min(FURTHEST)),
        ),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A request, by protocol.
pub(crate) enum Call {
    /// AWS JSON 1.1: the action of `X-Amz-Target`.
    Ssm {
        action: String,
        body: serde_json::Value,
    },
    /// AWS Query: the form.
    Query(Service, Form),
}

impl Call {
    fn query(body: &[u8]) -> Self {
        let form: Form = url::form_urlencoded::parse(body).into_owned().collect();
        Self::Query(Service::of(&form), form)
    }

    fn action(&self) -> &str {
        match self {
            Self::Ssm { action, .. } => action,
            Self::Query(_, form) => form.get("Action").map_or("", String::as_str),
        }
    }

    fn service(&self) -> &'static str {
        match self {
            Self::Ssm { .. } => "ssm",
            Self::Query(service, _) => service.name,
        }
    }

    /// The parameters to be recorded.
    fn asked(&self) -> RecordedParameters {
        match self {
            Self::Ssm { body, .. } => {
                let members = body.as_object().into_iter().flatten();
                RecordedParameters::of(
                    members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))),
                )
            }
            Self::Query(_, form) => RecordedParameters::of(
                form.iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            ),
        }
    }

    fn error(&self, status: StatusCode, code: &str, message: &str) -> ServiceResponse {
        match self {
            Self::Ssm { .. } => ssm::error(status, code, message),
            Self::Query(service, _) => service.error(status, code, message),
        }
    }

    /// Each protocol has its own codes for the same refusal.
    fn refuse(&self, error: &AuthError) -> ServiceResponse {
        use crate::sigv4::SignatureError as Signature;
        let ssm = matches!(self, Self::Ssm { .. });
        let status = if ssm {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::FORBIDDEN
        };
        let pick = |json: &'static str, query: &'static str| if ssm { json } else { query };
        let (code, message) = match error {
            AuthError::UnknownKey => (
                pick("UnrecognizedClientException", "InvalidClientTokenId"),
                "The security token included in the request is invalid.".to_owned(),
            ),
            AuthError::Expired => (
                pick("ExpiredTokenException", "ExpiredToken"),
                "The security token included in the request is expired".to_owned(),
            ),
            AuthError::Signature(error) => (
                match error {
                    Signature::Missing => pick(
                        "MissingAuthenticationTokenException",
                        "MissingAuthenticationToken",
                    ),
                    Signature::Incomplete(_) => {
                        pick("IncompleteSignatureException", "IncompleteSignature")
                    }
                    Signature::Scope(_) | Signature::Skewed(_) | Signature::Mismatch => {
                        pick("InvalidSignatureException", "SignatureDoesNotMatch")
                    }
                },
                error.to_string(),
            ),
        };
        self.error(status, code, &message)
    }
}
