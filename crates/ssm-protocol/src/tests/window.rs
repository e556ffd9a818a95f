use std::time::Duration;

use super::MS;
use super::path::Path;
use super::peer::Client;
use crate::SessionConfig;

const SECOND: Duration = Duration::from_secs(1);
/// Messages of 1024 bytes, one a millisecond.
const KIB_PER_MS: usize = 1024 * 1000;
const FAST: usize = 10_000_000;

/// Fast paths take larger messages, so that the tests take less time.
fn config(rate: usize) -> SessionConfig {
    let mut config = SessionConfig::default();
    if rate > KIB_PER_MS {
        config.max_payload = 8192;
    }
    config
}

fn path(rate: usize, delay: Duration) -> Path {
    Path::new(config(rate), rate, delay)
}

/// Paths whose product is far from the window's limits, both ways.
fn paths() -> impl Iterator<Item = Path> {
    [KIB_PER_MS, FAST]
        .into_iter()
        .flat_map(|rate| [25 * MS, 100 * MS].map(|delay| path(rate, delay)))
}

/// Twice the product with what one message makes the rate look better, and the floor.
fn assert_short_queue(path: &Path) {
    let limit = path.product() * 21 / 10 + SessionConfig::default().min_window;
    assert!(
        path.longest_queue <= limit,
        "{} > {limit}",
        path.longest_queue
    );
}

fn assert_share(path: &Path, from: Duration, to: Duration) {
    let share = path.share(from, to);
    assert!(
        share >= 0.9,
        "{share:.3} of a product of {} bytes over {:?}",
        path.product(),
        path.round_trip()
    );
}

#[test]
fn upload_fills_the_path_behind_a_short_queue() {
    for mut path in paths() {
        path.upload(25 * SECOND);
        assert_share(&path, Duration::ZERO, 25 * SECOND);
        assert_short_queue(&path);
        assert!(path.most_in_flight <= SessionConfig::default().max_window);
        assert_eq!(path.client.session.stats().retransmitted, 0);
    }
}

#[test]
fn a_slow_agent_is_kept_busy_behind_a_short_queue() {
    for delay in [1 * MS, 25 * MS, 100 * MS] {
        let mut path = path(100_000, delay);
        path.upload(60 * SECOND);
        assert_share(&path, Duration::ZERO, 60 * SECOND);
        assert_short_queue(&path);
        // The first flight already takes longer than the handshake's round trip promised.
        assert!(path.client.session.stats().retransmitted <= 1);
    }
}

#[test]
fn a_neighbour_as_fast_as_the_real_agent_is_kept_busy() {
    let mut path = path(30_000_000, MS / 2);
    path.upload(12 * SECOND);
    assert_share(&path, Duration::ZERO, 12 * SECOND);
    // Twice what is sent in 5 ms, which is the least that a round trip counts as.
    assert!(path.longest_queue <= 2 * 150_000 + config(FAST).min_window);
}

#[test]
fn latency_mode_sizes_the_window_by_the_distance() {
    let mut path = path(30_000_000, MS / 2);
    path.upload(3 * SECOND);
    path.client.session.favour_latency(path.at(3 * SECOND));
    path.upload(20 * MS);
    path.longest_queue = 0;
    path.upload(9 * SECOND);
    assert_short_queue(&path);
    assert_share(&path, 4 * SECOND, 12 * SECOND);
    // Nobody waited any more for 10 s.
    let short = path.longest_queue;
    path.upload(2 * SECOND);
    assert!(path.longest_queue > 2 * short, "{}", path.longest_queue);
}

#[test]
fn latency_mode_queues_few_messages_at_a_slow_agent() {
    for delay in [MS / 10, 1 * MS] {
        let mut path = path(100_000, delay);
        path.upload(3 * SECOND);
        let at = path.at(3 * SECOND);
        path.client.session.favour_latency(at);
        path.upload(SECOND);
        path.longest_queue = 0;
        path.upload(8 * SECOND);
        // Even a message alone takes as long as the agent takes for it.
        let limit = (path.product() + 1024) * 21 / 10 + 4 * 1024;
        assert!(
            path.longest_queue <= limit,
            "{} > {limit}",
            path.longest_queue
        );
        assert_share(&path, Duration::ZERO, 12 * SECOND);
        // Nobody waited any more for 10 s.
        path.upload(5 * SECOND);
        assert!(path.longest_queue > limit, "{}", path.longest_queue);
    }
}

#[test]
fn the_third_flight_of_an_upload_fills_the_path() {
    let fastest = Path::new(SessionConfig::default(), 50_000_000, 25 * MS);
    for mut path in paths().chain([fastest]) {
        // A flight reaches the agent half a round trip after it left.
        let third = path.round_trip() * 5 / 2;
        path.upload(8 * path.round_trip());
        assert_share(&path, third, 7 * path.round_trip());
        assert_short_queue(&path);
    }
}

#[test]
fn path_is_full_three_round_trips_after_a_stall() {
    // Before and after the round trip is measured again. In between, that takes two more.
    for (begin, trips) in [(3 * SECOND, 3), (9900 * MS, 5), (15 * SECOND, 3)] {
        for mut path in paths() {
            let end = begin + 2 * SECOND;
            path.stall = path.at(begin)..path.at(end);
            path.upload(end + 10 * path.round_trip());
            let recovered = end + trips * path.round_trip();
            assert_share(&path, recovered, end + 10 * path.round_trip());
            assert_short_queue(&path);
        }
    }
}

