//! Values are checked where they enter. Behind this door they stand in URLs, HTTP headers and
//! arguments, where the AWS SDK panics on some of them, or names the network as the culprit.

use crate::config::error::ConfigError;
use crate::config::shared_config::strip;
use crate::endpoint::{check_endpoint_url, check_region};
use crate::printable::printable;

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
        let shown = printable(value);
        return Err(refuse(
            name,
            format!("{shown:?} holds a line break or another control character"),
        ));
    }
    if value.contains(char::REPLACEMENT_CHARACTER) {
        let shown = printable(value);
        return Err(refuse(name, format!("{shown:?} is not UTF-8")));
    }
    Ok(value.to_owned())
}

/// A region.
///
/// # Errors
/// When it cannot be part of a host name.
pub(crate) fn region(name: &str, value: &str) -> Result<String, ConfigError> {
    let value = strip(value);
    check_region(value).map_err(|error| refuse(name, error.to_string()))?;
    Ok(value.to_owned())
}

/// The URL of an endpoint.
///
/// # Errors
/// When no service can be called there, or credentials would be sent unprotected.
pub(crate) fn endpoint_url(name: &str, value: &str) -> Result<String, ConfigError> {
    let value = strip(value);
    check_endpoint_url(value).map_err(|problem| {
        let shown = printable(value);
        let problem = format!("the endpoint URL {shown:?} cannot be used: {problem}");
        refuse(name, problem)
    })?;
    Ok(value.to_owned())
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
    fn regions_and_endpoints_lose_blanks_around_them() {
        assert_eq!(region("r", "eu-west-1 ").expect("usable"), "eu-west-1");
        let url = endpoint_url("u", " https://a.b ").expect("usable");
        assert_eq!(url, "https://a.b");
    }

    #[test]
    fn regions_and_endpoints_are_refused_by_name_and_text() {
        let error = region("region of profile a", "eu west").expect_err("a blank");
        let text =
            "region of profile a: invalid region \"eu west\": expected something like eu-west-1";
        assert_eq!(error.to_string(), text);
        for (url, words) in [
            (
                "",
                "the endpoint URL \"\" cannot be used: it must begin with https://",
            ),
            ("http://10.0.0.1", "are sent by https:// only"),
        ] {
            let error = endpoint_url("AWS_ENDPOINT_URL", url)
                .expect_err(url)
                .to_string();
            assert!(error.starts_with("AWS_ENDPOINT_URL: "), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }
}
