//! Values are checked where they enter. Behind this door they stand in URLs, HTTP headers and
//! arguments, where the AWS SDK panics on some of them, or names the network as the culprit.

use crate::error::ConfigError;
use crate::shared_config::strip;

fn refuse(name: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        name: name.into(),
        problem: problem.into(),
    }
}

/// A key or token: it becomes part of an HTTP header. Line ends and blanks around it go; any other
/// character that no header may hold is an error that shows none of it.
///
/// # Errors
/// When it holds a character that AWS's keys never have.
pub(crate) fn secret(name: &str, value: &str) -> Result<String, ConfigError> {
    let value = strip(value);
    let (lines, controls) = (
        value.contains(['\r', '\n']),
        value.contains(char::is_control),
    );
    let blanks = value.contains(char::is_whitespace);
    let problem = match () {
        () if lines => "a line break stands in the middle of it: paste it again, on one line",
        () if controls => "a control character stands in the middle of it: paste it again",
        () if !value.is_ascii() => "it holds characters that are not ASCII: paste it again",
        () if blanks => "a blank stands in the middle of it: paste it again",
        () => return Ok(value.to_owned()),
    };
    Err(refuse(name, problem))
}

/// A value that is no secret: one line without control characters.
///
/// # Errors
/// When it is not.
pub(crate) fn line(name: &str, value: &str) -> Result<String, ConfigError> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.contains(char::is_control) {
        let shown = crate::error::printable(value);
        return Err(refuse(
            name,
            format!("{shown:?} holds a line break or another control character"),
        ));
    }
    if value.contains(char::REPLACEMENT_CHARACTER) {
        let shown = crate::error::printable(value);
        return Err(refuse(name, format!("{shown:?} is not UTF-8")));
    }
    Ok(value.to_owned())
}

/// A region: part of a host name.
///
/// # Errors
/// When it cannot be.
pub(crate) fn region(name: &str, value: &str) -> Result<String, ConfigError> {
    let value = strip(value);
    let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !value.bytes().all(label) || value.starts_with('-') || value.len() > 63 {
        let shown = crate::error::printable(value);
        let problem = format!("invalid region {shown:?}: expected something like eu-west-1");
        return Err(refuse(name, problem));
    }
    Ok(value.to_owned())
}

/// An endpoint: a URL with a host, and what is sent there cannot be read on the way. The SDK panics
/// at an empty one, takes one without a scheme for a network failure, and signs in to SSO by plain
/// http without a word.
///
/// # Errors
/// When it is not.
pub(crate) fn endpoint_url(name: &str, value: &str) -> Result<String, ConfigError> {
    let value = strip(value);
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let start = value.get(..scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| value.get(scheme.len()..))?
    });
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let usable = host.is_some_and(|host| !host.is_empty() && !host.starts_with(':'));
    let odd = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii();
    if !usable || value.contains(odd) {
        let shown = crate::error::printable(value);
        return Err(refuse(
            name,
            format!(
                "the endpoint URL {shown:?} cannot be used: it must begin with https:// (or http:// for a stand-in on this machine) and name a host"
            ),
        ));
    }
    let plain = value
        .get(..5)
        .is_some_and(|it| it.eq_ignore_ascii_case("http:"));
    if plain && !host.is_some_and(is_loopback) {
        let shown = crate::error::printable(value);
        return Err(refuse(
            name,
            format!(
                "the endpoint URL {shown:?} cannot be used: credentials are sent by https:// only, or by http:// to this machine (127.0.0.1, [::1], localhost)"
            ),
        ));
    }
    Ok(value.to_owned())
}

/// Whether a URL's authority is this machine, in the one way of writing it that means nothing else.
fn is_loopback(authority: &str) -> bool {
    // Everything before the last @ is a user's name.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// As botocore reads switches: anything but `true`, in any case, is off.
pub(crate) fn switch(value: &str) -> bool {
    strip(value).eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_lose_line_ends_and_never_show() {
        assert_eq!(secret("X", "\u{a0}abc/+=\r\n").expect("usable"), "abc/+=");
        for (value, words) in [
            ("abc\ndef", "line break"),
            ("abc\u{1b}def", "control character"),
            ("abc def", "blank"),
            ("abcödef", "not ASCII"),
            ("abc\u{200b}def", "not ASCII"),
        ] {
            let error = secret("AWS_SESSION_TOKEN", value)
                .expect_err(words)
                .to_string();
            assert!(error.starts_with("AWS_SESSION_TOKEN: "), "{error}");
            assert!(error.contains(words) && !error.contains("abc"), "{error}");
        }
    }

    #[test]
    fn regions_are_host_labels() {
        assert_eq!(region("r", "eu-west-1 ").expect("usable"), "eu-west-1");
        for wrong in ["eu west", "-x", "é", "a.b", "x\u{0}"] {
            region("r", wrong).expect_err(wrong);
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "http://localhost:4566",
            "HTTP://LocalHost",
            "http://user@127.8.9.1/",
            "https://localstack:4566",
        ] {
            endpoint_url("u", url).expect(url);
        }
        for url in [
            "http://0.0.0.0:1",
            "http://[::]:1",
            "http://10.0.0.1",
            "HTTP://localstack:4566",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1:1@evil.example",
            "http://127.0.0.1\\@evil.example",
            "http://2130706433",
        ] {
            let error = endpoint_url("u", url).expect_err(url).to_string();
            assert!(error.contains("are sent by https:// only"), "{error}");
        }
    }

    #[test]
    fn endpoints_have_a_scheme_and_a_host() {
        for url in ["https://a.b/c", "HTTP://127.0.0.1:80", "http://[::1]:9"] {
            endpoint_url("u", url).expect(url);
        }
        for url in [
            "",
            "localhost:1",
            "ftp://x",
            "https://",
            "http:///p",
            "http://:80",
            "https://a b",
            "https://a\tb",
            "https://ä",
        ] {
            endpoint_url("u", url).expect_err(url);
        }
    }
}
