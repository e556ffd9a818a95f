//! Any text as what services and people give: stream URLs, MFA serial numbers and codes.

use super::sources::{MfaCode, MfaSerial, StreamEndpoint};

/// Stands for a signature or a token.
const MARKER: &str = "query-that-is-secret";

/// Good ones and near misses.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/taro-0a1b?role=publish_subscribe",
        "wss://vpce-0a1b-2c3d.ssmmessages.ap-northeast-1.vpce.amazonaws.com",
        "wss://ssmmessages-fips.us-gov-west-1.amazonaws.com:443/x",
        "wss://ssmmessages.cn-north-1.amazonaws.com.cn/",
        "wss://ssmmessages.us-east-1.amazonaws.com.evil.example/",
        "wss://user:password@ssmmessages.us-east-1.amazonaws.com/?a=b#c",
        "ws://127.0.0.1:8080/v1",
        "ws://[::1]:1/",
        "ws://localhost/",
        "https://ssmmessages.us-east-1.amazonaws.com/",
        "wss://ｓｓｍmessages.us-east-1.amazonaws.com/",
        "arn:aws:iam::123456789012:mfa/taro",
        "arn:aws:iam::123456789012:u2f/user/taro/key",
        "GAHT12345678",
        "123456",
        " 123-456\r\n",
        "１２３４５６",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Reads `data` as each of them.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    stream_url(&text);
    serial(&text);
    code(&text);
}

/// Nothing is connected to but Session Manager, and this machine where that is allowed.
fn stream_url(text: &str) {
    let aws = StreamEndpoint::aws().resolve(text);
    let here = StreamEndpoint::aws().or_loopback().resolve(text);
    if let Ok(url) = &aws {
        assert!(is_session_manager(url), "{url}");
        assert_eq!(here.as_ref(), Ok(url));
    }
    if let Ok(url) = &here {
        let allowed =
            is_session_manager(url) || (matches!(url.scheme(), "ws" | "wss") && is_here(url));
        assert!(allowed, "{url}");
        assert!(url.username().is_empty() && url.password().is_none());
    }
    // What may be a secret is not shown: the query. (The host is, and may hold the same words.)
    let shown = |text: &str| match StreamEndpoint::aws().resolve(text) {
        Ok(_) => String::new(),
        Err(error) => format!("{error} {error:?}"),
    };
    let with_query = shown(&format!("{text}?{MARKER}"));
    assert!(with_query.len() < 5000, "{with_query}");
    if !shown(text).contains(MARKER) {
        assert!(!with_query.contains(MARKER), "{with_query}");
    }
    if let Ok(endpoint) = StreamEndpoint::named(text) {
        let url = endpoint
            .resolve("wss://ssmmessages.us-east-1.amazonaws.com/path?query")
            .expect("the caller named it");
        assert_eq!((url.path(), url.query()), ("/path", Some("query")));
        assert!(url.scheme() == "wss" || is_here(&url), "{url}");
    }
}

fn is_session_manager(url: &url::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let labels: Vec<_> = host.split('.').collect();
    let at = labels
        .iter()
        .rposition(|label| matches!(*label, "ssmmessages" | "ssmmessages-fips"));
    let Some(at) = at else { return false };
    let region = labels.get(at + 1).is_some_and(|label| label.contains('-'));
    let rest = labels.get(at + 2..).unwrap_or_default();
    let vpce = rest.first() == Some(&"vpce");
    let domain = rest.get(usize::from(vpce)..).unwrap_or_default().join(".");
    let owned = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "api.aws",
        "api.amazonwebservices.com.cn",
        "api.amazonwebservices.eu",
        "c2s.ic.gov",
        "api.aws.ic.gov",
        "sc2s.sgov.gov",
        "api.aws.scloud",
        "cloud.adc-e.uk",
        "api.cloud-aws.adc-e.uk",
        "csp.hci.ic.gov",
        "api.aws.hci.ic.gov",
    ];
    let before = if vpce {
        at == 1 && labels.first().is_some_and(|label| !label.is_empty())
    } else {
        at == 0
    };
    url.scheme() == "wss" && region && before && owned.contains(&&*domain)
}

fn is_here(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.octets()[0] == 127,
        Some(url::Host::Ipv6(address)) => address.segments() == [0, 0, 0, 0, 0, 0, 0, 1],
        None => false,
    }
}

fn serial(text: &str) {
    match text.parse::<MfaSerial>() {
        Ok(serial) => {
            assert_eq!(serial.as_str(), text.trim());
            assert!((9..=256).contains(&serial.as_str().chars().count()));
            assert_eq!(serial.to_string().parse(), Ok(serial));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn code(text: &str) {
    let digits: String = text
        .chars()
        .filter_map(|c| match c {
            '0'..='9' => Some(c),
            // Full-width digits stand in the same order.
            '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
            _ => None,
        })
        .collect();
    match text.parse::<MfaCode>() {
        Ok(code) => {
            assert_eq!(digits.len(), 6);
            assert!(digits.parse() == Ok(code.clone()), "another code was read");
            assert!(!format!("{code:?}").contains(&digits));
        }
        Err(error) => assert!(!error.to_string().contains(&digits) || digits.is_empty()),
    }
    if text == digits && digits.len() == 6 {
        assert!(text.parse::<MfaCode>().is_ok());
    }
}
