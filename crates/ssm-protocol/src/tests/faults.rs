use std::time::Duration;

use fastrand::Rng;
use ssm_netem::{Faults, seeds, up_to};

use super::MS;
use super::pair::{Incident, Pair, Side};
use crate::{SessionConfig, SessionEvent};

const MINUTE: Duration = Duration::from_secs(60);

fn transfer(seed: u64, faults: Faults) -> Pair {
    let mut random = Rng::with_seed(seed);
    let (upload, download) = (bytes(&mut random, 30_000), bytes(&mut random, 30_000));
    Pair::new(seed, SessionConfig::default(), faults, upload, download)
}

fn bytes(random: &mut Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

/// Runs to the end and returns how many messages were sent again, by client and agent.
fn finish(pair: &mut Pair, longest: Duration) -> (u64, u64) {
    pair.run(longest);
    assert_eq!(pair.client.sends, pair.agent.received);
    assert_eq!(pair.agent.sends, pair.client.received);
    for end in [&pair.client, &pair.agent] {
        let ready = |event: &&SessionEvent| matches!(event, SessionEvent::Ready(_));
        assert_eq!(end.events.iter().filter(ready).count(), 1);
        assert_eq!(end.session.stats().unacknowledged, 0);
        assert_eq!(end.session.stats().reordering, 0);
    }
    (
        pair.client.session.stats().retransmitted,
        pair.agent.session.stats().retransmitted,
    )
}

fn distance() -> Faults {
    Faults {
        latency: 25 * MS,
        ..Faults::default()
    }
}

#[test]
fn a_sound_network_needs_no_retransmission() {
    for seed in seeds(5) {
        let mut pair = transfer(seed, distance());
        assert_eq!(finish(&mut pair, MINUTE), (0, 0));
        assert_eq!(pair.client.session.stats().duplicates, 0);
        assert_eq!(pair.agent.session.stats().duplicates, 0);
    }
}

#[test]
fn everything_arrives_despite_20_percent_loss() {
    for seed in seeds(20) {
        let mut pair = transfer(
            seed,
            Faults {
                drop: 0.2,
                ..distance()
            },
        );
        let (client, agent) = finish(&mut pair, 5 * MINUTE);
        assert!(client > 0 && agent > 0);
    }
}

#[test]
fn everything_arrives_once_when_every_message_doubles() {
    for seed in seeds(20) {
        let mut pair = transfer(
            seed,
            Faults {
                duplicate: 1.0,
                ..distance()
            },
        );
        finish(&mut pair, MINUTE);
        assert!(pair.client.session.stats().duplicates > 0);
        assert!(pair.agent.session.stats().duplicates > 0);
    }
}

#[test]
fn everything_arrives_in_order_over_a_network_that_shuffles() {
    for seed in seeds(20) {
        let faults = Faults {
            jitter: 80 * MS,
            late: 0.02,
            ..distance()
        };
        finish(&mut transfer(seed, faults), MINUTE);
    }
}

#[test]
fn damaged_messages_are_dropped_and_sent_again() {
    for seed in seeds(20) {
        let mut pair = transfer(
            seed,
            Faults {
                damage: 0.1,
                ..distance()
            },
        );
        finish(&mut pair, 5 * MINUTE);
        assert!(pair.client.session.stats().bad + pair.agent.session.stats().bad > 0);
    }
}

#[test]
fn cuts_on_either_side_lose_and_double_nothing() {
    for seed in seeds(40) {
        let mut pair = transfer(seed, distance());
        for _ in 0..6 {
            let side = [Side::Client, Side::Agent][pair.random.usize(0..2)];
            let after = up_to(&mut pair.random, 600 * MS);
            let down = up_to(&mut pair.random, 3000 * MS);
            pair.plan(after, side, Incident::Cut(down));
        }
        finish(&mut pair, MINUTE);
    }
}

#[test]
fn pauses_of_publication_lose_nothing() {
    for seed in seeds(20) {
        let mut pair = transfer(seed, distance());
        for _ in 0..6 {
            let side = [Side::Client, Side::Agent][pair.random.usize(0..2)];
            let after = up_to(&mut pair.random, 600 * MS);
            let long = up_to(&mut pair.random, 3000 * MS);
            pair.plan(after, side, Incident::Pause(long));
        }
        finish(&mut pair, MINUTE);
    }
}

#[test]
fn lost_acknowledgement_does_not_wedge_the_transfer() {
    // One side resends only what it has no acknowledgement of; without the other acknowledging
    // duplicates again, the front of its queue would stay there for ever.
    for seed in seeds(20) {
        let mut pair = transfer(seed, distance());
        // Just when the first data was handled and its acknowledgements are on their way.
        for at in [160, 170, 180, 190] {
            pair.plan(at * MS, Side::Client, Incident::Cut(1 * MS));
        }
        finish(&mut pair, MINUTE);
    }
}

#[test]
fn all_faults_together_lose_and_double_nothing() {
    for seed in seeds(500) {
        let mut random = Rng::with_seed(seed ^ 0x5353_4d00);
        let config = SessionConfig {
            max_payload: random.usize(100..1025),
            min_window: random.usize(2048..16_384),
            max_window: random.usize(16_384..200_000),
            // From a few messages on: what is refused comes again, but slowly.
            reorder_bytes: random.usize(1500..40_000),
            ..SessionConfig::default()
        };
        let faults = Faults {
            latency: up_to(&mut random, 150 * MS),
            jitter: up_to(&mut random, 30 * MS),
            drop: 0.25 * random.f64(),
            duplicate: 0.25 * random.f64(),
            late: 0.05 * random.f64(),
            damage: 0.1 * random.f64(),
            ..Faults::default()
        };
        let (up, down) = (random.usize(0..30_000), random.usize(0..30_000));
        let (upload, download) = (bytes(&mut random, up), bytes(&mut random, down));
        let mut pair = Pair::new(seed, config, faults, upload, download);
        for _ in 0..random.u64(0..8) {
            let side = [Side::Client, Side::Agent][random.usize(0..2)];
            let long = up_to(&mut random, 4000 * MS);
            let incident = match random.u64(0..2) {
                0 => Incident::Cut(long),
                _ => Incident::Pause(long),
            };
            pair.plan(up_to(&mut random, 10_000 * MS), side, incident);
        }
        finish(&mut pair, 30 * MINUTE);
    }
}
