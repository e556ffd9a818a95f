//! The calls that logins make.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_types::sdk_config::SharedTimeSource;
use ssm_aws::{cause_chain, check_endpoint_url, check_endpoint_variants, configured_endpoint};

use super::failure::{Call, Failure};
use crate::code::mfa_code::MfaCode;
use crate::error::{CallContext, CodeFate, MfaError};
use crate::role::RoleSpec;
use crate::serial::MfaSerial;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const PROVIDER: &str = "ssm-mfa";

#[derive(Debug, Clone)]
pub(crate) struct Sts {
    /// Sends each request once: the SDK would send the same code again, which AWS accepts once.
    once: Client,
    /// Retries as configured: for calls without a code.
    retrying: Client,
    source: SharedCredentialsProvider,
    endpoint: Option<String>,
    region: String,
    profile: Option<String>,
    clock: SharedTimeSource,
}

/// The credentials that every login begins with.
#[derive(Debug, Clone)]
pub(crate) struct SourceCredentials {
    pub(crate) credentials: Credentials,
    /// They are those of a session.
    pub(crate) is_temporary: bool,
}

/// The arguments of AssumeRole.
pub(crate) struct AssumeRole<'a> {
    /// Sign the call.
    pub(crate) credentials: &'a Credentials,
    /// They are those of an MFA session, or of a role assumed from one.
    pub(crate) over_mfa: bool,
    pub(crate) role: &'a RoleSpec,
    /// The role's own, or less.
    pub(crate) duration: Option<Duration>,
    /// The MFA device and its code.
    pub(crate) device: Option<(&'a MfaSerial, &'a MfaCode)>,
}

/// Credentials that STS issued.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) credentials: Credentials,
    pub(crate) expires: SystemTime,
    /// ARN of a role's session.
    pub(crate) arn: Option<String>,
}

impl Sts {
    /// Clients of this configuration.
    ///
    /// # Errors
    /// When credentials or codes would be sent unprotected.
    pub(crate) fn new(
        config: &SdkConfig,
        source: SharedCredentialsProvider,
        profile: Option<String>,
        clock: SharedTimeSource,
    ) -> Result<Self, MfaError> {
        let endpoint = configured_endpoint(config, "STS");
        if let Some(url) = &endpoint
            && let Err(problem) = check_endpoint_url(url)
        {
            return Err(MfaError::Settings(format!(
                "the STS endpoint {url:?} cannot be used: {problem}; check the option, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS and `endpoint_url` in the profile"
            )));
        }
        let named = |region: &&aws_config::Region| !region.as_ref().trim().is_empty();
        let Some(region) = config.region().filter(named) else {
            return Err(MfaError::NoRegion);
        };
        let region = region.to_string();
        if let Some(url) = &endpoint {
            check_endpoint_variants(config, url)
                .map_err(|conflict| MfaError::Settings(conflict.to_string()))?;
        }
        let builder = || {
            Builder::from(config)
                // The credentials of each call are given with it.
                .identity_cache(IdentityCache::no_cache())
                // The configuration's operation timeout stays: the SDK merges the two.
                .timeout_config(
                    TimeoutConfig::builder()
                        .connect_timeout(CONNECT_TIMEOUT)
                        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                        .build(),
                )
        };
        Ok(Self {
            once: Client::from_conf(builder().retry_config(RetryConfig::disabled()).build()),
            retrying: Client::from_conf(builder().build()),
            source,
            endpoint,
            region,
            profile,
            clock,
        })
    }

    /// The settings of the calls, for errors.
    pub(crate) fn given(&self) -> String {
        let profile = self.profile.as_deref().unwrap_or("none");
        let endpoint = self.endpoint.as_deref().unwrap_or("AWS's own");
        format!(
            "profile {profile}, region {}, endpoint {endpoint}",
            self.region
        )
    }

