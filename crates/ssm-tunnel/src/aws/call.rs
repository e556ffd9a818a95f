//! One call to AWS: a client with deadlines, and the answer with typed errors.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::operation::RequestId;

use super::Access;
use crate::causes::{chain, is_about_credentials};
use crate::error::ServiceError;

/// Time allowed for the answer to one attempt of a call, unless the configuration says otherwise.
/// Systems Manager answers every call that is made here within a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The SDK retries a call whose answer got lost. A StartSession that was carried out nevertheless
/// leaves a session without a client; its agent ends it after waiting 15 s for a client's handshake
/// (`clientHandshakeTimeout` in amazon-ssm-agent).
pub(super) fn client(access: &Access) -> Client {
    let sdk_config = &access.sdk_config;
    let mut config = aws_sdk_ssm::config::Builder::from(sdk_config);
    // By default the SDK waits for an answer without limit.
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
    if let Some(url) = &access.endpoint_url {
        config = config.endpoint_url(url);
    }
    Client::from_conf(config.build())
}

/// What a call is about, for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Its name in the API.
    pub(super) action: &'static str,
    pub(super) access: &'a Access,
    /// Empty where it has none.
    pub(super) target: &'a str,
    /// Empty where it has none.
    pub(super) document: &'a str,
}

impl Call<'_> {
    /// Waits for the answer. A panic of the SDK is an error of the call, and so is a request that it
    /// cannot build.
    pub(super) async fn answer<T, E, R>(
        self,
        call: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, ServiceError>
    where
        SdkError<E, R>: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
    {
        let not_built = |reason| ServiceError::Sdk {
            action: self.action,
            given: self.access.shown(),
            reason,
        };
        match ssm_aws::caught(call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error @ SdkError::ConstructionFailure(_))) if !is_about_credentials(&error) => {
                Err(not_built(chain(&error)))
            }
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(panicked) => Err(not_built(panicked.to_string())),
        }
    }

    /// An SDK error, sorted by who caused it.
    fn failure<E, R>(self, error: &SdkError<E, R>) -> ServiceError
    where
        SdkError<E, R>: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
    {
        let action = self.action;
        let message = error.message().unwrap_or_default().trim().to_owned();
        let request_id = error.request_id().map(str::to_owned);
        match (error, error.code()) {
            (SdkError::ServiceError(_), Some(code)) => ServiceError::answered(
                action,
                code,
                message,
                request_id,
                self.target,
                self.document,
            ),
            (SdkError::ServiceError(_), None) => ServiceError::Unreadable { action, request_id },
            (SdkError::TimeoutError(_), _) => ServiceError::Timeout { action },
            (SdkError::ResponseError(_), _) => ServiceError::Unreadable { action, request_id },
            _ => ServiceError::unsent(action, error),
        }
    }
}
