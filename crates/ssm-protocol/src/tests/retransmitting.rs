use std::time::Duration;

use super::MS;
use super::peer::{Client, ROUND_TRIP, TIMEOUT};
use crate::SessionTimer;

const NOTHING: [i64; 0] = [];

/// Sends `count` messages and returns their numbers.
fn send_many(client: &mut Client, count: usize) -> Vec<i64> {
    (0..count)
        .flat_map(|_| client.send("data").numbers())
        .collect()
}

#[test]
fn unacknowledged_message_is_resent_with_back_off() {
    let mut client = Client::ready();
    let first = client.send("data");
    let mut waits = Vec::new();
    for _ in 0..7 {
        let (waited, timer, output) = client.wake();
        let output = output.expect("not fatal yet");
        assert_eq!(timer, SessionTimer::Retransmit);
        assert_eq!(output.frames, first.frames);
        waits.push(waited);
    }
    assert_eq!(
        waits,
        [300, 600, 1200, 2400, 4800, 5000, 5000].map(Duration::from_millis)
    );
    assert_eq!(client.session.stats().retransmitted, 7);
}

#[test]
fn back_off_lasts_until_a_first_transmission_is_acked() {
    let mut client = Client::ready();
    let number = client.send("data").numbers()[0];
    client.wake().2.expect("not fatal");
    client.wake().2.expect("not fatal");
    client.acknowledge(number);
    assert_eq!(client.session.poll_timeout(), None);

    let number = client.send("more").numbers()[0];
    let (at, _) = client.session.poll_timeout().expect("a timer runs");
    assert_eq!(at - client.now, 4 * TIMEOUT);
    client.now += ROUND_TRIP;
    client.acknowledge(number);

    client.send("and more");
    let (at, _) = client.session.poll_timeout().expect("a timer runs");
    assert_eq!(at - client.now, 250 * MS); // 100 + 4 * 37.5
}

#[test]
fn path_slower_than_the_timeout_is_not_flooded() {
    let mut client = Client::ready();
    let slow = 4 * TIMEOUT;
    // Each message is acknowledged `slow` after it was first sent, whatever is sent again.
    for _ in 0..20 {
        let number = client.send("data").numbers()[0];
        let answered = client.now + slow;
        while let Some((at, _)) = client.session.poll_timeout()
            && at < answered
        {
            client.wake().2.expect("not fatal");
        }
        client.now = answered;
        client.acknowledge(number);
    }
    // The first few, until the back-off exceeds the new round trip.
    assert!(client.session.stats().retransmitted <= 4);
    assert!(client.session.stats().round_trip > Some(slow / 2));
}

#[test]
fn a_retransmitted_message_gives_no_round_trip_sample() {
    let mut client = Client::ready();
    let before = client.session.stats().round_trip;
    assert_eq!(before, Some(ROUND_TRIP));
    let number = client.send("data").numbers()[0];
    client.wake().2.expect("not fatal");
    client.now += 1 * MS;
    client.acknowledge(number);
    assert_eq!(client.session.stats().unacknowledged, 0);
    assert_eq!(client.session.stats().round_trip, before);
}

#[test]
fn a_message_sent_before_a_reconnect_gives_no_round_trip_sample() {
    let mut client = Client::ready();
    let number = client.send("data").numbers()[0];
    client.session.disconnected();
    client.now += 60_000 * MS;
    client.session.connected(client.now);
    // The service kept the acknowledgement; it comes before anything was sent again.
    client.acknowledge(number);
    assert_eq!(client.session.stats().unacknowledged, 0);
    assert_eq!(client.session.stats().round_trip, Some(ROUND_TRIP));
}

#[test]
fn hole_is_resent_after_three_later_acknowledgements() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 8);
    client.now += 100 * MS;
    client.acknowledge(sent[0]);
    // sent[1] is lost.
    assert_eq!(client.acknowledge(sent[2]).numbers(), NOTHING);
    assert_eq!(client.acknowledge(sent[3]).numbers(), NOTHING);
    assert_eq!(client.acknowledge(sent[4]).numbers(), [sent[1]]);
    for later in &sent[5..] {
        assert_eq!(client.acknowledge(*later).numbers(), NOTHING);
    }
    assert_eq!(client.session.stats().retransmitted, 1);
    client.acknowledge(sent[1]);
    assert_eq!(client.session.stats().unacknowledged, 0);
}

