//! Requests signed by the SDK, changed, old and scoped wrongly.

use std::time::UNIX_EPOCH;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::HeaderValue;

use super::*;

const NOW: Duration = Duration::from_secs(1_795_000_000);
const PATH: &str = "/v1/data-channel/user-0123";
const QUERY: &str = "role=publish_subscribe&b=a%20c";

fn signed(token: Option<&str>) -> HeaderMap {
    let credentials = Credentials::new(
        "AKIDEXAMPLE",
        "secret",
        token.map(str::to_owned),
        None,
        "test",
    );
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("ssmmessages")
        .time(UNIX_EPOCH + NOW)
        .settings(SigningSettings::default())
        .build()
        .expect("complete")
        .into();
    let url = format!("wss://h.example{PATH}?{QUERY}");
    let host = std::iter::once(("host", "h.example"));
    let request =
        SignableRequest::new("GET", url, host, SignableBody::Bytes(b"body")).expect("a request");
    let (instructions, _) = sign(request, &params).expect("signs").into_parts();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("h.example"));
    for header in instructions.into_parts().0 {
        headers.insert(
            header.name(),
            HeaderValue::from_str(header.value()).expect("ASCII"),
        );
    }
    headers
}

fn request(headers: &HeaderMap) -> Request<'_> {
    Request {
        method: "GET",
        path: PATH,
        query: QUERY,
        headers,
        body: b"body",
        service: "ssmmessages",
    }
}

fn check(request: &Request<'_>, now: Duration, secret: &str) -> Result<(), SignatureError> {
    verify(request, now, |_| Ok(secret.to_owned()))
}

#[test]
fn requests_signed_by_the_sdk_are_accepted() {
    for token in [None, Some("token")] {
        let headers = signed(token);
        let claim = Claim {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            session_token: token.map(str::to_owned),
        };
        let outcome: Result<(), SignatureError> = verify(&request(&headers), NOW, |found| {
            assert_eq!(*found, claim);
            Ok("secret".to_owned())
        });
        assert_eq!(outcome, Ok(()));
    }
}

#[test]
fn an_endless_presigned_request_does_not_panic() {
    let query = format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AKIDEXAMPLE%2F{}%2Fus-east-1%2Fssmmessages%2Faws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Date={}&X-Amz-Expires={}",
        &amz_date(NOW)[..8],
        amz_date(NOW),
        u64::MAX
    );
    let headers = HeaderMap::new();
    let request = Request {
        query: &query,
        ..request(&headers)
    };
    let outcome = check(&request, NOW, "secret");
    assert_eq!(outcome, Err(SignatureError::Mismatch));
}

#[test]
fn changes_after_signing_are_refused() {
    let headers = signed(Some("token"));
    let mismatch = Err(SignatureError::Mismatch);
    assert_eq!(check(&request(&headers), NOW, "other"), mismatch);
    assert_eq!(
        check(
            &Request {
                body: b"other",
                ..request(&headers)
            },
            NOW,
            "secret"
        ),
        mismatch
    );
    assert_eq!(
        check(
            &Request {
                path: "/other",
                ..request(&headers)
            },
            NOW,
            "secret"
        ),
        mismatch
    );
    assert_eq!(
        check(
            &Request {
                query: "role=x",
                ..request(&headers)
            },
            NOW,
            "secret"
        ),
        mismatch
    );
    assert_eq!(
        check(
            &Request {
                method: "POST",
                ..request(&headers)
            },
            NOW,
            "secret"
        ),
        mismatch
    );
    let mut other = headers.clone();
    other.insert("host", HeaderValue::from_static("evil.example"));
    assert_eq!(check(&request(&other), NOW, "secret"), mismatch);
    let mut unsigned_token = signed(None);
    unsigned_token.insert("x-amz-security-token", HeaderValue::from_static("token"));
    assert_eq!(check(&request(&unsigned_token), NOW, "secret"), mismatch);
}

#[test]
fn old_and_early_dates_other_services_and_no_signature_fail() {
    let headers = signed(None);
    let late = check(&request(&headers), NOW + Duration::from_secs(301), "secret");
    assert!(
        matches!(late, Err(SignatureError::Skewed(text)) if text.starts_with("Signature expired"))
    );
    let early = check(&request(&headers), NOW - Duration::from_secs(301), "secret");
    assert!(
        matches!(early, Err(SignatureError::Skewed(text)) if text.starts_with("Signature not yet"))
    );
    let other = check(
        &Request {
            service: "sts",
            ..request(&headers)
        },
        NOW,
        "secret",
    );
    assert_eq!(other, Err(SignatureError::Scope("sts".to_owned())));
    let none = HeaderMap::new();
    assert_eq!(
        check(&request(&none), NOW, "secret"),
        Err(SignatureError::Missing)
    );
}
