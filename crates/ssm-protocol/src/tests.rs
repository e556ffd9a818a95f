//! Behaviour of whole sessions in virtual time, one group a file. `peer` is one client with the
//! agent played by hand, `pair` is this crate's two roles with a faulty network between them. The
//! client against an agent that is not ours is simulated in `ssm-forward`.

mod acknowledging;
mod bounding;
mod decoding;
mod ending;
mod extreme_settings;
mod faults;
mod handshaking;
mod holding;
mod inquiring;
mod opening;
mod ordering;
mod pair;
mod path;
mod pausing;
mod peer;
mod reconnecting;
mod retransmitting;
mod secrets;
mod unreadable;
mod window;

use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const UNIX_TIME: Duration = Duration::from_secs(1_800_000_000);

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs one instant to count from"
)]
fn start() -> Instant {
    Instant::now()
}
