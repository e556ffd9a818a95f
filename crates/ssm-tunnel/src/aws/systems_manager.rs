//! The calls of a session: StartSession, ResumeSession, TerminateSession.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::operation::RequestId;
use aws_sdk_ssm::operation::start_session::StartSessionOutput;
use ssm_relay::{ApiError, BoxFuture, SessionApi, SessionConnection, Token};

use super::Access;
use super::call::{Call, client};
use crate::error::ServiceError;

const START: &str = "StartSession";
const RESUME: &str = "ResumeSession";
const TERMINATE: &str = "TerminateSession";

/// What StartSession is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionRequest {
    pub(crate) target: String,
    pub(crate) document_name: String,
    pub(crate) parameters: BTreeMap<String, Vec<String>>,
    pub(crate) reason: Option<String>,
}

pub(crate) struct SystemsManager {
    access: Access,
    client: Client,
    request: SessionRequest,
}

impl SystemsManager {
    pub(crate) fn new(access: Access, request: SessionRequest) -> Self {
        Self {
            client: client(&access),
            access,
            request,
        }
    }

    #[cfg(feature = "doctor")]
    pub(crate) async fn start_session(&self) -> Result<SessionConnection, ServiceError> {
        started(self.ask_for_session().await?)
    }

    async fn ask_for_session(&self) -> Result<StartSessionOutput, ServiceError> {
        let request = self.request.clone();
        let call = self
            .client
            .start_session()
            .target(request.target)
            .document_name(request.document_name)
            .set_parameters(Some(request.parameters.into_iter().collect()))
            .set_reason(request.reason);
        self.call(START, call.send()).await
    }

    async fn resume_session(
        &self,
        session_id: &str,
    ) -> Result<Option<SessionConnection>, ServiceError> {
        let call = self.client.resume_session().session_id(session_id);
        match self.call(RESUME, call.send()).await {
            // Without a URL the one before stays; the session's id is known.
            Ok(answer) => connection(
                RESUME,
                Some(session_id.to_owned()),
                Some(answer.stream_url.unwrap_or_default()),
                answer.token_value,
            ),
            Err(ServiceError::NoSuchSession { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn terminate_session(&self, session_id: &str) -> Result<(), ServiceError> {
        self.terminate_by(&self.client, session_id).await
    }

    async fn terminate_by(&self, client: &Client, session_id: &str) -> Result<(), ServiceError> {
        let call = client.terminate_session().session_id(session_id);
        match self.call(TERMINATE, call.send()).await {
            Ok(_) | Err(ServiceError::NoSuchSession { .. }) => Ok(()),
            Err(error) => Err(error),
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
        let request = &self.request;
        tracing::debug!(target = %request.target, "sending {action}");
        let about = Call {
            action,
            access: &self.access,
            target: &request.target,
            document: &request.document_name,
        };
        about.answer(call).await
    }
}

impl SessionApi for SystemsManager {
    type Error = Arc<ServiceError>;

    fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<Self::Error>>> {
        Box::pin(async {
            let answer = self.ask_for_session().await;
            let answer = answer.map_err(|error| match error {
                // Opening a tunnel reports this at once; a tunnel that is to go on retries, also
                // while its target restarts.
                ServiceError::TargetNotConnected { .. } => ApiError::retryable(Arc::new(error)),
                error => carried(error),
            })?;
            // The session was started: another attempt would start a second one.
            started(answer).map_err(|error| ApiError::fatal(Arc::new(error)))
        })
    }

    fn resume<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<Self::Error>>> {
        Box::pin(async move { self.resume_session(session_id).await.map_err(carried) })
    }

    fn terminate<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
        Box::pin(async move { self.terminate_session(session_id).await.map_err(carried) })
    }

    fn terminate_late<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
        Box::pin(async move {
            // The idle connections of the old client belong to a runtime that no longer drives them.
            let client = client(&self.access);
            let terminated = self.terminate_by(&client, session_id).await;
            terminated.map_err(carried)
        })
    }
}

/// The error, and whether another attempt may succeed.
fn carried(error: ServiceError) -> ApiError<Arc<ServiceError>> {
    match error.is_retryable() {
        true => ApiError::retryable(Arc::new(error)),
        false => ApiError::fatal(Arc::new(error)),
    }
}

fn started(answer: StartSessionOutput) -> Result<SessionConnection, ServiceError> {
    let connection = connection(
        START,
        answer.session_id,
        answer.stream_url,
        answer.token_value,
    )?;
    connection.ok_or(ServiceError::Unreadable {
        action: START,
        request_id: None,
    })
}

/// `None` when there is no token: the session timed out and is gone.
fn connection(
    action: &'static str,
    session_id: Option<String>,
    stream_url: Option<String>,
    token: Option<String>,
) -> Result<Option<SessionConnection>, ServiceError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    match (session_id, stream_url) {
        (Some(session_id), Some(stream_url)) if !session_id.is_empty() => {
            Ok(Some(SessionConnection {
                session_id,
                stream_url,
                token: Token::new(token),
            }))
        }
        _ => Err(ServiceError::Unreadable {
            action,
            request_id: None,
        }),
    }
}
