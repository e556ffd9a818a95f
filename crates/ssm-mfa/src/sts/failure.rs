//! What the errors of STS mean. No SDK error is kept or formatted by `Debug`: an error about an answer
//! that does not parse would show the secret key in it.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::date_time::{DateTime, Format};
use aws_types::sdk_config::SharedTimeSource;
use ssm_aws::{cause_chain, causes};

use crate::error::{CallContext, CodeFate, MfaError};

/// A clock that is further off makes codes invalid: a code is accepted in its 30 s step and one step
/// around it.
const SKEW: Duration = Duration::from_secs(30);

/// The call that failed.
pub(super) struct Call<'a> {
    pub(super) context: Box<CallContext>,
    pub(super) access_key_id: &'a str,
    pub(super) asked: Duration,
    pub(super) role: Option<&'a str>,
    /// The credentials are those of an MFA session.
    pub(super) over_mfa: bool,
    pub(super) with_code: bool,
    pub(super) clock: &'a SharedTimeSource,
}

/// The parts of an SDK error that are safe to keep.
#[derive(Debug, Default)]
pub(super) struct Failure {
    /// The service's error code, if it is an answer of the service.
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    /// The answer's `Date`.
    date: Option<SystemTime>,
    /// What went wrong, when there is no answer.
    reason: String,
    /// The connection was never made.
    unsent: bool,
    no_credentials: bool,
}

impl Failure {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
        SdkError<E, HttpResponse>: RequestId + ProvideErrorMetadata,
    {
        let answered = matches!(error, SdkError::ServiceError(_));
        let no_credentials =
            causes(error).any(|error| error.downcast_ref::<CredentialsError>().is_some());
        let reason = match error {
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::ResponseError(_) => "the answer cannot be read".to_owned(),
            SdkError::ServiceError(context) => {
                format!("HTTP status {}", context.raw().status().as_u16())
            }
            error => cause_chain(error),
        };
        Self {
            code: error.code().filter(|_| answered).map(str::to_owned),
            message: error.message().unwrap_or_default().trim().to_owned(),
            request_id: error.request_id().map(str::to_owned),
            date: error.raw_response().and_then(date),
            reason,
            unsent: unsent(error),
            no_credentials,
        }
    }

    pub(super) fn was_not_sent(&self) -> bool {
        self.unsent
    }

    pub(super) fn meaning(self, call: &Call<'_>) -> MfaError {
        let mut context = call.context.clone();
        context.request_id = self.request_id.clone();
        let code_fate = match (call.with_code, self.unsent) {
            (false, _) => CodeFate::NotInvolved,
            (true, true) => CodeFate::NotSent,
            (true, false) => CodeFate::MaybeUsed,
        };
        let Some(code) = self.code.as_deref() else {
            if self.no_credentials {
                return MfaError::NoSourceCredentials(self.reason);
            }
            return MfaError::Network {
                reason: self.reason,
                code: code_fate,
                context,
            };
        };
        // STS has two spaces in one of its texts.
        let words = self
            .message
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let says = |text: &str| words.contains(text);
        let message = self.message.clone();
        match code {
            "AccessDenied" | "AccessDeniedException" => self.denial(&words, call, context),
            "ValidationError" | "ValidationException" if says("urationSeconds") => {
                MfaError::DurationTooLong {
                    asked: call.asked,
                    max: limit(&words),
                    message,
                    context,
                }
            }
            "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
                if says("Signature expired")
                    || says("not yet current")
                    || says("skewed")
                    || code.starts_with("RequestTime") =>
            {
                MfaError::ClockSkew {
                    local: call.clock.now(),
                    server: self.date,
                    message,
                    context,
                }
            }
            "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException" => MfaError::BadAccessKey {
                access_key_id: shown(call.access_key_id),
                message,
                context,
            },
            "RegionDisabledException" => MfaError::RegionDisabled { message, context },
            "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded" => MfaError::Throttled {
                code: code_fate,
                context,
            },
            "InternalFailure" | "InternalError" | "ServiceUnavailable" => MfaError::Network {
                reason: format!("STS answered {code}"),
                code: code_fate,
                context,
            },
            code => MfaError::Service {
                code: code.to_owned(),
                message,
                context,
            },
        }
    }

    /// AWS has one code for all of these; only the texts differ.
    fn denial(&self, words: &str, call: &Call<'_>, context: Box<CallContext>) -> MfaError {
        let message = self.message.clone();
        let role = call.role.unwrap_or("the session").to_owned();
        if words.contains("invalid MFA one time pass code") {
            MfaError::InvalidCode {
                attempts: 1,
                skew: self.date.and_then(|date| skew(date, call.clock.now())),
                context,
            }
        } else if words.contains("unable to validate MFA code") {
            MfaError::WrongDevice {
                caller: None,
                access_key_id: shown(call.access_key_id),
                context,
            }
        } else if words.contains("must provide both MFA serial number and one time pass code") {
            MfaError::MfaRequired {
                role,
                message,
                context,
            }
        } else if words.contains("Cannot call GetSessionToken with session credentials") {
            MfaError::SourceIsTemporary { context }
        } else if call.role.is_some() && !call.with_code && !call.over_mfa {
            MfaError::MfaRequired {
                role,
                message,
                context,
            }
        } else {
            MfaError::Denied { message, context }
        }
    }
}