#[test]
fn resends_several_holes_each_once_and_in_order() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 10);
    let lost = [sent[1], sent[2], sent[5]];
    let mut resent = Vec::new();
    for number in sent.iter().filter(|number| !lost.contains(number)) {
        resent.extend(client.acknowledge(*number).numbers());
    }
    assert_eq!(resent, lost);
}

#[test]
fn a_hole_at_the_end_waits_for_the_timer() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 3);
    assert_eq!(client.acknowledge(sent[1]).numbers(), NOTHING);
    assert_eq!(client.acknowledge(sent[2]).numbers(), NOTHING);
    let (_, timer, output) = client.wake();
    assert_eq!(timer, SessionTimer::Retransmit);
    assert_eq!(output.expect("not fatal").numbers(), [sent[0]]);
}

#[test]
fn a_resent_hole_that_is_lost_again_waits_for_the_timer() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 12);
    let mut resent = Vec::new();
    for number in &sent[1..8] {
        resent.extend(client.acknowledge(*number).numbers());
    }
    assert_eq!(resent, [sent[0]]);
    // These were sent before the hole was sent again: they say nothing about it.
    for number in &sent[8..] {
        assert_eq!(client.acknowledge(*number).numbers(), NOTHING);
    }
    let (_, timer, output) = client.wake();
    assert_eq!(timer, SessionTimer::Retransmit);
    assert_eq!(output.expect("not fatal").numbers(), [sent[0]]);
}

#[test]
fn resent_hole_is_found_lost_by_later_acks() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 5);
    let mut resent = Vec::new();
    for number in &sent[1..] {
        resent.extend(client.acknowledge(*number).numbers());
    }
    assert_eq!(resent, [sent[0]]);
    let later = send_many(&mut client, 3);
    assert_eq!(client.acknowledge(later[0]).numbers(), NOTHING);
    assert_eq!(client.acknowledge(later[1]).numbers(), NOTHING);
    assert_eq!(client.acknowledge(later[2]).numbers(), [sent[0]]);
}

#[test]
fn timeout_resends_one_message_then_twice_as_many() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 16);
    // The agent took nothing for a while, and says nothing of what it threw away.
    let mut bursts = vec![client.advance(2000 * MS).numbers()];
    assert_eq!(bursts[0], sent[..1]);
    while client.session.stats().unacknowledged > 0 {
        let burst = bursts.last().expect("at least the first").clone();
        client.now += ROUND_TRIP;
        let resent: Vec<_> = burst
            .iter()
            .flat_map(|number| client.acknowledge(*number).numbers())
            .collect();
        assert!(!resent.is_empty() || client.session.stats().unacknowledged == 0);
        bursts.push(resent);
        assert!(bursts.len() <= 16, "no end: {bursts:?}");
    }
    assert_eq!(bursts.concat(), sent);
    assert!(bursts.len() <= 5, "{bursts:?}");
}

#[test]
fn an_answer_too_early_for_the_retransmission_releases_nothing() {
    let mut client = Client::ready();
    let sent = send_many(&mut client, 16);
    assert_eq!(client.wake().2.expect("not fatal").numbers(), sent[..1]);
    // The path became slower, that is all: everything is acknowledged in order.
    client.now += 1 * MS;
    for number in &sent {
        assert_eq!(client.acknowledge(*number).numbers(), NOTHING);
    }
    assert_eq!(client.session.stats().retransmitted, 1);
}

#[test]
fn an_early_or_repeated_timeout_call_is_harmless() {
    let mut client = Client::ready();
    client.send("data");
    for _ in 0..29 {
        assert_eq!(client.advance(10 * MS).numbers(), NOTHING);
    }
    assert_eq!(client.advance(10 * MS).numbers().len(), 1);
    assert_eq!(client.advance(Duration::ZERO).numbers(), NOTHING);
}

#[test]
fn busy_socket_starts_no_retransmission_timer() {
    let mut client = Client::ready();
    let now = client.now;
    client.session.send(b"queued", now).expect("room");
    assert!(
        client
            .session
            .poll_timeout()
            .is_none_or(|(_, timer)| timer != SessionTimer::Retransmit)
    );
}
