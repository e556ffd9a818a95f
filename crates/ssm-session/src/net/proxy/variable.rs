//! Parses variables such as `HTTPS_PROXY`.

use std::ffi::OsString;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use thiserror::Error;
use url::Host;

/// A proxy variable that cannot be read. No connection bypasses the proxy because of it: those that would
/// use it fail. It does not show the variable's value, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the proxy of {variable} cannot be used: {problem}; it is http://[USER:PASSWORD@]HOST:PORT or socks5://[USER:PASSWORD@]HOST:PORT"
)]
#[non_exhaustive]
pub struct ProxyError {
    /// The variable's name.
    pub variable: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The proxy's URL, without credentials.
pub(in crate::net) fn shown(proxy: &Intercept) -> String {
    proxy.uri().to_string().trim_end_matches('/').to_owned()
}

/// The first of these variables that is set and not empty.
pub(super) fn first(
    names: &[&'static str],
    lookup: &impl Fn(&str) -> Option<OsString>,
) -> Option<(&'static str, OsString)> {
    names.iter().find_map(|name| {
        let value = lookup(name)?;
        let blank = value.to_str().is_some_and(|value| value.trim().is_empty());
        (!blank).then_some((*name, value))
    })
}

/// Reads a proxy's URL as curl, the AWS CLI and browsers write it: without a scheme it is `http`;
/// user and password may be percent-encoded, and may contain anything but the character that ends their
/// part.
pub(super) fn read(variable: &str, value: OsString) -> Result<Intercept, ProxyError> {
    let failed = |problem: &str| ProxyError {
        variable: variable.to_owned(),
        problem: problem.to_owned(),
    };
    let value = value
        .into_string()
        .map_err(|_| failed("it is not Unicode text"))?;
    let url = normal(&value).map_err(|problem| failed(&problem))?;
    // From here on everything is encoded, so that the library reads it as intended.
    let matcher = Matcher::builder().https(url).build();
    let anywhere = Uri::from_static("https://any.invalid/");
    matcher
        .intercept(&anywhere)
        .ok_or_else(|| failed("it is no URL"))
}

/// The same URL in its encoded form.
fn normal(value: &str) -> Result<String, String> {
    let value = value.trim();
    if value.contains(char::is_control) {
        return Err("it holds a control character, such as an end of line".to_owned());
    }
    if value.starts_with(['"', '\'']) {
        return Err("it begins with a quotation mark, which is taken as it stands".to_owned());
    }
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => ("http".to_owned(), value),
    };
    let default_port = match scheme.as_str() {
        "http" => 80,
        "socks5" | "socks5h" => 1080,
        "https" => {
            return Err(
                "proxies that are spoken to by TLS (https://) are not supported; most of them are meant to be http://"
                    .to_owned(),
            );
        }
        "socks" | "socks4" | "socks4a" => {
            return Err(format!("{scheme}:// is not supported"));
        }
        _ => return Err("its scheme is unknown".to_owned()),
    };
    // Passwords may contain an @; hosts do not.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let place = place.strip_suffix('/').unwrap_or(place);
    if place.contains(['/', '?', '#']) {
        return Err(match user {
            Some(_) => "what follows the host is neither a port nor empty".to_owned(),
            None => "what follows the host is neither a port nor empty; / ? and # in a password must be percent-encoded (%2F %3F %23)".to_owned(),
        });
    }
    let (host, port) = host_and_port(place)?;
    let port = port.unwrap_or(default_port);
    let user = match user {
        // RFC 1929: one byte for each length.
        Some(user) if scheme != "http" && user.len() > 255 => {
            return Err("its user and password are too long for SOCKS".to_owned());
        }
        Some(user) => credentials(user)?,
        None => String::new(),
    };
    Ok(format!("{scheme}://{user}{host}:{port}"))
}

fn host_and_port(text: &str) -> Result<(Host, Option<u16>), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = port
        .filter(|port| !port.is_empty())
        .map(|port| port.parse::<u16>().ok().filter(|port| *port > 0))
        .map(|port| port.ok_or("its port is no number from 1 to 65535".to_owned()))
        .transpose()?;
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    // Letters beyond ASCII become what resolvers accept (IDNA).
    let host = Host::parse(host).map_err(|_| {
        "its host is neither a name nor an address (an IPv6 address needs brackets)".to_owned()
    })?;
    Ok((host, port))
}

/// `USER:PASSWORD@`, encoded.
fn credentials(text: &str) -> Result<String, String> {
    if text.contains(['/', '?', '#']) {
        return Err(
            "/ ? and # in its user or password must be percent-encoded (%2F %3F %23)".to_owned(),
        );
    }
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (decoded(user), Some(decoded(password))),
        None => (decoded(text), None),
    };
    if user.contains(&b':') {
        return Err("its user holds a colon, which a proxy cannot be told".to_owned());
    }
    if str::from_utf8(&user).is_err()
        || password
            .as_ref()
            .is_some_and(|it| str::from_utf8(it).is_err())
    {
        return Err("its user or password is not UTF-8 once it is decoded".to_owned());
    }
    let password = password.map_or_else(String::new, |it| format!(":{}", encoded(&it)));
    Ok(format!("{}{password}@", encoded(&user)))
}