    /// The custom URL of STS, if one is set.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    pub(crate) fn context(&self, serial: Option<&MfaSerial>) -> Box<CallContext> {
        Box::new(CallContext {
            profile: self.profile.clone(),
            serial: serial.cloned(),
            endpoint: self.endpoint.clone().or_else(|| Some(self.region.clone())),
            request_id: None,
        })
    }

    /// The credentials that every login begins with.
    pub(crate) async fn source_credentials(&self) -> Result<SourceCredentials, MfaError> {
        let provided = self.source.provide_credentials().await;
        let credentials =
            provided.map_err(|error| MfaError::NoSourceCredentials(cause_chain(&error)))?;
        Ok(SourceCredentials {
            is_temporary: credentials.session_token().is_some(),
            credentials,
        })
    }

    /// Starts an MFA session of the user that the credentials belong to.
    pub(crate) async fn get_session_token(
        &self,
        credentials: &Credentials,
        serial: &MfaSerial,
        code: &MfaCode,
        duration: Duration,
    ) -> Result<Issued, MfaError> {
        let call = Call {
            context: self.context(Some(serial)),
            access_key_id: credentials.access_key_id(),
            asked: duration,
            role: None,
            over_mfa: false,
            with_code: true,
            clock: &self.clock,
        };
        let send = || {
            let request = self.once.get_session_token();
            request
                .serial_number(serial.as_str())
                .token_code(code.expose())
                .duration_seconds(seconds(duration))
                .customize()
                .config_override(Builder::default().credentials_provider(credentials.clone()))
                .send()
        };
        let mut outcome = send().await.map_err(|error| Failure::of(&error));
        if matches!(&outcome, Err(failure) if failure.was_not_sent()) {
            // Nothing left this machine, so the code is still good.
            outcome = send().await.map_err(|error| Failure::of(&error));
        }
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => return Err(self.explain(failure.meaning(&call), credentials).await),
        };
        let issued = answer.credentials.ok_or_else(|| unreadable(&call))?;
        issue(issued, None, &call)
    }

    /// Starts a session of a role, with or without a code.
    pub(crate) async fn assume_role(&self, request: AssumeRole<'_>) -> Result<Issued, MfaError> {
        let AssumeRole {
            credentials,
            over_mfa,
            role,
            duration,
            device,
        } = request;
        let call = Call {
            context: self.context(device.map(|(serial, _)| serial)),
            access_key_id: credentials.access_key_id(),
            asked: duration.unwrap_or(Duration::from_secs(3600)),
            role: Some(&role.arn),
            over_mfa,
            with_code: device.is_some(),
            clock: &self.clock,
        };
        let session_name = role
            .session_name
            .clone()
            .unwrap_or_else(|| self.session_name());
        let client = if device.is_some() {
            &self.once
        } else {
            &self.retrying
        };
        let send = || {
            client
                .assume_role()
                .role_arn(&role.arn)
                .role_session_name(&session_name)
                .set_external_id(role.external_id.clone())
                .set_duration_seconds(duration.map(seconds))
                .set_serial_number(device.map(|(serial, _)| serial.as_str().to_owned()))
                .set_token_code(device.map(|(_, code)| code.expose().to_owned()))
                .customize()
                .config_override(Builder::default().credentials_provider(credentials.clone()))
                .send()
        };
        let mut outcome = send().await.map_err(|error| Failure::of(&error));
        if matches!(&outcome, Err(failure) if call.with_code && failure.was_not_sent()) {
            outcome = send().await.map_err(|error| Failure::of(&error));
        }
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => return Err(self.explain(failure.meaning(&call), credentials).await),
        };
        let arn = answer.assumed_role_user.map(|user| user.arn);
        let issued = answer.credentials.ok_or_else(|| unreadable(&call))?;
        issue(issued, arn, &call)
    }

    /// Adds whose keys they are, which the error about another user's device needs.
    async fn explain(&self, mut error: MfaError, credentials: &Credentials) -> MfaError {
        if let MfaError::WrongDevice { caller, .. } = &mut error {
            *caller = self.caller_arn(credentials).await;
        }
        error
    }

    /// ARN of the user or role that the credentials belong to, if STS reports it.
    pub(crate) async fn caller_arn(&self, credentials: &Credentials) -> Option<String> {
        let request = self.once.get_caller_identity().customize();
        let answer = request
            .config_override(Builder::default().credentials_provider(credentials.clone()))
            .send()
            .await;
        answer.ok().and_then(|identity| identity.arn)
    }

    /// Named after the time, as botocore does.
    fn session_name(&self) -> String {
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        format!("ssm-mfa-{}", now.unwrap_or_default().as_secs())
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

fn issue(
    issued: aws_sdk_sts::types::Credentials,
    arn: Option<String>,
    call: &Call<'_>,
) -> Result<Issued, MfaError> {
    let expires = SystemTime::try_from(issued.expiration).map_err(|_| unreadable(call))?;
    Ok(Issued {
        credentials: Credentials::new(
            issued.access_key_id,
            issued.secret_access_key,
            Some(issued.session_token),
            Some(expires),
            PROVIDER,
        ),
        expires,
        arn,
    })
}

fn unreadable(call: &Call<'_>) -> MfaError {
    MfaError::Network {
        reason: "the answer contains no credentials".to_owned(),
        code: if call.with_code {
            CodeFate::MaybeUsed
        } else {
            CodeFate::NotInvolved
        },
        context: call.context.clone(),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_smithy_async::time::SystemTimeSource;

    use super::*;

    /// In virtual time: nothing answers on the connection, so only a deadline ends the call.
    #[tokio::test(start_paused = true)]
    async fn call_ends_by_the_configurations_operation_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let limit = Duration::from_secs(7);
        let timeouts = TimeoutConfig::builder().operation_timeout(limit);
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .endpoint_url(format!("http://{address}"))
            .timeout_config(timeouts.build())
            .build();
        let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
        let source = SharedCredentialsProvider::new(keys.clone());
        let clock = SharedTimeSource::new(SystemTimeSource::new());
        let sts = Sts::new(&config, source, None, clock).expect("complete");
        let role = RoleSpec::new("arn:aws:iam::123456789012:role/r");
        let start = tokio::time::Instant::now();
        let call = sts.assume_role(AssumeRole {
            credentials: &keys,
            over_mfa: false,
            role: &role,
            duration: None,
            device: None,
        });
        let error = call.await;
        let error = error.expect_err("no answer");
        assert!(error.to_string().contains("no answer"), "{error}");
        assert_eq!(start.elapsed().as_secs(), limit.as_secs());
    }
}
