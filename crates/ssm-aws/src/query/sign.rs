//! Signature Version 4 by the AWS SDK's signer, for requests that no client of the SDK makes.

use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use thiserror::Error;

use crate::causes::cause_chain;

/// A request as it will be sent.
#[derive(Debug, Clone, Copy)]
pub struct RequestToSign<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// Headers to be signed beside those that signing adds.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// The service's name in the signature's scope, such as `ssmmessages`.
    pub service: &'a str,
    /// The region in the signature's scope.
    pub region: &'a str,
}

/// The headers to add to a signed request. They hold the session's token: `Debug` shows none.
#[derive(Clone)]
pub struct SignedHeaders(Vec<(String, String)>);

impl SignedHeaders {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedHeaders(..)")
    }
}

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SignError(String);

impl SignError {
    fn new(error: &(dyn StdError + 'static)) -> Self {
        Self(cause_chain(error))
    }
}

/// Signs a request as of `now`. AWS accepts the signature for five minutes.
///
/// # Errors
/// When the URL or a header cannot be signed.
pub fn sign(
    request: RequestToSign<'_>,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<SignedHeaders, SignError> {
    let identity = Identity::from(credentials.clone());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| SignError::new(&error))?
        .into();
    let signable = SignableRequest::new(
        request.method,
        request.url,
        request.headers.iter().copied(),
        SignableBody::Bytes(request.body),
    )
    .map_err(|error| SignError::new(&error))?;
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &parameters)
        .map_err(|error| SignError::new(&error))?
        .into_parts();
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(SignedHeaders(instructions.headers().map(pair).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(token: Option<&str>) -> SignedHeaders {
        let token = token.map(str::to_owned);
        let keys = Credentials::new("AKIDEXAMPLE", "secret", token, None, "test");
        let request = RequestToSign {
            method: "POST",
            url: "https://iam.amazonaws.com/",
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            body: b"Action=ListMFADevices",
            service: "iam",
            region: "us-east-1",
        };
        sign(request, &keys, SystemTime::UNIX_EPOCH).expect("it can be signed")
    }

    #[test]
    fn signatures_name_scope_and_signed_headers() {
        for (token, names) in [
            (None, "content-type;host;x-amz-date,"),
            (
                Some("t"),
                "content-type;host;x-amz-date;x-amz-security-token,",
            ),
        ] {
            let headers = signed(token);
            let header = |name| headers.iter().find(|(other, _)| *other == name);
            let (_, text) = header("authorization").expect("signed");
            assert!(
                text.contains("/19700101/us-east-1/iam/aws4_request"),
                "{text}"
            );
            assert!(text.contains(&format!("SignedHeaders={names}")), "{text}");
            assert_eq!(
                header("x-amz-security-token").map(|(_, value)| value),
                token
            );
        }
    }

    #[test]
    fn signed_headers_do_not_show_the_token() {
        assert_eq!(format!("{:?}", signed(Some("MARKER"))), "SignedHeaders(..)");
    }
}
