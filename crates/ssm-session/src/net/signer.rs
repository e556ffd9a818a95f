//! Signature Version 4 of the websocket's request.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use http::{HeaderMap, HeaderName, HeaderValue};
use ssm_aws::RequestToSign;
use url::Url;

use super::error::ConnectError;
use super::stream_url::is_presigned;

/// The service name in the signature's scope.
const SERVICE: &str = "ssmmessages";

/// Signs the websocket's GET (IAM action `ssmmessages:OpenDataChannel`) with the caller's
/// credentials, again at every connect: a signature is valid for minutes.
#[derive(Clone)]
pub struct Signer {
    credentials: SharedCredentialsProvider,
    region: String,
    /// When the credentials that were used last expire.
    expiry: Arc<Mutex<Option<SystemTime>>>,
    /// The next request is sent unsigned.
    skips_one: Arc<AtomicBool>,
}

impl Signer {
    /// Signs for the session's region, asking the provider for credentials at each connect.
    pub fn new(credentials: SharedCredentialsProvider, region: impl Into<String>) -> Self {
        Self {
            credentials,
            region: region.into(),
            expiry: Arc::default(),
            skips_one: Arc::default(),
        }
    }

    /// Leaves the first request unsigned, and does not ask for credentials for it.
    #[must_use]
    pub fn skip_first(self) -> Self {
        self.skips_one.store(true, Ordering::Relaxed);
        self
    }

    /// When the credentials that were used last expire; `None` where they do not.
    pub fn expiry(&self) -> Option<SystemTime> {
        *self.expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the provider for credentials and returns when they expire.
    pub async fn renewed_expiry(&self) -> Option<SystemTime> {
        let credentials = self.credentials.provide_credentials().await.ok()?;
        self.note(&credentials);
        credentials.expiry()
    }

    fn note(&self, credentials: &Credentials) {
        *self.expiry.lock().unwrap_or_else(PoisonError::into_inner) = credentials.expiry();
    }

    /// The headers to add to a GET of `url`: none when it is presigned, or is to be sent unsigned.
    pub(crate) async fn headers(&self, url: &Url, host: &str) -> Result<HeaderMap, ConnectError> {
        if is_presigned(url) || self.skips_one.swap(false, Ordering::Relaxed) {
            return Ok(HeaderMap::new());
        }
        let credentials = self.credentials.provide_credentials();
        let credentials = credentials.await.map_err(ConnectError::Credentials)?;
        self.note(&credentials);
        self.sign(url, host, credentials)
    }

    fn sign(
        &self,
        url: &Url,
        host: &str,
        credentials: Credentials,
    ) -> Result<HeaderMap, ConnectError> {
        let request = RequestToSign {
            method: "GET",
            url: url.as_str(),
            headers: &[("host", host)],
            body: b"",
            service: SERVICE,
            region: &self.region,
        };
        let signed = ssm_aws::sign(request, &credentials, SystemTime::now())
            .map_err(|error| ConnectError::Sign(error.to_string()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in signed.iter() {
            let unusable = || ConnectError::Sign(format!("{name} cannot be a header"));
            let name = HeaderName::try_from(name).map_err(|_| unusable())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream_url::PRESIGNED;
    use super::*;

    fn signer(session_token: Option<&str>) -> Signer {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            session_token.map(str::to_owned),
            None,
            "test",
        );
        Signer::new(SharedCredentialsProvider::new(credentials), "us-east-1")
    }

    async fn headers(url: &str, session_token: Option<&str>) -> HeaderMap {
        let url = Url::parse(url).expect("a URL");
        signer(session_token)
            .headers(&url, "h.example")
            .await
            .expect("signs")
    }

    #[tokio::test]
    async fn signature_covers_host_date_and_session_token_only() {
        let url = "wss://h.example/v1/data-channel/s?role=publish_subscribe";
        for (session_token, signed) in [
            (
                Some("token"),
                "SignedHeaders=host;x-amz-date;x-amz-security-token,",
            ),
            (None, "SignedHeaders=host;x-amz-date,"),
        ] {
            let headers = headers(url, session_token).await;
            let authorization = headers["authorization"].to_str().expect("ASCII");
            assert!(authorization.contains(signed), "{authorization}");
            assert!(
                authorization.contains("/us-east-1/ssmmessages/aws4_request"),
                "{authorization}"
            );
            assert_eq!(
                headers.contains_key("x-amz-security-token"),
                session_token.is_some()
            );
        }
    }

    #[tokio::test]
    async fn a_skipped_first_request_is_the_only_unsigned_one() {
        let signer = signer(None).skip_first();
        let url = Url::parse("wss://h.example/v1/data-channel/s").expect("a URL");
        let mut signed = Vec::new();
        for _ in 0..3 {
            let headers = signer.headers(&url, "h.example").await.expect("signs");
            signed.push(headers.contains_key("authorization"));
        }
        assert_eq!(signed, [false, true, true]);
    }

    #[tokio::test]
    async fn a_presigned_url_is_used_as_it_is() {
        for parameter in PRESIGNED {
            let url =
                format!("wss://h.example/v1/data-channel/s?role=publish_subscribe&{parameter}=x");
            assert!(headers(&url, None).await.is_empty(), "{parameter}");
        }
    }
}
