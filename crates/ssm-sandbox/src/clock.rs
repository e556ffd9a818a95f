//! The sandbox's wall clock, and AWS's date formats.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far the clock can be advanced in all: years have four digits.
pub(crate) const FURTHEST: Duration = Duration::from_secs(1_000 * 366 * 24 * 3600);

/// The sandbox's wall clock: the system's, plus the time that a test advanced it by.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_secs: Arc<AtomicU64>,
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(self.ahead_secs.load(Ordering::Relaxed))
    }

    /// Lets time pass, in whole seconds: sessions expire, codes change. Up to a thousand years in all.
    pub fn advance(&self, by: Duration) {
        let ahead = |ahead: u64| Some(ahead.saturating_add(by.as_secs()).min(FURTHEST.as_secs()));
        let _ = self
            .ahead_secs
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, ahead);
    }

    pub(crate) fn unix(&self) -> Duration {
        self.now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
    }
}

/// A moment as calendar fields, in UTC (days to civil date: Hinnant, "chrono-compatible
/// low-level date algorithms").
struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: usize,
}

fn civil(unix: Duration) -> Civil {
    let secs = unix.as_secs();
    let days = i64::try_from(secs / 86400).unwrap_or(0);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: u32::try_from(month).unwrap_or(1),
        day: u32::try_from(day).unwrap_or(1),
        hour: secs / 3600 % 24,
        minute: secs / 60 % 60,
        second: secs % 60,
        weekday: usize::try_from((days + 4) % 7).unwrap_or(0),
    }
}

/// `2026-11-24T12:00:00Z`.
pub(crate) fn iso8601(unix: Duration) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        ..
    } = civil(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `20261124T120000Z`, as in `X-Amz-Date`.
pub(crate) fn amz_date(unix: Duration) -> String {
    iso8601(unix).replace(['-', ':'], "")
}

/// Reads `2026-11-24T12:00:00Z`, with or without a fraction of the second.
pub(crate) fn parse_iso8601(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let is_marked = |(at, mark): (usize, u8)| whole.as_bytes().get(at) == Some(&mark);
    let fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 19 || !fraction || !marks.into_iter().all(is_marked) {
        return None;
    }
    parse_amz_date(&format!("{}Z", whole.replace(['-', ':'], "")))
}

/// Reads `20261124T120000Z`.
pub(crate) fn parse_amz_date(text: &str) -> Option<Duration> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes.get(8) != Some(&b'T') || bytes.get(15) != Some(&b'Z') {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !valid {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    u64::try_from(days * 86400 + hour * 3600 + minute * 60 + second)
        .ok()
        .map(Duration::from_secs)
}

/// `Tue, 24 Nov 2026 12:00:00 GMT` (RFC 9110, section 5.6.7).
pub(crate) fn http_date(unix: Duration) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        weekday,
    } = civil(unix);
    let weekday = DAYS.get(weekday).unwrap_or(&"Sun");
    let month = MONTHS.get(month as usize - 1).unwrap_or(&"Jan");
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endlessly_advanced_clock_stops_at_a_valid_date() {
        let clock = Clock::default();
        for _ in 0..3 {
            clock.advance(Duration::MAX);
        }
        assert!(
            iso8601(clock.unix()).starts_with("30"),
            "{}",
            iso8601(clock.unix())
        );
    }

    #[test]
    fn dates_follow_the_calendar_in_every_aws_format() {
        for (secs, iso, http) in [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (
                951_782_400,
                "2000-02-29T00:00:00Z",
                "Tue, 29 Feb 2000 00:00:00 GMT",
            ),
            (
                1_795_521_845,
                "2026-11-24T12:04:05Z",
                "Tue, 24 Nov 2026 12:04:05 GMT",
            ),
            (
                4_102_444_799,
                "2099-12-31T23:59:59Z",
                "Thu, 31 Dec 2099 23:59:59 GMT",
            ),
        ] {
            let unix = Duration::from_secs(secs);
            assert_eq!(iso8601(unix), iso);
            assert_eq!(http_date(unix), http);
            assert_eq!(parse_amz_date(&amz_date(unix)), Some(unix));
            assert_eq!(parse_iso8601(iso), Some(unix));
        }
        assert_eq!(
            parse_iso8601("2000-02-29T00:00:00.250Z"),
            Some(Duration::from_secs(951_782_400))
        );
        for text in [
            "2000-02-29",
            "2000-02-29T00:00:00",
            "2000-02-29T00:00:00.Z",
            "2000-02-29 00:00:00Z",
            "2000-0+-29T00:00:00Z",
        ] {
            assert_eq!(parse_iso8601(text), None, "{text}");
        }
        assert_eq!(parse_amz_date("20261324T000000Z"), None);
    }
}
