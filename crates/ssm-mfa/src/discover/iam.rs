//! One call of IAM, signed here: the SDK for IAM would be many times this crate's size.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::error::MfaError;
use crate::sts::{chain, custom_endpoint, is_protected};

/// AWS IAM API Reference, ListMFADevices: without a name, of the user whose key signs. A user has
/// at most 8 devices, so one page holds them.
const BODY: &str = "Action=ListMFADevices&Version=2010-05-08";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

/// What IAM said.
pub(super) enum Answer {
    /// The serial numbers, of every kind of device.
    Serials(Vec<String>),
    /// The user may not ask.
    Denied(String),
}

/// # Errors
/// When IAM cannot be asked, or answers neither.
pub(super) async fn list_mfa_devices(
    config: &SdkConfig,
    now: SystemTime,
    keys: &Credentials,
) -> Result<Answer, MfaError> {
    let home = Home::of(config);
    let url = custom_endpoint(config, "IAM").unwrap_or(home.url);
    if !is_protected(&url) {
        return Err(MfaError::Devices(format!(
            "the IAM endpoint {url:?} cannot be used: https:// only, or http:// to this machine"
        )));
    }
    let url = format!("{}/", url.trim_end_matches('/'));
    let headers = signature(&url, home.signing_region, now, keys)?;
    let reply = send(config, &url, headers).await?;
    if reply.status == 200 {
        return Ok(Answer::Serials(elements(&reply.body, "SerialNumber")));
    }
    let text = |name: &str| elements(&reply.body, name).into_iter().next();
    let message = text("Message").unwrap_or_default().trim().to_owned();
    match text("Code") {
        Some(code) if code == "AccessDenied" => Ok(Answer::Denied(message)),
        Some(code) => Err(MfaError::Devices(format!("IAM answered {code}: {message}"))),
        None => Err(MfaError::Devices(format!(
            "IAM answered with HTTP status {}",
            reply.status
        ))),
    }
}

/// IAM is one service a partition, in one region of it.
///
/// Source: IAM's endpoint rules, as botocore has them (`iam/2010-05-08/endpoint-rule-set-1.json`).
#[derive(Debug)]
struct Home {
    url: String,
    signing_region: &'static str,
}

impl Home {
    fn of(config: &SdkConfig) -> Self {
        let region = config.region().map_or("", |region| region.as_ref());
        let fips = config.use_fips().unwrap_or_default();
        Self::of_region(region, fips)
    }

    fn of_region(region: &str, fips: bool) -> Self {
        let begins = |prefix: &str| region.starts_with(prefix);
        let (host, signing_region) = match () {
            () if begins("cn-") => ("cn-north-1.amazonaws.com.cn", "cn-north-1"),
            () if begins("us-gov-") => ("us-gov.amazonaws.com", "us-gov-west-1"),
            () if begins("us-iso-") => ("us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            () if begins("us-isob-") => ("us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            () if begins("eu-isoe-") => ("eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
            () if begins("us-isof-") => ("us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
            () if begins("eusc-") => ("eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            () => ("amazonaws.com", "us-east-1"),
        };
        // GovCloud's only endpoint is a FIPS one.
        let service = if fips && !begins("us-gov-") {
            "iam-fips"
        } else {
            "iam"
        };
        Self {
            url: format!("https://{service}.{host}"),
            signing_region,
        }
    }
}

/// Headers of a signed request. Nothing shows them.
struct Signed(Vec<(String, String)>);

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signed(..)")
    }
}

fn signature(
    url: &str,
    region: &str,
    now: SystemTime,
    keys: &Credentials,
) -> Result<Signed, MfaError> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        MfaError::Devices(format!(
            "the request to IAM cannot be signed: {}",
            chain(error)
        ))
    };
    let identity = Identity::from(keys.clone());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("iam")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let headers = std::iter::once(("content-type", CONTENT_TYPE));
    let body = SignableBody::Bytes(BODY.as_bytes());
    let request =
        SignableRequest::new("POST", url, headers, body).map_err(|error| failed(&error))?;
    let signed = sign(request, &parameters).map_err(|error| failed(&error))?;
    let (instructions, _) = signed.into_parts();
    let headers = instructions.headers();
    Ok(Signed(
        headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    ))
}

#[derive(Debug)]
struct Reply {
    status: u16,
    body: String,
}

/// Through the HTTP client of the configuration, with its proxy and authorities.
async fn send(config: &SdkConfig, url: &str, headers: Signed) -> Result<Reply, MfaError> {
    let total = config
        .timeout_config()
        .and_then(TimeoutConfig::operation_timeout);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_timeout(total.unwrap_or(TIMEOUT))
        .build();
    let mut operation = Operation::builder()
        .service_name("iam")
        .operation_name("ListMFADevices")
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(url)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts);
    if let Some(client) = config.http_client() {
        operation = operation.http_client(client);
    }
    if let Some(sleep) = config.sleep_impl() {
        operation = operation.sleep_impl(sleep);
    }
    let operation = operation
        .serializer(|Signed(headers)| {
            let mut request = HttpRequest::new(SdkBody::from(BODY));
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
    let reply = operation.invoke(headers).await;
    reply.map_err(|error| MfaError::Devices(format!("no answer from IAM: {}", chain(&error))))
}

/// The texts of all elements of this name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let found = xml.split(&open).skip(1);
    let texts = found.filter_map(|rest| Some(rest.split_once(&close)?.0));
    texts.map(unescape).collect()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_iam() {
        for (region, fips, url, signing_region) in [
            ("", false, "https://iam.amazonaws.com", "us-east-1"),
            (
                "ap-northeast-1",
                false,
                "https://iam.amazonaws.com",
                "us-east-1",
            ),
            (
                "us-west-2",
                true,
                "https://iam-fips.amazonaws.com",
                "us-east-1",
            ),
            (
                "cn-northwest-1",
                false,
                "https://iam.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                "us-gov-east-1",
                false,
                "https://iam.us-gov.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "us-gov-east-1",
                true,
                "https://iam.us-gov.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "us-iso-west-1",
                false,
                "https://iam.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
            ),
            (
                "us-isob-east-1",
                false,
                "https://iam.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
            ),
            (
                "eu-isoe-west-1",
                false,
                "https://iam.eu-isoe-west-1.cloud.adc-e.uk",
                "eu-isoe-west-1",
            ),
            (
                "us-isof-east-1",
                false,
                "https://iam.us-isof-south-1.csp.hci.ic.gov",
                "us-isof-south-1",
            ),
            (
                "eusc-de-east-1",
                false,
                "https://iam.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
        ] {
            let home = Home::of_region(region, fips);
            assert_eq!(
                (home.url.as_str(), home.signing_region),
                (url, signing_region)
            );
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_gives_what_is_whole() {
        let xml = "<SerialNumber>GAHT12345678</SerialNumber><b/><SerialNumber>a&amp;lt;b</SerialNumber><SerialNumber>cut";
        assert_eq!(elements(xml, "SerialNumber"), ["GAHT12345678", "a&lt;b"]);
        assert!(elements("", "SerialNumber").is_empty());
    }

    #[test]
    fn a_signed_request_does_not_show_its_headers() {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            Some("MARKER".to_owned()),
            None,
            "test",
        );
        let now = SystemTime::UNIX_EPOCH;
        let signed = signature("https://iam.amazonaws.com/", "us-east-1", now, &keys);
        let signed = signed.expect("it can be signed");
        let has = |name: &str| signed.0.iter().any(|(header, _)| header == name);
        assert!(has("authorization") && has("x-amz-security-token"));
        assert_eq!(format!("{signed:?}"), "Signed(..)");
    }
}
