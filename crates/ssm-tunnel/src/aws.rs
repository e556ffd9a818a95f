//! The calls to AWS, over its SDK; those of sessions here. No SDK type leaves this module, and no
//! SDK error is kept: their `Debug` may show a whole answer, token included.

#[cfg(feature = "doctor")]
pub(crate) mod endpoints;
#[cfg(feature = "doctor")]
pub(crate) mod identity;
pub(crate) mod nodes;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::operation::RequestId;
use ssm_relay::{ApiError, BoxFuture, ConnectError, SessionApi, Ticket, Token};

use crate::error::{ServiceError, chain};
use crate::network;

/// How long an attempt of a call waits for its answer, unless the configuration says otherwise.
/// Nothing that Systems Manager is asked here takes more than a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) struct SystemsManager {
    sdk_config: SdkConfig,
    endpoint_url: Option<String>,
    client: Client,
    target: String,
    document_name: String,
    parameters: HashMap<String, Vec<String>>,
    reason: Option<String>,
}

impl SystemsManager {
    pub(crate) fn new(
        sdk_config: &SdkConfig,
        endpoint_url: Option<&str>,
        target: String,
        document_name: String,
        parameters: BTreeMap<String, Vec<String>>,
        reason: Option<String>,
    ) -> Self {
        Self {
            client: client(sdk_config, endpoint_url),
            sdk_config: sdk_config.clone(),
            endpoint_url: endpoint_url.map(str::to_owned),
            target,
            document_name,
            parameters: parameters.into_iter().collect(),
            reason,
        }
    }

    async fn terminate_by(&self, client: &Client, session_id: &str) -> Result<(), ApiError> {
        let call = client.terminate_session().session_id(session_id);
        match self.call("TerminateSession", call.send()).await {
            Ok(_) | Err(ServiceError::NoSuchSession { .. }) => Ok(()),
            Err(error) if error.is_retryable() => Err(ApiError::retryable(error)),
            Err(error) => Err(ApiError::fatal(error)),
        }
    }

    async fn call<T, E, R>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, ServiceError>
    where
        SdkError<E, R>: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
    {
        tracing::debug!(target = %self.target, "sending {action}");
        let given = || given(&self.sdk_config, self.endpoint_url.as_deref());
        answer(action, given, (&self.target, &self.document_name), call).await
    }
}

impl SessionApi for SystemsManager {
    fn start(&self) -> BoxFuture<'_, Result<Ticket, ApiError>> {
        Box::pin(async {
            let call = self
                .client
                .start_session()
                .target(&self.target)
                .document_name(&self.document_name)
                .set_parameters(Some(self.parameters.clone()))
                .set_reason(self.reason.clone());
            let answer = self.call("StartSession", call.send()).await;
            let answer = answer.map_err(|error| {
                // Whoever waits for a tunnel is told at once; a tunnel that is to go on tries
                // again, also while its target restarts.
                match error {
                    ServiceError::TargetNotConnected { .. } => ApiError::retryable(error),
                    _ if error.is_retryable() => ApiError::retryable(error),
                    _ => ApiError::fatal(error),
                }
            })?;
            ticket(
                "StartSession",
                answer.session_id,
                answer.stream_url,
                answer.token_value,
            )
            .and_then(|ticket| {
                ticket.ok_or(ServiceError::Unreadable {
                    action: "StartSession",
                    request_id: None,
                })
            })
            .map_err(ApiError::fatal)
        })
    }

    fn resume<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Ticket>, ApiError>> {
        Box::pin(async move {
            let call = self.client.resume_session().session_id(session_id);
            match self.call("ResumeSession", call.send()).await {
                // No URL stands for the one before, and the session's id is known.
                Ok(answer) => ticket(
                    "ResumeSession",
                    Some(session_id.to_owned()),
                    Some(answer.stream_url.unwrap_or_default()),
                    answer.token_value,
                )
                .map_err(ApiError::fatal),
                Err(ServiceError::NoSuchSession { .. }) => Ok(None),
                Err(error) if error.is_retryable() => Err(ApiError::retryable(error)),
                Err(error) => Err(ApiError::fatal(error)),
            }
        })
    }

    fn terminate<'a>(&'a self, session_id: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.terminate_by(&self.client, session_id))
    }

    fn terminate_late<'a>(&'a self, session_id: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            // The old client's idle connections belong to a runtime that drives them no more.
            let client = client(&self.sdk_config, self.endpoint_url.as_deref());
            self.terminate_by(&client, session_id).await
        })
    }
}

/// What the SDK answers to a call for a target and document. A panic of the SDK is an error of the
/// call, and so is a request that it cannot make.
async fn answer<T, E, R>(
    action: &'static str,
    given: impl Fn() -> String,
    (target, document): (&str, &str),
    call: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, ServiceError>
where
    SdkError<E, R>: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
{
    let unasked = |reason| ServiceError::Sdk {
        action,
        given: given(),
        reason,
    };
    match ssm_aws::caught(call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error @ SdkError::ConstructionFailure(_)))
            if !crate::error::is_about_credentials(&error) =>
        {
            Err(unasked(chain(&error)))
        }
        Ok(Err(error)) => Err(failure(action, &error, target, document)),
        Err(panicked) => Err(unasked(panicked.to_string())),
    }
}

