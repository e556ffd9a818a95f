use std::time::Duration;

use super::MS;
use super::peer::{Client, stream_data};
use crate::wire::{MessageType, PayloadType};
use crate::{Event, Timer};

const NOTHING: [i64; 0] = [];

fn paused() -> Client {
    let mut client = Client::ready();
    client.send("before"); // number 1, unacknowledged
    let output = client.publication(MessageType::PausePublication);
    assert_eq!(output.events, [Event::Paused]);
    client
}

#[test]
fn a_pause_stops_new_data() {
    let mut client = paused();
    assert_eq!(client.session.send_room(), 0);
    assert!(client.session.send(b"new", client.now).is_err());
    let filled = client
        .session
        .send_with(client.now, |_, _| panic!("nothing may be filled in"));
    assert_eq!(filled, 0);
}

#[test]
fn a_pause_sends_the_oldest_message_once_a_second_and_drops_nothing() {
    let mut client = paused();
    client.session.send(b"x", client.now).expect_err("paused");
    for _ in 0..60 {
        let (waited, timer, output) = client.wake();
        assert_eq!((waited, timer), (1000 * MS, Timer::PauseProbe));
        assert_eq!(output.expect("not fatal").numbers(), [1]);
    }
    client.advance(500 * MS);
    let output = client.publication(MessageType::StartPublication);
    assert_eq!(output.events, [Event::Started]);
    let (waited, timer, output) = client.wake();
    assert_eq!((waited, timer), (Duration::ZERO, Timer::Retransmit));
    assert_eq!(output.expect("not fatal").numbers(), [1]);
    assert_eq!(client.send("after").numbers(), [2]);
}

#[test]
fn a_pause_without_a_start_lets_new_data_out_and_ends_with_its_acknowledgement() {
    let mut client = paused();
    client.acknowledge(1);
    assert_eq!(
        client.publication(MessageType::PausePublication).events,
        [Event::Paused]
    );
    let (_, timer, output) = client.wake();
    assert_eq!(timer, Timer::PauseProbe);
    assert_eq!(output.expect("not fatal").numbers(), NOTHING);
    assert_eq!(client.session.poll_timeout(), None, "an idle pause rests");
    client.advance(60_000 * MS);
    assert_eq!(client.send("new").numbers(), [2]);
    assert_eq!(client.session.send_room(), 0, "one a second");
    assert_eq!(client.acknowledge(2).events, [Event::Started]);
    assert!(client.session.send_room() > 0);
}

#[test]
fn a_message_taken_before_the_pause_but_not_transmitted_waits_for_its_end() {
    let mut client = Client::ready();
    let now = client.now;
    client.session.send(b"queued", now).expect("room");
    assert_eq!(
        client.publication(MessageType::PausePublication).numbers(),
        NOTHING
    );
    assert_eq!(
        client.publication(MessageType::StartPublication).numbers(),
        [1]
    );
}

#[test]
fn any_message_of_the_agent_ends_a_pause() {
    let mut client = paused();
    let output = client.output(2, "data");
    assert_eq!(output.events.first(), Some(&Event::Started));
    assert_eq!(output.data(), ["data"]);
    assert!(client.session.send_room() > 0);

    let mut client = paused();
    assert_eq!(client.acknowledge(1).events, [Event::Started]);
    assert!(client.session.send_room() > 0);

    // Even one that it sends again.
    let mut client = paused();
    assert_eq!(client.output(1, "again").events, [Event::Started]);
}

#[test]
fn a_pause_does_not_stop_acknowledgements() {
    let mut client = Client::ready();
    let now = client.now;
    let frame = stream_data(2, PayloadType::Output, "data");
    client.session.handle_message(frame, now).expect("sound");
    let output = client.publication(MessageType::PausePublication);
    assert_eq!(output.acknowledged(), [2]);
}

#[test]
fn repeated_announcements_are_told_once() {
    let mut client = paused();
    for _ in 0..3 {
        let output = client.publication(MessageType::PausePublication);
        assert!(output.events.is_empty());
    }
    client.publication(MessageType::StartPublication);
    for _ in 0..3 {
        let output = client.publication(MessageType::StartPublication);
        assert!(output.events.is_empty());
    }
}

#[test]
fn after_a_long_pause_the_peer_gets_its_whole_time_to_answer() {
    let mut client = paused();
    client.advance(299_000 * MS);
    client.publication(MessageType::StartPublication);
    // 299 s of the 300 s had passed when it could not answer.
    client.advance(250_000 * MS);
    client.acknowledge(1);
    assert_eq!(client.session.stats().unacknowledged, 0);
}
