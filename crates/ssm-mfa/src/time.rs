//! Timestamps as text.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};

/// `2026-11-24T12:00:00Z`, in whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let whole = DateTime::from_secs(DateTime::from(time).secs());
    // Only years beyond 9999 cannot be written.
    whole.fmt(Format::DateTime).unwrap_or_default()
}

/// Reads an expiration as the AWS tools write it: `…Z`, `…+00:00`, or `…UTC`.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let zulu = text.strip_suffix("UTC").map(|time| format!("{time}Z"));
    let text = zulu.as_deref().unwrap_or(text);
    let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok()?;
    SystemTime::try_from(time).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn expiration_is_read_in_all_forms_of_the_aws_tools() {
        let moment = UNIX_EPOCH + Duration::from_secs(1_795_521_845);
        for text in [
            "2026-11-24T12:04:05Z",
            "2026-11-24T12:04:05+00:00",
            "2026-11-24T21:04:05+09:00",
            "2026-11-24T12:04:05UTC",
            "2026-11-24T12:04:05.000Z",
        ] {
            assert_eq!(parse(text), Some(moment), "{text}");
        }
        assert_eq!(rfc3339(moment), "2026-11-24T12:04:05Z");
        assert_eq!(
            rfc3339(moment + Duration::from_millis(750)),
            "2026-11-24T12:04:05Z"
        );
        for text in ["", "2026-11-24T12:04:05", "tomorrow", "UTC"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
