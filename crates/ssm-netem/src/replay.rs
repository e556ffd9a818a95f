//! Seeds: which ones a test runs, and the name of the one that failed.

use std::ops::Range;

/// The variable that replays one seed.
pub const SEED_VARIABLE: &str = "SSM_SIM_SEED";

/// The number in an environment variable.
///
/// # Panics
///
/// If it is set to anything else.
pub fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("the variable is a number"))
}

/// The seeds of a test: `count` of them, or the one in [`SEED_VARIABLE`].
pub fn seeds(count: u64) -> Range<u64> {
    variable(SEED_VARIABLE).map_or(0..count, |seed| seed..seed.saturating_add(1))
}

/// Prints the seed if a test panics while this value lives.
#[derive(Debug)]
pub struct Replayable(pub u64);

impl Drop for Replayable {
    #[expect(
        clippy::print_stderr,
        reason = "a failed simulation has to name its seed"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with {SEED_VARIABLE}={}", self.0);
        }
    }
}
