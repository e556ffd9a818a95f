//! The expiry in a process's output.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// RFC 3339, and what botocore reads besides: `+0000` and `UTC` for the zone, a blank for the `T`.
/// Without a zone it is UTC.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.trim_start_matches(['T', 't', ' ']);
    let zone = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.'));
    let (time, zone) = rest.split_at_checked(zone.unwrap_or(rest.len()))?;
    let zone = zone.trim();
    let zone = match zone {
        "" => "Z".to_owned(),
        _ if ["z", "utc", "gmt"]
            .iter()
            .any(|name| zone.eq_ignore_ascii_case(name)) =>
        {
            "Z".to_owned()
        }
        _ => {
            let (sign, digits) = zone.split_at_checked(1)?;
            let digits = digits.replace(':', "");
            let digits = match digits.len() {
                2 => format!("{digits}00"),
                4 => digits,
                _ => return None,
            };
            let (hours, minutes) = digits.split_at_checked(2)?;
            format!("{sign}{hours}:{minutes}")
        }
    };
    let stamp = format!("{date}T{time}{zone}");
    let at = DateTime::from_str(&stamp, Format::DateTimeWithOffset).ok()?;
    SystemTime::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_spelling_of_a_zone_is_read() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_651_516_560);
        for text in [
            "2022-05-02T18:36:00Z",
            "2022-05-02T18:36:00+00:00",
            "2022-05-02T18:36:00+0000",
            "2022-05-02T18:36:00UTC",
            "2022-05-02 18:36:00 UTC",
            "2022-05-02T18:36:00",
            "2022-05-02t18:36:00z",
            "2022-05-02T20:36:00+0200",
            "2022-05-02T13:06:00-05:30",
            "2022-05-02T20:36:00+02",
            " 2022-05-02T18:36:00.000Z\n",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        for text in [
            "",
            "soon",
            "2022-05-02",
            "2022-05-02T18:36:00 CEST",
            "2022-13-02T18:36:00Z",
            "2022-05-02T18:36:00+é",
            "1651516560",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
