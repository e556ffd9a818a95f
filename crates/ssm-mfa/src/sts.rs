//! The one STS call, and what its errors mean. No SDK error is kept or formatted by `Debug`: an
//! answer that does not parse would show the secret key in it.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_sts::Client;
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sts::operation::RequestId as _;
use aws_sdk_sts::operation::get_session_token::GetSessionTokenError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::date_time::{DateTime, Format};

use crate::code::MfaCode;
use crate::error::MfaError;
use crate::serial::MfaSerial;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// A clock this far off makes codes wrong: a code is good for its 30 s step and one around it.
const SKEW: Duration = Duration::from_secs(30);
const PROVIDER: &str = "ssm-mfa";

#[derive(Debug, Clone)]
pub(crate) struct Sts {
    client: Client,
    base: SharedCredentialsProvider,
}

impl Sts {
    /// # Errors
    /// When codes would travel unprotected.
    pub(crate) fn new(
        config: &SdkConfig,
        base: SharedCredentialsProvider,
    ) -> Result<Self, MfaError> {
        if let Some(url) = config.endpoint_url()
            && !is_protected(url)
        {
            return Err(MfaError::Settings(format!(
                "the endpoint {url} is plain http: an MFA code goes to https only, or to this machine"
            )));
        }
        // The SDK would send the same code again, which AWS accepts once.
        let config = aws_sdk_sts::config::Builder::from(config)
            .credentials_provider(base.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .build(),
            )
            .build();
        Ok(Self {
            client: Client::from_conf(config),
            base,
        })
    }

    /// The long-term credentials' key, shortened, and whether they are a session's already.
    pub(crate) async fn base(&self) -> Result<Base, MfaError> {
        let base = self.base.provide_credentials().await;
        let base = base.map_err(|error| MfaError::NoBase(chain(&error)))?;
        let id = base.access_key_id();
        let last: String = id
            .chars()
            .skip(id.chars().count().saturating_sub(4))
            .collect();
        Ok(Base {
            shown: format!("...{last}"),
            temporary: base.session_token().is_some(),
        })
    }

    pub(crate) async fn get_session_token(
        &self,
        base: &Base,
        serial: &MfaSerial,
        code: &MfaCode,
        duration: Duration,
    ) -> Result<Credentials, MfaError> {
        let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let call = || {
            let request = self
                .client
                .get_session_token()
                .serial_number(serial.as_str());
            request
                .token_code(code.expose())
                .duration_seconds(seconds)
                .send()
        };
        let mut outcome = call().await;
        if matches!(&outcome, Err(error) if was_not_sent(error)) {
            // Nothing left this machine, so the code is as good as before.
            outcome = call().await;
        }
        let answer = outcome.map_err(|error| failure(&error, base, serial, duration))?;
        let unreadable = || MfaError::Network {
            reason: "the answer holds no credentials".to_owned(),
            code_may_be_spent: true,
        };
        let issued = answer.credentials.ok_or_else(unreadable)?;
        let expires = SystemTime::try_from(issued.expiration).map_err(|_| unreadable())?;
        Ok(Credentials::new(
            issued.access_key_id,
            issued.secret_access_key,
            Some(issued.session_token),
            Some(expires),
            PROVIDER,
        ))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Base {
    shown: String,
    pub(crate) temporary: bool,
}

type Failure = SdkError<GetSessionTokenError, HttpResponse>;

fn failure(error: &Failure, base: &Base, serial: &MfaSerial, asked: Duration) -> MfaError {
    let message = error.message().unwrap_or_default().trim().to_owned();
    let request_id = error.request_id().map(str::to_owned);
    let access_key_id = base.shown.clone();
    let Some(code) = error
        .code()
        .filter(|_| matches!(error, SdkError::ServiceError(_)))
    else {
        return unanswered(error);
    };
    // STS has two spaces in one of its texts.
    let words = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            if words.contains("invalid MFA one time pass code") {
                MfaError::InvalidCode {
                    serial: serial.clone(),
                    skew: skew(error),
                    request_id,
                }
            } else if words.contains("unable to validate MFA code") {
                MfaError::WrongDevice {
                    serial: serial.clone(),
                    access_key_id,
                    request_id,
                }
            } else if words.contains("Cannot call GetSessionToken with session credentials") {
                MfaError::BaseIsTemporary
            } else {
                MfaError::Denied {
                    message,
                    request_id,
                }
            }
        }
        "ValidationError" | "ValidationException" if words.contains("urationSeconds") => {
            MfaError::DurationTooLong { asked, message }
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestExpired"
            if words.contains("Signature expired") || words.contains("not yet current") =>
        {
            MfaError::ClockSkew { message }
        }
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidSignatureException" => MfaError::BadAccessKey {
            access_key_id,
            message,
            request_id,
        },
        "RegionDisabledException" => MfaError::RegionDisabled { message },
        "Throttling" | "ThrottlingException" | "TooManyRequestsException" => {
            MfaError::Throttled { request_id }
        }
        "InternalFailure" | "InternalError" | "ServiceUnavailable" => MfaError::Network {
            reason: format!("STS answered {code}"),
            code_may_be_spent: true,
        },
        code => MfaError::Service {
            code: code.to_owned(),
            message,
            request_id,
        },
    }
}

fn unanswered(error: &Failure) -> MfaError {
    let reason = match error {
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::ResponseError(_) => "the answer cannot be read".to_owned(),
        SdkError::ServiceError(context) => {
            format!("HTTP status {}", context.raw().status().as_u16())
        }
        error if credentials_failed(error) => return MfaError::NoBase(chain(error)),
        error => chain(error),
    };
    MfaError::Network {
        reason,
        code_may_be_spent: !was_not_sent(error),
    }
}

/// The connection was never made.
fn was_not_sent(error: &Failure) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    let refused = |error: &(dyn StdError + 'static)| {
        let io = error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        io == Some(std::io::ErrorKind::ConnectionRefused)
    };
    let Some(connector) = failure.as_connector_error() else {
        return false;
    };
    sources(connector).any(refused)
}

fn credentials_failed(error: &Failure) -> bool {
    sources(error).any(|error| error.downcast_ref::<CredentialsError>().is_some())
}

/// How far the answer's `Date` is from this machine's clock, where that is a lot.
fn skew(error: &Failure) -> Option<Duration> {
    let date = error.raw_response()?.headers().get("date")?;
    let date = SystemTime::try_from(DateTime::from_str(date, Format::HttpDate).ok()?).ok()?;
    let now = SystemTime::now();
    let skew = now
        .duration_since(date)
        .or_else(|_| date.duration_since(now))
        .ok()?;
    (skew > SKEW).then_some(skew)
}

fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The texts of an error and its causes, by `Display`.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in sources(error) {
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn is_protected(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return url.starts_with("https://");
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_protected;

    #[test]
    fn codes_travel_by_https_or_stay_on_this_machine() {
        for url in [
            "https://sts.amazonaws.com",
            "http://127.0.0.1:80/x",
            "http://[::1]:1",
            "http://localhost:9",
        ] {
            assert!(is_protected(url), "{url}");
        }
        for url in [
            "http://sts.amazonaws.com",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "ftp://x",
        ] {
            assert!(!is_protected(url), "{url}");
        }
    }
}
