//! Verifies AWS Signature Version 4, header and query form, from its specification (AWS IAM User
//! Guide, "Create a signed AWS API request") rather than with the signer that the clients use.

use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::clock::{amz_date, parse_amz_date};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a request's date may be from the service's.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// What is signed of a request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    pub(crate) service: &'a str,
}

/// The credentials that a request names, before its signature is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) access_key_id: String,
    pub(crate) session_token: Option<String>,
}

/// Why a signature is refused. The texts are the service's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SignatureError {
    #[error("Request is missing Authentication Token")]
    Missing,
    #[error("{0}")]
    Incomplete(String),
    #[error("Credential should be scoped to correct service: '{0}'.")]
    Scope(String),
    #[error("{0}")]
    Skewed(String),
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

struct Parts {
    access_key_id: String,
    scope: [String; 3],
    signed_headers: Vec<String>,
    signature: String,
    date: String,
    session_token: Option<String>,
    expires: Option<Duration>,
}

/// Checks a request's signature with the secret that `secret` finds for its claim.
pub(crate) fn verify<E: From<SignatureError>>(
    request: &Request<'_>,
    now: Duration,
    secret: impl FnOnce(&Claim) -> Result<String, E>,
) -> Result<(), E> {
    let parts = parts(request)?;
    let [scope_date, _region, service] = &parts.scope;
    if service != request.service {
        return Err(SignatureError::Scope(request.service.to_owned()).into());
    }
    let date = parse_amz_date(&parts.date)
        .filter(|_| parts.date.starts_with(scope_date.as_str()))
        .ok_or_else(|| {
            SignatureError::Incomplete("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP".to_owned())
        })?;
    check_date(date, now, parts.expires)?;
    let signed = |name: &str| parts.signed_headers.iter().any(|header| header == name);
    let token_is_loose = parts.expires.is_none()
        && (!signed("x-amz-date")
            || (parts.session_token.is_some() && !signed("x-amz-security-token")));
    if !signed("host") || token_is_loose {
        return Err(SignatureError::Mismatch.into());
    }
    let secret = secret(&Claim {
        access_key_id: parts.access_key_id.clone(),
        session_token: parts.session_token.clone(),
    })?;
    let is_good =
        |plus| signature(request, &parts, &secret, plus).is_some_and(|it| it == parts.signature);
    // A cell-number may have plus signs: AWS's signers for Rust and Go read them as blanks.
    if is_good(Plus::Itself) || is_good(Plus::Blank) {
        Ok(())
    } else {
        Err(SignatureError::Mismatch.into())
    }
}

fn check_date(
    date: Duration,
    now: Duration,
    expires: Option<Duration>,
) -> Result<(), SignatureError> {
    let latest = date.saturating_add(expires.unwrap_or(MAX_SKEW));
    if now > latest {
        return Err(SignatureError::Skewed(format!(
            "Signature expired: {} is now earlier than {} ({} - 5 min.)",
            amz_date(date),
            amz_date(now.saturating_sub(MAX_SKEW)),
            amz_date(now)
        )));
    }
    if date > now + MAX_SKEW {
        return Err(SignatureError::Skewed(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            amz_date(date),
            amz_date(now + MAX_SKEW),
            amz_date(now)
        )));
    }
    Ok(())
}

fn parts(request: &Request<'_>) -> Result<Parts, SignatureError> {
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if let Some(authorization) = header("authorization") {
        let fields = authorization.strip_prefix(ALGORITHM).ok_or_else(|| {
            SignatureError::Incomplete("Authorization header requires AWS4-HMAC-SHA256".to_owned())
        })?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(name))
        };
        let credential = field("Credential")?;
        return build(
            credential,
            field("SignedHeaders")?,
            field("Signature")?,
            header("x-amz-date").ok_or_else(|| incomplete("X-Amz-Date"))?,
            header("x-amz-security-token").map(str::to_owned),
            None,
        );
    }
    let query = pairs(request.query);
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    if parameter("X-Amz-Algorithm") != Some(ALGORITHM) {
        return Err(SignatureError::Missing);
    }
    let required = |name: &str| parameter(name).ok_or_else(|| incomplete(name));
    let expires = required("X-Amz-Expires")?
        .parse()
        .map_err(|_| incomplete("X-Amz-Expires"))?;
    build(
        required("X-Amz-Credential")?,
        required("X-Amz-SignedHeaders")?,
        required("X-Amz-Signature")?,
        required("X-Amz-Date")?,
        parameter("X-Amz-Security-Token").map(str::to_owned),
        Some(Duration::from_secs(expires)),
    )
}

fn incomplete(what: &str) -> SignatureError {
    SignatureError::Incomplete(format!("Authorization header requires '{what}' parameter."))
}

fn build(
    credential: &str,
    signed_headers: &str,
    signature: &str,
    date: &str,
    session_token: Option<String>,
    expires: Option<Duration>,
) -> Result<Parts, SignatureError> {
    let fields: Vec<&str> = credential.split('/').collect();
    let [access_key_id, scope_date, region, service, "aws4_request"] = fields.as_slice() else {
        return Err(incomplete("Credential"));
    };
    Ok(Parts {
        access_key_id: (*access_key_id).to_owned(),
        scope: [*scope_date, *region, *service].map(str::to_owned),
        signed_headers: signed_headers
            .split(';')
            .map(str::to_ascii_lowercase)
            .collect(),
        signature: signature.to_owned(),
        date: date.to_owned(),
        session_token,
        expires,
    })
}

fn signature(request: &Request<'_>, parts: &Parts, secret: &str, plus: Plus) -> Option<String> {
    let canonical = canonical_request(request, parts, plus);
    let [date, region, service] = &parts.scope;
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("{ALGORITHM}\n{}\n{scope}\n{digest}", parts.date);
    let mut key = mac(format!("AWS4{secret}").as_bytes(), date)?;
    for part in [region.as_str(), service, "aws4_request", &text] {
        key = mac(&key, part)?;
    }
    Some(hex(&key))
}

/// What a plus sign in a query means to the signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plus {
    Itself,
    Blank,
}

fn canonical_request(request: &Request<'_>, parts: &Parts, plus: Plus) -> String {
    let pairs = match plus {
        Plus::Itself => pairs(request.query),
        Plus::Blank => form_pairs(request.query),
    };
    let mut query: Vec<(String, String)> = pairs
        .into_iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&name, false), encode(&value, false)))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut headers = String::new();
    for name in &parts.signed_headers {
        let values: Vec<String> = request
            .headers
            .get_all(name.as_str())
            .iter()
            .map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        encode(request.path, true),
        query.join("&"),
        parts.signed_headers.join(";"),
        hex(&Sha256::digest(request.body))
    )
}

/// The decoded parameters of a query; a plus sign means itself there.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    form_pairs(&query.replace('+', "%2B"))
}

fn form_pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if keep_slash => encoded.push('/'),
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

fn mac(key: &[u8], text: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
