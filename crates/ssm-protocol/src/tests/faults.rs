use std::time::Duration;

use super::MS;
use super::pair::{Dice, Incident, Link, Pair, Side, seeds};
use crate::{Event, SessionConfig};

const MINUTE: Duration = Duration::from_secs(60);

fn transfer(seed: u64, link: Link) -> Pair {
    let mut dice = Dice::new(seed);
    let (upload, download) = (dice.bytes(30_000), dice.bytes(30_000));
    Pair::new(seed, SessionConfig::default(), link, upload, download)
}

/// Runs to the end and returns how many messages were sent again, by client and agent.
fn finish(pair: &mut Pair, longest: Duration) -> (u64, u64) {
    pair.run(longest);
    assert_eq!(pair.client.sends, pair.agent.received);
    assert_eq!(pair.agent.sends, pair.client.received);
    for end in [&pair.client, &pair.agent] {
        let ready = |event: &&Event| matches!(event, Event::Ready(_));
        assert_eq!(end.events.iter().filter(ready).count(), 1);
        assert_eq!(end.session.stats().unacknowledged, 0);
        assert_eq!(end.session.stats().reordering, 0);
    }
    (
        pair.client.session.stats().retransmitted,
        pair.agent.session.stats().retransmitted,
    )
}

fn distance() -> Link {
    Link {
        latency: 25 * MS,
        ..Link::default()
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
fn everything_arrives_over_a_network_that_loses_one_message_in_five() {
    for seed in seeds(20) {
        let mut pair = transfer(
            seed,
            Link {
                dropped: 200,
                ..distance()
            },
        );
        let (client, agent) = finish(&mut pair, 5 * MINUTE);
        assert!(client > 0 && agent > 0);
    }
}

#[test]
fn everything_arrives_once_over_a_network_that_doubles_every_message() {
    for seed in seeds(20) {
        let mut pair = transfer(
            seed,
            Link {
                duplicated: 1000,
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
        let link = Link {
            jitter: 80 * MS,
            delayed: 20,
            ..distance()
        };
        finish(&mut transfer(seed, link), MINUTE);
    }
}

#[test]
fn damaged_messages_are_dropped_and_sent_again() {
    for seed in seeds(20) {
        let mut pair = transfer(
            seed,
            Link {
                damaged: 100,
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
            let side = [Side::Client, Side::Agent][pair.dice.size(0..2)];
            let after = pair.dice.up_to(600 * MS);
            let down = pair.dice.up_to(3000 * MS);
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
            let side = [Side::Client, Side::Agent][pair.dice.size(0..2)];
            let after = pair.dice.up_to(600 * MS);
            let long = pair.dice.up_to(3000 * MS);
            pair.plan(after, side, Incident::Pause(long));
        }
        finish(&mut pair, MINUTE);
    }
}

#[test]
fn an_acknowledgement_lost_with_the_websocket_does_not_wedge_the_transfer() {
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
fn all_faults_together_lose_nothing_double_nothing_and_end() {
    for seed in seeds(500) {
        let mut dice = Dice::new(seed ^ 0x5353_4d00);
        let config = SessionConfig {
            max_payload: dice.size(100..1025),
            min_window: dice.size(2048..16_384),
            max_window: dice.size(16_384..200_000),
            // From a few messages on: what is refused comes again, but slowly.
            reorder_bytes: dice.size(1500..40_000),
            ..SessionConfig::default()
        };
        let link = Link {
            latency: dice.up_to(150 * MS),
            jitter: dice.up_to(30 * MS),
            dropped: dice.pick(0..250),
            duplicated: dice.pick(0..250),
            delayed: dice.pick(0..50),
            damaged: dice.pick(0..100),
        };
        let (up, down) = (dice.size(0..30_000), dice.size(0..30_000));
        let (upload, download) = (dice.bytes(up), dice.bytes(down));
        let mut pair = Pair::new(seed, config, link, upload, download);
        for _ in 0..dice.pick(0..8) {
            let side = [Side::Client, Side::Agent][dice.size(0..2)];
            let long = dice.up_to(4000 * MS);
            let incident = match dice.pick(0..2) {
                0 => Incident::Cut(long),
                _ => Incident::Pause(long),
            };
            pair.plan(dice.up_to(10_000 * MS), side, incident);
        }
        finish(&mut pair, 30 * MINUTE);
    }
}