#[test]
fn no_more_than_the_limit_is_ever_in_flight() {
    let mut config = config(FAST);
    config.max_window = 100_000;
    let mut path = Path::new(config, FAST, 25 * MS);
    path.upload(5 * SECOND);
    assert!(path.most_in_flight <= 100_000);
    assert!(
        path.most_in_flight > 100_000 - 8192,
        "{}",
        path.most_in_flight
    );
}

#[test]
fn a_window_always_takes_two_messages() {
    let config = SessionConfig {
        max_payload: 60_000,
        min_window: 0,
        max_window: 1,
        ..SessionConfig::default()
    };
    let mut path = Path::new(config, FAST, 25 * MS);
    path.upload(30 * SECOND);
    assert!(path.share(Duration::ZERO, 30 * SECOND) > 0.2);
    assert!(path.most_in_flight <= 120_000);
}

#[test]
fn receiver_that_slows_down_is_not_flooded_for_long() {
    for mut path in paths() {
        path.upload(8 * SECOND);
        path.set_rate(path.rate() / 10);
        // What is on the way takes its time, then the queue is short.
        path.upload(15 * SECOND);
        path.longest_queue = 0;
        path.upload(5 * SECOND);
        assert_short_queue(&path);
        assert_share(&path, 20 * SECOND, 28 * SECOND);
        assert_eq!(path.client.session.stats().retransmitted, 0);

        path.set_rate(path.rate() * 10);
        path.upload(5 * SECOND);
        assert_share(&path, 30 * SECOND, 33 * SECOND);
    }
}

#[test]
fn longer_path_is_measured_again() {
    for rate in [KIB_PER_MS, FAST] {
        let mut path = path(rate, 25 * MS);
        path.upload(5 * SECOND);
        path.delay = 100 * MS;
        path.upload(20 * SECOND);
        assert_share(&path, 20 * SECOND, 25 * SECOND);
        assert_short_queue(&path);
    }
}

#[test]
fn a_loss_in_a_hundred_messages_costs_less_than_a_tenth() {
    for mut path in paths() {
        path.lost = 0.01;
        path.upload(25 * SECOND);
        assert_share(&path, Duration::ZERO, 25 * SECOND);
        assert_short_queue(&path);
        assert!(path.client.session.stats().retransmitted > 0);
    }
}

#[test]
fn losses_shrink_the_window_and_clean_round_trips_give_it_back() {
    let mut path = path(KIB_PER_MS, 25 * MS);
    let window = |path: &Path| path.client.session.stats().window;
    path.upload(5 * SECOND);
    let before = window(&path);
    path.lost = 0.05;
    path.upload(2 * SECOND);
    let lossy = window(&path);
    assert!(lossy < before * 4 / 5, "{before} -> {lossy}");
    path.lost = 0.0;
    path.upload(2 * SECOND);
    let after = window(&path);
    assert!(after >= before * 9 / 10, "{before} -> {lossy} -> {after}");
}

#[test]
fn silent_receiver_gets_only_the_smallest_window() {
    let floor = SessionConfig::default().min_window;
    for mut path in paths() {
        path.upload(3 * SECOND);
        path.idle(SECOND);
        path.stall = path.at(4 * SECOND)..path.at(8 * SECOND);
        path.run(SECOND, 1000);
        path.most_in_flight = 0;
        path.upload(2 * SECOND);
        assert!(path.most_in_flight <= floor, "{}", path.most_in_flight);
        // With the first acknowledgement it is what it was.
        path.upload(2 * SECOND);
        let recovered = 8 * SECOND + 2 * path.round_trip();
        assert_share(&path, recovered, 8900 * MS);
    }
}

#[test]
fn jitter_and_batched_acks_cost_less_than_a_tenth() {
    for mut path in paths() {
        path.jitter = 10 * MS;
        path.batch = 10 * MS;
        path.upload(25 * SECOND);
        assert_share(&path, Duration::ZERO, 25 * SECOND);
        assert_eq!(path.client.session.stats().retransmitted, 0);
    }
}

#[test]
fn batched_acknowledgements_promise_no_faster_path() {
    for mut path in paths() {
        path.batch = 5 * MS;
        path.upload(2 * SECOND);
        assert_short_queue(&path);
    }
}

#[test]
fn after_an_idle_minute_the_window_is_what_it_was() {
    for mut path in paths() {
        path.upload(5 * SECOND);
        path.idle(60 * SECOND);
        path.upload(10 * path.round_trip());
        // One way to the agent, then as before.
        let first = 65 * SECOND + path.round_trip();
        assert_share(&path, first, first + 9 * path.round_trip());
    }
}

#[test]
fn keystrokes_neither_grow_nor_shrink_the_window() {
    let mut path = path(KIB_PER_MS, 25 * MS);
    path.upload(5 * SECOND);
    let before = path.client.session.stats().window;
    for _ in 0..600 {
        path.run(100 * MS, 50);
    }
    let after = path.client.session.stats().window;
    assert!(after.abs_diff(before) <= before / 10, "{before} -> {after}");
}

#[test]
fn window_cap_wins_over_a_floor_above_it() {
    let config = SessionConfig {
        min_window: 100_000,
        max_window: 5000,
        ..SessionConfig::default()
    };
    let mut client = Client::ready_with(config);
    while client.session.send_room() > 0 {
        client.send(&"x".repeat(client.session.send_room()));
    }
    let stats = client.session.stats();
    assert!((4000..=5000).contains(&stats.unacknowledged), "{stats:?}");
}
