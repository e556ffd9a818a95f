//! One call of EC2: its SDK is many times this crate's size.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use ssm_aws::{Partition, QueryCall, QueryError, QueryReply};

use super::PasswordError;
use crate::causes::{chain, is_about_reaching};
use crate::error::{Error, ServiceError};
use crate::network::{self, CaBundle, Proxy};
use crate::settings::{check, endpoint};

pub(super) const ACTION: &str = "GetPasswordData";
/// The API's version (`ec2/2016-11-15` in botocore).
const VERSION: &str = "2016-11-15";
const TIMEOUT: Duration = Duration::from_secs(15);
/// As often as the SDK tries a call.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// The password, encrypted and in Base64 without white space; empty when there is none.
pub(super) async fn password_data(
    config: &SdkConfig,
    instance: &str,
) -> Result<String, PasswordError> {
    let region = config.region().ok_or(Error::NoRegion);
    let region = region.map_err(PasswordError::Settings)?.to_string();
    check::region(&region).map_err(PasswordError::Settings)?;
    let url = match endpoint::configured(config, "EC2") {
        Some(url) => {
            endpoint::check(&url).map_err(PasswordError::Settings)?;
            url
        }
        None => {
            let fips = config.use_fips().unwrap_or_default();
            let dual_stack = config.use_dual_stack().unwrap_or_default();
            Partition::regional_endpoint("ec2", &region, fips, dual_stack)
        }
    };
    let call = QueryCall::new("ec2", ACTION, VERSION, &url, region)
        .parameter("InstanceId", instance)
        .timeout(TIMEOUT);
    let config = with_client(config)?;
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt(&call, &config, instance).await {
            Err(PasswordError::Service(error)) if error.is_retryable() => {
                tracing::debug!(%error, "trying again");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    attempt(&call, &config, instance).await
}

/// The configuration with its HTTP client, or with one of this crate's.
fn with_client(config: &SdkConfig) -> Result<SdkConfig, PasswordError> {
    if config.http_client().is_some() {
        return Ok(config.clone());
    }
    let bundle = CaBundle::from_env();
    let bundle = bundle.map_err(|error| PasswordError::Settings(Error::CaBundle(error)))?;
    let client = network::http_client(&Proxy::from_env(), bundle.as_ref());
    Ok(config.to_builder().http_client(client).build())
}

async fn attempt(
    call: &QueryCall,
    config: &SdkConfig,
    instance: &str,
) -> Result<String, PasswordError> {
    let provider = config.credentials_provider().ok_or(Error::NoCredentials);
    let provider = provider.map_err(PasswordError::Settings)?;
    let keys = provider.provide_credentials().await;
    let keys = keys.map_err(|error| PasswordError::Service(no_credentials(&error)))?;
    let reply = call.send(config, &keys, SystemTime::now()).await;
    let reply = reply.map_err(|error| PasswordError::Service(no_reply(error)))?;
    read(&reply, instance)
}

fn no_reply(error: QueryError) -> ServiceError {
    match error {
        QueryError::Send(error) => match &*error {
            SdkError::TimeoutError(_) => ServiceError::Timeout { action: ACTION },
            error => ServiceError::unsent(ACTION, error),
        },
        error => ServiceError::NotSent {
            action: ACTION,
            reason: error.to_string(),
            retryable: false,
        },
    }
}

fn no_credentials(error: &CredentialsError) -> ServiceError {
    ServiceError::Credentials {
        action: ACTION,
        reason: chain(error),
        unreachable: is_about_reaching(error),
    }
}

fn read(reply: &QueryReply, instance: &str) -> Result<String, PasswordError> {
    let text = |name| reply.text(name);
    let request_id = text("requestId").or_else(|| text("RequestID"));
    if reply.status() == 200 {
        if text("instanceId").is_none() {
            return Err(PasswordError::Service(ServiceError::Unreadable {
                action: ACTION,
                request_id,
            }));
        }
        let data = text("passwordData").unwrap_or_default();
        return Ok(data.split_whitespace().collect());
    }
    let message = text("Message").unwrap_or_default().trim().to_owned();
    Err(match text("Code").as_deref() {
        Some("UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException") => {
            PasswordError::Denied { message }
        }
        Some(code) if code.starts_with("InvalidInstanceID") => PasswordError::NoSuchInstance {
            instance: instance.to_owned(),
            message,
        },
        Some(code) => PasswordError::Service(ServiceError::answered(
            ACTION, code, message, request_id, instance, "",
        )),
        None => PasswordError::Service(ServiceError::Unreadable {
            action: ACTION,
            request_id,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Result<String, PasswordError> {
        read(&QueryReply::new(status, body), "i-1")
    }

    #[test]
    fn password_data_is_read_without_its_line_ends_and_none_is_empty() {
        let with = |data: &str| format!("<r><instanceId>i-1</instanceId>{data}</r>");
        let whole = with("<passwordData>&#13;\nQUJD\r\nREVG&#13;\n</passwordData>");
        assert_eq!(reply(200, &whole).expect("data"), "QUJDREVG");
        for none in ["<passwordData/>", "<passwordData></passwordData>", ""] {
            assert_eq!(reply(200, &with(none)).expect("empty"), "");
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let error = |code: &str| {
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>WORDS</Message></Error></Errors><RequestID>r</RequestID></Response>"
            )
        };
        for (status, body, expected) in [
            (
                403,
                error("UnauthorizedOperation"),
                "WORDS; it takes an IAM policy that allows ec2:GetPasswordData",
            ),
            (
                400,
                error("InvalidInstanceID.NotFound"),
                "EC2 does not know i-1: WORDS; check its id and the region",
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
            (200, "<html>Sign in</html>".to_owned(), "is not an answer"),
            (
                502,
                "<html>Bad gateway</html>".to_owned(),
                "is not an answer",
            ),
        ] {
            let text = reply(status, &body).expect_err("refused").to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
