//! One call of EC2, signed here: the SDK for EC2 is many times this crate's size.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;

use super::PasswordError;
use crate::causes::{chain, is_about_reaching};
use crate::error::{Error, ServiceError};
use crate::network::{self, CaBundle, Proxy};
use crate::settings::{check, endpoint};

pub(super) const ACTION: &str = "GetPasswordData";
/// The API's version (`ec2/2016-11-15` in botocore).
const VERSION: &str = "2016-11-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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
        None => endpoint(
            &region,
            config.use_fips().unwrap_or_default(),
            config.use_dual_stack().unwrap_or_default(),
        ),
    };
    let call = Call {
        config,
        region,
        url: format!("{}/", url.trim_end_matches('/')),
        body: format!("Action={ACTION}&InstanceId={instance}&Version={VERSION}"),
    };
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match call.attempt(instance).await {
            Err(PasswordError::Service(error)) if error.is_retryable() => {
                tracing::debug!(%error, "trying again");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    call.attempt(instance).await
}

/// Source: EC2's endpoint rules, as botocore has them (`ec2/2016-11-15/endpoint-rule-set-1.json`,
/// `partitions.json`).
fn endpoint(region: &str, fips: bool, dual_stack: bool) -> String {
    let begins = |prefix: &str| region.starts_with(prefix);
    let (domain, dual_stack_domain) = match () {
        () if begins("cn-") => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        () if begins("eusc-") => ("amazonaws.eu", "api.amazonwebservices.eu"),
        () if begins("us-iso-") => ("c2s.ic.gov", "api.aws.ic.gov"),
        () if begins("us-isob-") => ("sc2s.sgov.gov", "api.aws.scloud"),
        () if begins("eu-isoe-") => ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
        () if begins("us-isof-") => ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        () => ("amazonaws.com", "api.aws"),
    };
    let domain = if dual_stack {
        dual_stack_domain
    } else {
        domain
    };
    // GovCloud's IPv4 endpoint is a FIPS one by its usual name.
    let fips = fips && (dual_stack || !begins("us-gov-"));
    let service = if fips { "ec2-fips" } else { "ec2" };
    format!("https://{service}.{region}.{domain}")
}

struct Call<'a> {
    config: &'a SdkConfig,
    region: String,
    url: String,
    body: String,
}

/// Headers of a signed request. Nothing shows them.
struct Signed {
    headers: Vec<(String, String)>,
    body: String,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signed(..)")
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    body: String,
}

impl Call<'_> {
    async fn attempt(&self, instance: &str) -> Result<String, PasswordError> {
        let provider = self
            .config
            .credentials_provider()
            .ok_or(Error::NoCredentials);
        let provider = provider.map_err(PasswordError::Settings)?;
        let keys = provider.provide_credentials().await;
        let keys = keys.map_err(|error| PasswordError::Service(no_credentials(&error)))?;
        let signed = self.sign(keys).map_err(PasswordError::Service)?;
        let reply = self.send(signed).await?;
        read(&reply, instance)
    }

    fn sign(&self, keys: Credentials) -> Result<Signed, ServiceError> {
        let failed = |error: &(dyn std::error::Error + 'static)| ServiceError::NotSent {
            action: ACTION,
            reason: format!("the request cannot be signed: {}", chain(error)),
            retryable: false,
        };
        let identity = Identity::from(keys);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ec2")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let headers = std::iter::once(("content-type", CONTENT_TYPE));
        let body = SignableBody::Bytes(self.body.as_bytes());
        let request = SignableRequest::new("POST", &self.url, headers, body);
        let signed = sign(request.map_err(|error| failed(&error))?, &parameters);
        let (instructions, _) = signed.map_err(|error| failed(&error))?.into_parts();
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Signed {
            headers: instructions.headers().map(pair).collect(),
            body: self.body.clone(),
        })
    }

    /// Through the HTTP client of the configuration, with its proxy and authorities.
    async fn send(&self, signed: Signed) -> Result<Reply, PasswordError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(TIMEOUT)
            .build();
        let mut operation = Operation::builder()
            .service_name("ec2")
            .operation_name(ACTION)
            .behavior_version(BehaviorVersion::v2026_01_12())
            .endpoint_url(&self.url)
            .no_auth()
            .no_retry()
            .timeout_config(timeouts);
        let bundle = CaBundle::from_env();
        let bundle = bundle.map_err(|error| PasswordError::Settings(Error::CaBundle(error)))?;
        let own = || network::http_client(&Proxy::from_env(), bundle.as_ref());
        operation = operation.http_client(self.config.http_client().unwrap_or_else(own));
        if let Some(sleep) = self.config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        let operation = operation
            .serializer(|Signed { headers, body }| {
                let mut request = HttpRequest::new(SdkBody::from(body));
                request.set_method("POST")?;
                request.set_uri("/")?;
                let fixed = ("content-type".to_owned(), CONTENT_TYPE.to_owned());
                for (name, value) in headers.into_iter().chain([fixed]) {
                    request.headers_mut().try_insert(name, value)?;
                }
                Ok(request)
            })
            .deserializer(|response: &HttpResponse| {
                let bytes = response.body().bytes().unwrap_or_default();
                Ok::<_, OrchestratorError<Infallible>>(Reply {
                    status: response.status().as_u16(),
                    body: String::from_utf8_lossy(bytes).into_owned(),
                })
            })
            .build();
        operation.invoke(signed).await.map_err(|error| {
            PasswordError::Service(match &error {
                SdkError::TimeoutError(_) => ServiceError::Timeout { action: ACTION },
                error => ServiceError::unsent(ACTION, error),
            })
        })
    }
}

fn no_credentials(error: &CredentialsError) -> ServiceError {
    ServiceError::Credentials {
        action: ACTION,
        reason: chain(error),
        unreachable: is_about_reaching(error),
    }
}

fn read(reply: &Reply, instance: &str) -> Result<String, PasswordError> {
    let text = |name| element(&reply.body, name);
    let request_id = text("requestId").or_else(|| text("RequestID"));
    if reply.status == 200 {
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

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    // EC2's XML has the five predefined entities, and &#13; for the line ends of passwordData.
    Some(
        text.replace("&#13;", "\r")
            .replace("&#xd;", "\r")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_endpoint() {
        for (region, fips, dual_stack, host) in [
            ("eu-west-1", false, false, "ec2.eu-west-1.amazonaws.com"),
            ("us-east-2", true, false, "ec2-fips.us-east-2.amazonaws.com"),
            ("us-east-2", false, true, "ec2.us-east-2.api.aws"),
            (
                "us-gov-west-1",
                true,
                false,
                "ec2.us-gov-west-1.amazonaws.com",
            ),
            (
                "us-gov-west-1",
                true,
                true,
                "ec2-fips.us-gov-west-1.api.aws",
            ),
            (
                "cn-north-1",
                false,
                false,
                "ec2.cn-north-1.amazonaws.com.cn",
            ),
            (
                "us-isob-east-1",
                false,
                false,
                "ec2.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "eusc-de-east-1",
                false,
                false,
                "ec2.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            assert_eq!(
                endpoint(region, fips, dual_stack),
                format!("https://{host}")
            );
        }
    }

    fn reply(status: u16, body: &str) -> Result<String, PasswordError> {
        let body = body.to_owned();
        read(&Reply { status, body }, "i-1")
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