/// What calls are made with, for errors.
fn given(sdk_config: &SdkConfig, endpoint_url: Option<&str>) -> String {
    let region = sdk_config.region().map_or("none", AsRef::as_ref);
    let endpoint = endpoint_url.or(sdk_config.endpoint_url());
    format!(
        "region {region}, endpoint {}",
        endpoint.unwrap_or("AWS's own")
    )
}

/// What an SDK error says, told by who caused it.
fn failure<E, R>(
    action: &'static str,
    error: &SdkError<E, R>,
    target: &str,
    document: &str,
) -> ServiceError
where
    SdkError<E, R>: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
{
    let message = error.message().unwrap_or_default().trim().to_owned();
    let request_id = error.request_id().map(str::to_owned);
    match (error, error.code()) {
        (SdkError::ServiceError(_), Some(code)) => {
            ServiceError::answered(action, code, message, request_id, target, document)
        }
        (SdkError::ServiceError(_), None) => ServiceError::Unreadable { action, request_id },
        (SdkError::TimeoutError(_), _) => ServiceError::Timeout { action },
        (SdkError::ResponseError(_), _) => ServiceError::Unreadable { action, request_id },
        _ => ServiceError::unsent(action, error),
    }
}

/// The SDK tries a call again whose answer got lost. A StartSession that was carried out all the
/// same leaves a session that nobody knows of; its agent ends it after waiting 15 s for a client's
/// handshake (`clientHandshakeTimeout` in amazon-ssm-agent).
fn client(sdk_config: &SdkConfig, endpoint_url: Option<&str>) -> Client {
    let mut config = aws_sdk_ssm::config::Builder::from(sdk_config);
    // The SDK itself waits for an answer for ever.
    let timeouts = match sdk_config.timeout_config() {
        Some(timeouts) => timeouts.to_builder(),
        None => TimeoutConfig::builder(),
    };
    let given = sdk_config
        .timeout_config()
        .and_then(TimeoutConfig::read_timeout);
    config = config.timeout_config(
        timeouts
            .read_timeout(given.unwrap_or(ANSWER_TIMEOUT))
            .build(),
    );
    if let Some(url) = endpoint_url {
        config = config.endpoint_url(url);
    }
    Client::from_conf(config.build())
}

/// `None` when there is no token: the session timed out and is gone.
fn ticket(
    action: &'static str,
    session_id: Option<String>,
    stream_url: Option<String>,
    token: Option<String>,
) -> Result<Option<Ticket>, ServiceError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    match (session_id, stream_url) {
        (Some(session_id), Some(stream_url)) if !session_id.is_empty() => Ok(Some(Ticket {
            session_id,
            stream_url,
            token: Token::new(token),
        })),
        _ => Err(ServiceError::Unreadable {
            action,
            request_id: None,
        }),
    }
}

impl ServiceError {
    /// The request could not be made, or the connection failed.
    pub(crate) fn unsent<E, R>(action: &'static str, error: &SdkError<E, R>) -> Self
    where
        SdkError<E, R>: std::error::Error + 'static,
    {
        let texts = chain(error);
        if crate::error::is_about_credentials(error) {
            return Self::Credentials {
                action,
                reason: texts,
                unreachable: crate::error::is_about_reaching(error),
            };
        }
        if let Some(error) = network::connect_error(error) {
            return Self::unreached(action, error);
        }
        let of_the_network = match error {
            // Those without a kind are settings that the SDK refuses.
            SdkError::DispatchFailure(failure) => {
                failure.is_io() || failure.is_timeout() || failure.as_other().is_some()
            }
            _ => false,
        };
        match of_the_network {
            true => Self::Network {
                action,
                reason: texts,
            },
            false => Self::NotSent {
                action,
                reason: texts,
                retryable: false,
            },
        }
    }

    /// There is no connection.
    fn unreached(action: &'static str, error: &ConnectError) -> Self {
        match error {
            ConnectError::Network { host, error } => Self::Network {
                action,
                reason: format!("cannot reach {host}: {error}"),
            },
            ConnectError::Timeout { .. } | ConnectError::Handshake { .. } => Self::Network {
                action,
                reason: error.to_string(),
            },
            // Behind a hotel's page certificates are wrong for a while only.
            ConnectError::Tls { .. } => Self::NotSent {
                action,
                reason: error.to_string(),
                retryable: true,
            },
            ConnectError::Proxy { retryable, .. } => Self::NotSent {
                action,
                reason: format!("there is a proxy in between, and {error}"),
                retryable: *retryable,
            },
            error => Self::NotSent {
                action,
                reason: error.to_string(),
                retryable: false,
            },
        }
    }
}