/// The last four characters: enough to tell keys apart.
fn shown(access_key_id: &str) -> String {
    let skipped = access_key_id.chars().count().saturating_sub(4);
    let last: String = access_key_id.chars().skip(skipped).collect();
    format!("...{last}")
}

/// The maximum that STS allows, if it states one.
fn limit(words: &str) -> Option<Duration> {
    if words.contains("1 hour session limit") {
        return Some(Duration::from_secs(3600));
    }
    let (_, number) = words.rsplit_once("less than or equal to ")?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs)
}

fn unsent<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    let Some(connector) = failure.as_connector_error() else {
        return false;
    };
    causes(connector).any(|error| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        // The HTTP client's error types are private. If these texts change, a code that was not sent
        // counts as used.
        let text = error.to_string();
        kind == Some(io::ErrorKind::ConnectionRefused)
            || text.contains("client error (Connect)")
            || text.starts_with("HTTP connect timeout")
    })
}

fn date(response: &HttpResponse) -> Option<SystemTime> {
    let date = response.headers().get("date")?;
    SystemTime::try_from(DateTime::from_str(date, Format::HttpDate).ok()?).ok()
}

fn skew(date: SystemTime, now: SystemTime) -> Option<Duration> {
    let skew = now
        .duration_since(date)
        .or_else(|_| date.duration_since(now))
        .ok()?;
    (skew > SKEW).then_some(skew)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/dev";

    fn meaning(code: &str, message: &str, role: bool, with_code: bool, over_mfa: bool) -> MfaError {
        let failure = Failure {
            code: Some(code.to_owned()),
            message: message.trim().to_owned(),
            request_id: Some("req-1".to_owned()),
            ..Failure::default()
        };
        let clock = SharedTimeSource::default();
        failure.meaning(&Call {
            context: Box::new(CallContext {
                profile: Some("dev".to_owned()),
                serial: "arn:aws:iam::123456789012:mfa/taro".parse().ok(),
                endpoint: Some("us-east-1".to_owned()),
                request_id: None,
            }),
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            asked: Duration::from_secs(7200),
            role: role.then_some(ROLE),
            over_mfa,
            with_code,
            clock: &clock,
        })
    }

    #[test]
    fn denial_is_classified_by_its_text() {
        // As measured, with the trailing space and the two spaces.
        let invalid = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
        let device = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.";
        let missing = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";
        let session = "Cannot call GetSessionToken with session credentials";
        let denied = "User: x is not authorized to perform: sts:AssumeRole on resource: y";
        for role in [false, true] {
            let says = |text| meaning("AccessDenied", text, role, true, false);
            assert!(matches!(says(invalid), MfaError::InvalidCode { .. }));
            assert!(matches!(says(device), MfaError::WrongDevice { .. }));
            assert!(matches!(says(missing), MfaError::MfaRequired { .. }));
            assert!(matches!(says(session), MfaError::SourceIsTemporary { .. }));
            assert!(matches!(says(denied), MfaError::Denied { .. }));
        }
        let denied =
            |with_code, over_mfa| meaning("AccessDenied", denied, true, with_code, over_mfa);
        assert!(matches!(denied(false, false), MfaError::MfaRequired { .. }));
        assert!(matches!(denied(false, true), MfaError::Denied { .. }));
    }

    #[test]
    fn error_code_is_classified_by_its_cause() {
        let says = |code, text| meaning(code, text, true, true, false);
        let chained = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        let too_long =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        let range = "1 validation error detected: Value '999999' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200";
        for (text, limit) in [
            (chained, Some(3600)),
            (too_long, None),
            (range, Some(43_200)),
        ] {
            match says("ValidationError", text) {
                MfaError::DurationTooLong { max, .. } => {
                    assert_eq!(max, limit.map(Duration::from_secs), "{text}");
                }
                other => panic!("{other}"),
            }
        }
        assert!(matches!(
            says("ValidationError", "other"),
            MfaError::Service { .. }
        ));
        for text in [
            "Signature expired: 20261124T000000Z is now earlier than 20261124T001000Z",
            "Signature not yet current: 20261124T001000Z is still later than 20261124T000000Z",
        ] {
            let error = says("SignatureDoesNotMatch", text);
            assert!(matches!(error, MfaError::ClockSkew { .. }), "{error}");
        }
        for code in [
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
        ] {
            let error = says(code, "no");
            assert!(matches!(error, MfaError::BadAccessKey { .. }), "{error}");
            assert!(!error.to_string().contains("AKIAIOS"), "{error}");
        }
        assert!(matches!(
            says("RegionDisabledException", "off"),
            MfaError::RegionDisabled { .. }
        ));
        for code in ["Throttling", "ThrottlingException", "RequestLimitExceeded"] {
            assert!(says(code, "slow").is_retryable());
        }
    }

    #[test]
    fn call_error_names_profile_device_endpoint_and_request() {
        for code in [
            "AccessDenied",
            "InvalidClientTokenId",
            "Throttling",
            "InternalFailure",
            "X",
        ] {
            let text = meaning(code, "because", true, true, false).to_string();
            for part in [
                "profile dev",
                ":mfa/taro",
                "STS at us-east-1",
                "request req-1",
            ] {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
        }
    }

    #[test]
    fn clock_is_wrong_when_more_than_one_step_off() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let secs = Duration::from_secs;
        assert_eq!(skew(now + secs(30), now), None);
        assert_eq!(skew(now + secs(31), now), Some(secs(31)));
        assert_eq!(skew(now - secs(90), now), Some(secs(90)));
    }
}
