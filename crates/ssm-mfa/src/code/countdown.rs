//! Waits for a device's next code, with a countdown on the terminal.

use std::time::{Duration, SystemTime};

use aws_types::sdk_config::SharedTimeSource;
use tokio::time::{Instant, sleep_until};

use super::terminal;

const TICK: Duration = Duration::from_secs(1);

/// Waits until `not_before` with a countdown on the terminal, if there is one.
pub(crate) async fn until(not_before: Option<SystemTime>, clock: &SharedTimeSource) {
    let left = not_before.and_then(|at| at.duration_since(clock.now()).ok());
    let mut line = Line::default();
    count_down(left.unwrap_or_default(), |text| line.show(text)).await;
}

async fn count_down(time: Duration, mut show: impl FnMut(&str)) {
    // A clock that was set back by years must not overflow the monotonic one.
    let start = Instant::now();
    let end = start.checked_add(time).unwrap_or(start);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let whole = left.as_millis().div_ceil(1000);
        show(&format!("waiting {whole} s for the next MFA code"));
        // Up to the next whole second, so that no number is skipped.
        let over = Duration::from_nanos(u64::from(left.subsec_nanos()));
        let tick = if over.is_zero() { TICK } else { over };
        sleep_until(Instant::now() + tick).await;
    }
}

/// One line of the terminal that is overwritten, and cleared in the end.
#[derive(Default)]
struct Line {
    shown: usize,
}

impl Line {
    fn show(&mut self, text: &str) {
        let width = self.shown.max(text.len());
        // Without a terminal there is nowhere to show it.
        if terminal::say(&format!("\r{text:<width$}")).is_ok() {
            self.shown = text.len();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown > 0 {
            let _ = terminal::say(&format!("\r{:1$}\r", "", self.shown));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn countdown_shows_whole_seconds_and_ends_on_time() {
        let begin = Instant::now();
        let mut shown = Vec::new();
        count_down(Duration::from_millis(3500), |text| {
            shown.push(text.to_owned());
        })
        .await;
        assert_eq!(begin.elapsed(), Duration::from_millis(3500));
        let texts = [4, 3, 2, 1].map(|left| format!("waiting {left} s for the next MFA code"));
        assert_eq!(shown, texts);
    }

    #[tokio::test(start_paused = true)]
    async fn countdown_to_a_past_moment_ends_at_once() {
        let begin = Instant::now();
        let clock = SharedTimeSource::default();
        until(None, &clock).await;
        until(Some(clock.now() - TICK), &clock).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
