//! The port forward against a gateway and an agent, in virtual time: whatever faults a seed produces,
//! nothing is lost, duplicated, reordered or left hanging.
//!
//! The client is the state machine of this crate, driven as a shell drives it. The agent is the
//! sandbox's, which shares no reliability code with it. The gateway between them loses, duplicates,
//! reorders, delays and damages messages, pauses and falls silent. Either websocket breaks at any
//! moment, the agent's also between a message and its acknowledgement; the agent then processes that
//! message again.
//!
//! | variable | meaning |
//! |---|---|
//! | `SSM_SIM_SEED=7` | run this seed alone |
//! | `SSM_SIM_TRACE=1` | print every message |
//! | `SSM_SIM_SEEDS=100000` | run this many seeds, instead of 20,000 |
//! | `SSM_SIM_FROM=20000` | the first seed |

mod flow;
mod local_stream;
mod plan;
mod target;
mod world;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ssm_netem::{SEED_VARIABLE, variable};

use plan::Plan;
use world::World;

const SEEDS: u64 = 20_000;

/// Runs one seed and returns what happened in it.
fn simulate(seed: u64, began: Instant) -> BTreeSet<&'static str> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let plan = Plan::new(&mut dice);
    World::new(plan, dice, began).run()
}

/// If the test panics while this value lives: prints the seed and its plan, and stops the other threads.
struct Replayable<'a> {
    seed: u64,
    next: &'a AtomicU64,
}

impl Drop for Replayable<'_> {
    #[expect(
        clippy::print_stderr,
        reason = "a failed simulation has to name its seed"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let plan = Plan::new(&mut fastrand::Rng::with_seed(self.seed));
            eprintln!("replay with {SEED_VARIABLE}={}\n{plan:#?}", self.seed);
            self.next.store(u64::MAX / 2, Ordering::Relaxed);
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_hangs_whatever_goes_wrong() {
    let began = crate::tests::start();
    let from = variable("SSM_SIM_FROM").unwrap_or(0);
    let next = AtomicU64::new(from);
    if let Some(seed) = variable(SEED_VARIABLE) {
        let _replayable = Replayable { seed, next: &next };
        simulate(seed, began);
        return;
    }
    let end = from + variable("SSM_SIM_SEEDS").unwrap_or(SEEDS);
    let seen = Mutex::new(BTreeSet::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let replayable = Replayable { seed, next: &next };
                    let events = simulate(seed, began);
                    drop(replayable);
                    seen.lock().expect("no thread panicked").extend(events);
                }
            });
        }
    });
    let seen = seen.into_inner().expect("no thread panicked");
    // A simulation in which nothing happens proves nothing.
    for event in [
        "agent blocked",
        "agent cut",
        "agent restarted",
        "asked",
        "client cut",
        "cut between connections",
        "cut by count",
        "paused",
        "paused without a start",
        "processed again",
        "receiving paused",
        "refused",
    ] {
        assert!(seen.contains(event), "in no seed: {event}");
    }
}
