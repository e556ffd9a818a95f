//! Endpoint URLs: a scheme, a host, and protection for the credentials that are sent there.

use std::net::IpAddr;

use thiserror::Error;

/// Why a service cannot be called at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointUrlError {
    /// It has no scheme, another than `https` and `http`, or no host.
    #[error(
        "it must begin with https:// (or http:// for a stand-in on this machine) and name a host"
    )]
    Malformed,
    /// Plain HTTP to another machine, where anyone on the path reads session tokens and MFA codes.
    #[error(
        "credentials are sent by https:// only, or by http:// to this machine (127.0.0.1, [::1], localhost)"
    )]
    PlainHttp,
}

/// Checks the URL at which a service is to be called.
///
/// The AWS SDK panics on an empty URL, reports one without a scheme as a network failure, and sends
/// credentials over plain HTTP without a warning.
///
/// # Errors
/// When the URL is malformed, or would send credentials unprotected.
pub fn check_endpoint_url(url: &str) -> Result<(), EndpointUrlError> {
    // A backslash separates host and path for some parsers and not for others.
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii() || c == '\\';
    let parts = url.split_once("://").filter(|_| !url.contains(is_odd));
    let (scheme, rest) = parts.ok_or(EndpointUrlError::Malformed)?;
    let host = host(rest).ok_or(EndpointUrlError::Malformed)?;
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(());
    }
    match scheme.eq_ignore_ascii_case("http") {
        true if is_loopback_host(host) => Ok(()),
        true => Err(EndpointUrlError::PlainHttp),
        false => Err(EndpointUrlError::Malformed),
    }
}

/// Whether a URL of any scheme leads to this machine.
pub fn is_loopback_url(url: &str) -> bool {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    rest.and_then(host).is_some_and(is_loopback_host)
}

/// Whether a URL's host is this machine: `localhost`, 127.0.0.0/8 or `[::1]`. Other spellings of
/// those addresses, such as one decimal number, do not count: resolvers disagree about them.
pub fn is_loopback_host(host: &str) -> bool {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = in_brackets.unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The host in what follows a URL's scheme, an IPv6 address with its brackets.
fn host(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    // Everything before the last @ is a user's name and password.
    let authority = authority.rsplit('@').next()?;
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    let sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (sound && !matches!(host, "" | "[]")).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_urls_need_a_scheme_and_a_host() {
        for url in [
            "https://a.b/c",
            "HTTPS://sts.amazonaws.com",
            "https://ssm.eu-west-1.amazonaws.com:8443",
            "https://localstack:4566",
            "HTTP://127.0.0.1:80",
            "http://[::1]:9/p",
            "http://localhost:",
        ] {
            assert_eq!(check_endpoint_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            " ",
            "localhost:1234",
            "nonsense",
            "ftp://127.0.0.1",
            "https://",
            "http:///127.0.0.1",
            "https://user@",
            "http://:80",
            "https://a:b",
            "https://a:65536",
            "https://[]",
            "https://[::1",
            "https://[::1]x",
            "https://a b",
            "https://a\tb",
            "https://ä",
            "http://127.0.0.1\\@evil.example",
            "http://evil.example\\@127.0.0.1",
        ] {
            let error = check_endpoint_url(url);
            assert_eq!(error, Err(EndpointUrlError::Malformed), "{url}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "http://localhost:4566",
            "HTTP://LocalHost",
            "http://user@127.8.9.1/",
        ] {
            assert_eq!(check_endpoint_url(url), Ok(()), "{url}");
        }
        for url in [
            "http://0.0.0.0:1",
            "http://[::]:1",
            "http://10.0.0.1",
            "http://169.254.169.254",
            "HTTP://localstack:4566",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1:1@evil.example",
            "http://localhost@evil.example",
            "http://evil.example#@127.0.0.1",
            "http://2130706433",
        ] {
            let error = check_endpoint_url(url);
            assert_eq!(error, Err(EndpointUrlError::PlainHttp), "{url}");
        }
    }

    #[test]
    fn loopback_is_recognised_in_urls_of_any_scheme() {
        for url in ["ws://127.9.9.9:1", "https://LOCALHOST/x", "wss://[::1]"] {
            assert!(is_loopback_url(url), "{url}");
        }
        for url in [
            "",
            "localhost",
            "wss://evil.example/127.0.0.1",
            "ws://127.0.0.1@h",
        ] {
            assert!(!is_loopback_url(url), "{url}");
        }
    }
}
