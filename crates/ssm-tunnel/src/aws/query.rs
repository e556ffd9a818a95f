//! One call of another service in AWS's query protocol, with this crate's errors.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_runtime_api::client::result::SdkError;
use ssm_aws::{Partition, QueryCall, QueryError, QueryReply};

use crate::causes::{chain, is_about_reaching};
use crate::error::{Error, ServiceError};
use crate::network::{self, CaBundle, Proxy};
use crate::settings::{check, endpoint};

/// Time allowed for one attempt.
const TIMEOUT: Duration = Duration::from_secs(15);
/// As many attempts as the SDK makes.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// One call of a regional service that speaks AWS's query protocol, such as GetPasswordData of EC2,
/// for programs that would need the service's SDK for nothing else.
///
/// Region, credentials, HTTP client and endpoint (such as `AWS_ENDPOINT_URL_EC2`) come from the SDK
/// configuration, as for the calls of a [`Tunnel`](crate::Tunnel). A call that may succeed later is
/// made up to three times.
///
/// ```no_run
/// # async fn run(config: aws_config::SdkConfig) -> Result<(), ssm_tunnel::Error> {
/// use ssm_tunnel::RegionalCall;
///
/// let call = RegionalCall::new("ec2", "GetConsoleOutput", "2016-11-15");
/// let reply = call.parameter("InstanceId", "i-0123456789abcdef0").send(&config).await?;
/// println!("{:?}", reply.text("output"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RegionalCall {
    service: &'static str,
    action: &'static str,
    version: &'static str,
    parameters: Vec<(String, String)>,
}

impl RegionalCall {
    /// `service` names the service's endpoints, such as `ec2`, and `version` is that of its API.
    pub fn new(service: &'static str, action: &'static str, version: &'static str) -> Self {
        Self {
            service,
            action,
            version,
            parameters: Vec::new(),
        }
    }

    /// A parameter of the call.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sends it, and waits for the reply with HTTP status 200.
    ///
    /// # Errors
    /// When settings are missing or cannot work, or the call fails.
    pub async fn send(&self, config: &SdkConfig) -> Result<QueryReply, Error> {
        let region = config.region().ok_or(Error::NoRegion)?.to_string();
        check::region(&region)?;
        let service = self.service;
        let id = service.to_ascii_uppercase();
        let url = match endpoint::configured(config, &id) {
            Some(url) => {
                endpoint::check(&url)?;
                url
            }
            None => {
                let fips = config.use_fips().unwrap_or_default();
                let dual_stack = config.use_dual_stack().unwrap_or_default();
                Partition::regional_endpoint(service, &region, fips, dual_stack)
            }
        };
        let mut call = QueryCall::new(service, self.action, self.version, &url, region);
        for (name, value) in &self.parameters {
            call = call.parameter(name, value);
        }
        let call = call.timeout(TIMEOUT);
        let config = with_client(config)?;
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(&call, &config).await {
                Err(Error::Service(error)) if error.is_retryable() => {
                    tracing::debug!(%error, "trying again");
                }
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.attempt(&call, &config).await
    }

    async fn attempt(&self, call: &QueryCall, config: &SdkConfig) -> Result<QueryReply, Error> {
        let provider = config.credentials_provider().ok_or(Error::NoCredentials)?;
        let keys = provider.provide_credentials().await;
        let keys = keys.map_err(|error| ServiceError::Credentials {
            action: self.action,
            reason: chain(&error),
            unreachable: is_about_reaching(&error),
        })?;
        let reply = call.send(config, &keys, SystemTime::now()).await;
        let reply = reply.map_err(|error| self.no_reply(error))?;
        Ok(self.read(reply)?)
    }

    fn no_reply(&self, error: QueryError) -> ServiceError {
        let action = self.action;
        match error {
            QueryError::Send(error) => match &*error {
                SdkError::TimeoutError(_) => ServiceError::Timeout { action },
                error => ServiceError::unsent(action, error),
            },
            error => ServiceError::NotSent {
                action,
                reason: error.to_string(),
                retryable: false,
            },
        }
    }

    fn read(&self, reply: QueryReply) -> Result<QueryReply, ServiceError> {
        if reply.status() == 200 {
            return Ok(reply);
        }
        let action = self.action;
        let text = |name| reply.text(name);
        let request_id = text("requestId").or_else(|| text("RequestID"));
        let message = text("Message").unwrap_or_default().trim().to_owned();
        Err(match text("Code").as_deref() {
            Some(code) => ServiceError::answered(action, code, message, request_id, "", ""),
            None => ServiceError::Unreadable { action, request_id },
        })
    }
}

/// The configuration with its HTTP client, or with one of this crate's.
fn with_client(config: &SdkConfig) -> Result<SdkConfig, Error> {
    if config.http_client().is_some() {
        return Ok(config.clone());
    }
    let bundle = CaBundle::from_env().map_err(Error::CaBundle)?;
    let client = network::http_client(&Proxy::from_env(), bundle.as_ref());
    Ok(config.to_builder().http_client(client).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_and_other_pages_are_told_apart() {
        let call = RegionalCall::new("ec2", "GetPasswordData", "2016-11-15");
        let error = |code: &str| {
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>WORDS</Message></Error></Errors><RequestID>r</RequestID></Response>"
            )
        };
        for (status, body, expected) in [
            (
                403,
                error("UnauthorizedOperation"),
                "GetPasswordData was denied: WORDS",
            ),
            (
                401,
                error("AuthFailure"),
                "AWS does not accept the credentials (GetPasswordData): WORDS",
            ),
            (
                400,
                error("RequestExpired"),
                "the credentials have expired (GetPasswordData): log in again",
            ),
            (
                503,
                error("RequestLimitExceeded"),
                "GetPasswordData was throttled",
            ),
            (
                400,
                error("InvalidInstanceID.NotFound"),
                "GetPasswordData failed with InvalidInstanceID.NotFound: WORDS",
            ),
            (
                502,
                "<html>Bad gateway</html>".to_owned(),
                "is not an answer",
            ),
        ] {
            let reply = QueryReply::new(status, body);
            let text = call.read(reply).expect_err("refused").to_string();
            assert!(text.contains(expected), "{text}");
        }
        call.read(QueryReply::new(200, "<r/>")).expect("a reply");
    }
}