/// Decodes `%40` to `@`; a `%` that begins no such code is itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let pair = match others {
            [high, low, ..] if first == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        match pair.map(|(high, low)| u8::try_from(high * 16 + low)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                rest = others.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    bytes
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(value: &str) -> Result<Intercept, ProxyError> {
        read("HTTPS_PROXY", value.into())
    }

    fn basic(value: &str) -> String {
        let proxy = proxy(value).unwrap_or_else(|error| panic!("{value}: {error}"));
        let header = proxy.basic_auth().expect("credentials");
        header.to_str().expect("Base64").to_owned()
    }

    #[test]
    fn proxy_urls_are_read_as_commonly_written() {
        for (value, uri) in [
            ("http://proxy:3128", "http://proxy:3128/"),
            ("http://proxy:3128/", "http://proxy:3128/"),
            ("  http://proxy:3128\n", "http://proxy:3128/"),
            ("proxy:3128", "http://proxy:3128/"),
            ("proxy", "http://proxy:80/"),
            ("10.0.0.1:8080", "http://10.0.0.1:8080/"),
            ("HTTP://Proxy.Corp:3128", "http://proxy.corp:3128/"),
            ("http://proxy", "http://proxy:80/"),
            ("http://proxy:", "http://proxy:80/"),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128/"),
            ("[::1]:3128", "http://[::1]:3128/"),
            ("[::1]", "http://[::1]:80/"),
            ("http://bücher.example:1", "http://xn--bcher-kva.example:1/"),
            ("socks5://proxy", "socks5://proxy:1080/"),
            ("socks5h://127.0.0.1:9", "socks5h://127.0.0.1:9/"),
            ("SOCKS5://u:p@proxy:9", "socks5://proxy:9/"),
        ] {
            let read = proxy(value).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!(read.uri().to_string(), uri, "{value}");
        }
    }

    #[test]
    fn user_and_password_may_hold_any_unambiguous_text() {
        for (value, user_and_password) in [
            ("http://user:p%40ss@proxy:1", "user:p@ss"),
            ("http://user:p@ss@proxy:1", "user:p@ss"),
            (r"http://DOMAIN\user:pw@proxy:1", r"DOMAIN\user:pw"),
            ("http://DOMAIN%5Cuser:pw@proxy:1", r"DOMAIN\user:pw"),
            ("http://a b:c d@proxy:1", "a b:c d"),
            (r#"http://a"b:c'd`@proxy:1"#, r#"a"b:c'd`"#),
            ("http://jörg:Grüße@proxy:1", "jörg:Grüße"),
            ("http://user:a:b@proxy:1", "user:a:b"),
            ("http://user:100%@proxy:1", "user:100%"),
            ("http://user:%zz%4@proxy:1", "user:%zz%4"),
            ("http://user:a%2Fb%3Fc%23d@proxy:1", "user:a/b?c#d"),
            (
                "http://user:<>{}|^[]$&+,;=!*()@proxy:1",
                "user:<>{}|^[]$&+,;=!*()",
            ),
            ("http://user:@proxy:1", "user:"),
            ("http://user@proxy:1", "user:"),
            ("user:pw@proxy:1", "user:pw"),
        ] {
            let mut matcher = Matcher::builder();
            let escaped = encoded(user_and_password.as_bytes()).replacen("%3A", ":", 1);
            matcher = matcher.https(format!("http://{escaped}@x"));
            let same = matcher.build().intercept(&Uri::from_static("https://y"));
            let same = same
                .expect("a proxy")
                .basic_auth()
                .expect("credentials")
                .clone();
            assert_eq!(basic(value), same, "{value}");
        }
        let socks = proxy(r"socks5://DOMAIN\user:p@s s@proxy").expect("a proxy");
        assert_eq!(socks.raw_auth(), Some((r"DOMAIN\user", "p@s s")));
    }

    #[test]
    fn unreadable_proxy_error_names_the_variable_never_its_value() {
        for (value, words) in [
            ("http://", "names no host"),
            ("http://:3128", "names no host"),
            ("http://user:MARKER@", "names no host"),
            ("http://user:MARKER@proxy:99999", "its port"),
            ("http://user:MARKER@proxy:0", "its port"),
            ("http://user:MARKER@proxy:port", "its port"),
            ("http://user:MARKER@pro xy:1", "its host"),
            ("http://user:MARKER@fd00::1:1", "its host"),
            ("http://user:MARK/ER@proxy:1", "percent-encoded"),
            ("http://user:MARK#ER@proxy:1", "percent-encoded"),
            ("http://proxy:1/MARKER.pac", "neither a port nor empty"),
            ("http://us%3Aer:MARKER@proxy:1", "colon"),
            ("http://user:MARKER%ff@proxy:1", "UTF-8"),
            ("https://user:MARKER@proxy:1", "by TLS"),
            ("socks4://MARKER@proxy:1", "socks4:// is not supported"),
            ("ftp://MARKER@proxy:1", "its scheme is unknown"),
            ("\"http://user:MARKER@proxy:1\"", "quotation mark"),
            ("'http://user:MARKER@proxy:1'", "quotation mark"),
            ("http://user:MARK\nER@proxy:1", "control character"),
        ] {
            let error = proxy(value).expect_err(value);
            let text = format!("{error} {error:?}");
            assert!(text.contains("HTTPS_PROXY"), "{text}");
            assert!(text.contains(words), "{value}: {words} is not in {text}");
            assert!(!text.contains("MARK"), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn non_unicode_value_is_refused() {
        use std::os::unix::ffi::OsStringExt as _;
        let value = OsString::from_vec(b"http://\xff:1".to_vec());
        let error = read("all_proxy", value).expect_err("no text");
        assert!(error.to_string().contains("all_proxy"), "{error}");
    }

    #[test]
    fn the_first_variable_with_a_value_counts() {
        let lookup = |name: &str| match name {
            "a" => Some("".into()),
            "b" => Some("  ".into()),
            "c" => Some("x".into()),
            _ => None,
        };
        assert_eq!(
            first(&["z", "a", "b", "c"], &lookup),
            Some(("c", "x".into()))
        );
        assert_eq!(first(&["z", "a"], &lookup), None);
    }
}
