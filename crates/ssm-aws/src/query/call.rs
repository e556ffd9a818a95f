//! One call in AWS's query protocol, which STS, IAM and EC2 speak: form fields there, XML back.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use thiserror::Error;

use super::sign::{RequestToSign, SignError, SignedHeaders, sign};
use super::xml;

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Of the whole call, unless the SDK's configuration says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One action of a service that speaks AWS's query protocol.
#[derive(Debug, Clone)]
pub struct QueryCall {
    service: &'static str,
    action: &'static str,
    url: String,
    region: String,
    body: String,
    timeout: Duration,
}

/// Why there is no reply.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The request cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Sign(SignError),
    /// The request was not sent, or its reply did not arrive.
    #[error("no reply")]
    Send(#[source] Box<SdkError<Infallible, HttpResponse>>),
}

/// What a service replied, be it an error.
#[derive(Debug, Clone)]
pub struct QueryReply {
    status: u16,
    body: String,
}

impl QueryCall {
    /// `version` is that of the API, such as `2010-05-08` of IAM. The request goes to the root of
    /// `url` and is signed for `region`.
    pub fn new(
        service: &'static str,
        action: &'static str,
        version: &str,
        url: &str,
        region: impl Into<String>,
    ) -> Self {
        Self {
            service,
            action,
            url: format!("{}/", url.trim_end_matches('/')),
            region: region.into(),
            body: format!("Action={action}&Version={version}"),
            timeout: TIMEOUT,
        }
    }

    /// A field of the form.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.body.push('&');
        encode(name, &mut self.body);
        self.body.push('=');
        encode(value, &mut self.body);
        self
    }

    /// Time allowed for the call where the SDK's configuration sets no operation timeout.
    /// Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends the request once, signed as of `now`, through the configuration's HTTP client.
    ///
    /// # Errors
    /// When there is no reply. A reply that is an error of the service is a [`QueryReply`].
    pub async fn send(
        &self,
        config: &SdkConfig,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<QueryReply, QueryError> {
        let request = RequestToSign {
            method: "POST",
            url: &self.url,
            headers: &[("content-type", CONTENT_TYPE)],
            body: self.body.as_bytes(),
            service: self.service,
            region: &self.region,
        };
        let signed = sign(request, credentials, now).map_err(QueryError::Sign)?;
        let total = config
            .timeout_config()
            .and_then(TimeoutConfig::operation_timeout);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(total.unwrap_or(self.timeout))
            .build();
        let mut operation = Operation::builder()
            .service_name(self.service)
            .operation_name(self.action)
            .behavior_version(BehaviorVersion::v2026_01_12())
            .endpoint_url(&self.url)
            .no_auth()
            .no_retry()
            .timeout_config(timeouts);
        if let Some(client) = config.http_client() {
            operation = operation.http_client(client);
        }
        if let Some(sleep) = config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        let body = self.body.clone();
        let operation = operation
            .serializer(move |signed: SignedHeaders| {
                let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
                request.set_method("POST")?;
                request.set_uri("/")?;
                let fixed = ("content-type", CONTENT_TYPE);
                for (name, value) in signed.iter().chain([fixed]) {
                    let (name, value) = (name.to_owned(), value.to_owned());
                    request.headers_mut().try_insert(name, value)?;
                }
                Ok(request)
            })
            .deserializer(|response: &HttpResponse| {
                let bytes = response.body().bytes().unwrap_or_default();
                Ok::<_, OrchestratorError<Infallible>>(QueryReply {
                    status: response.status().as_u16(),
                    body: String::from_utf8_lossy(bytes).into_owned(),
                })
            })
            .build();
        let reply = operation.invoke(signed).await;
        reply.map_err(|error| QueryError::Send(Box::new(error)))
    }
}

impl QueryReply {
    /// A reply that came some other way, such as in a test.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The text of the first element of this name.
    pub fn text(&self, name: &str) -> Option<String> {
        xml::texts(&self.body, name).next()
    }

    /// The texts of all elements of this name.
    pub fn texts(&self, name: &str) -> Vec<String> {
        xml::texts(&self.body, name).collect()
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters, as SigV4 asks.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                to.push(char::from(byte));
            }
            _ => to.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_percent_encoded() {
        let call = QueryCall::new("ec2", "GetPasswordData", "2016-11-15", "https://h//", "r")
            .parameter("InstanceId", "i-1&x=ä/ ");
        assert_eq!(
            call.body,
            "Action=GetPasswordData&Version=2016-11-15&InstanceId=i-1%26x%3D%C3%A4%2F%20"
        );
        assert_eq!(call.url, "https://h/");
    }
}
