//! A status line on the terminal.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use ssm_tunnel::{Stats, Tunnel};

/// How often it is drawn.
const INTERVAL: Duration = Duration::from_secs(1);

/// There is one terminal.
static LINE: OnceLock<ProgressBar> = OnceLock::new();

/// Shows the tunnel's traffic on the last line of the terminal until dropped. Draws nothing if
/// standard error is not a terminal.
#[must_use = "it ends when it is dropped"]
#[derive(Debug)]
pub struct Status(());

impl Status {
    /// Starts showing the line.
    pub fn show() -> Self {
        LINE.get_or_init(|| {
            let target = ProgressDrawTarget::stderr();
            let style = ProgressStyle::with_template("{wide_msg}");
            let line = ProgressBar::with_draw_target(None, target);
            line.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self(())
    }

    /// Keeps the line up to date. Does not return.
    pub async fn follow(&self, tunnels: &[&Tunnel]) {
        let mut ticks = tokio::time::interval(INTERVAL);
        let mut last = (Instant::now(), Stats::default());
        let Some(line) = LINE.get().filter(|line| !line.is_hidden()) else {
            return std::future::pending().await;
        };
        loop {
            let now = (ticks.tick().await.into_std(), sum(tunnels));
            line.set_message(text(&now.1, rate(&last, &now)));
            line.tick();
            last = now;
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        if let Some(line) = LINE.get() {
            line.finish_and_clear();
        }
    }
}

/// Hides the line while something is printed.
pub(super) fn aside<T>(print: impl FnOnce() -> T) -> T {
    match LINE.get() {
        Some(line) => line.suspend(print),
        None => print(),
    }
}

/// The sum over several tunnels; the round trip is that of the slowest.
fn sum(tunnels: &[&Tunnel]) -> Stats {
    let mut total = Stats::default();
    for stats in tunnels.iter().map(|tunnel| tunnel.stats()) {
        total.sent += stats.sent;
        total.received += stats.received;
        total.open_connections += stats.open_connections;
        total.resumes += stats.resumes;
        total.round_trip = total.round_trip.max(stats.round_trip);
    }
    total
}

/// Bytes a second, both ways together.
fn rate(before: &(Instant, Stats), now: &(Instant, Stats)) -> f64 {
    let bytes = |stats: &Stats| stats.sent + stats.received;
    let moved = bytes(&now.1).saturating_sub(bytes(&before.1));
    let took = now.0.saturating_duration_since(before.0).as_secs_f64();
    if took > 0.0 { moved as f64 / took } else { 0.0 }
}

fn text(stats: &Stats, rate: f64) -> String {
    let mut text = format!(
        "{} open, {} up, {} down, {}/s",
        stats.open_connections,
        HumanBytes(stats.sent),
        HumanBytes(stats.received),
        HumanBytes(rate as u64),
    );
    if let Some(round_trip) = stats.round_trip {
        text += &format!(", round trip {:.0} ms", round_trip.as_secs_f64() * 1e3);
    }
    if stats.resumes > 0 {
        text += &format!(", resumed {}x", stats.resumes);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_connections_bytes_rate_round_trip_and_resumes() {
        let mut stats = Stats::default();
        assert_eq!(text(&stats, 0.0), "0 open, 0 B up, 0 B down, 0 B/s");
        stats.open_connections = 2;
        stats.sent = 2048;
        stats.received = 3 << 20;
        stats.round_trip = Some(Duration::from_millis(23));
        stats.resumes = 1;
        assert_eq!(
            text(&stats, 1536.0),
            "2 open, 2.00 KiB up, 3.00 MiB down, 1.50 KiB/s, round trip 23 ms, resumed 1x"
        );
    }

    #[test]
    fn the_rate_is_of_the_last_interval() {
        let start = Instant::now();
        let mut before = Stats::default();
        before.sent = 1000;
        let mut now = before;
        now.sent = 2000;
        now.received = 3000;
        let later = start + Duration::from_secs(2);
        assert_eq!(rate(&(start, before), &(later, now)), 2000.0);
        assert_eq!(rate(&(start, before), &(start, now)), 0.0);
    }
}
