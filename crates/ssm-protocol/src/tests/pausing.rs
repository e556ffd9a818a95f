use std::time::Duration;

use super::MS;
use super::peer::{Client, stream_data};
use crate::wire::{MessageType, PayloadType};
use crate::{SessionEvent, SessionTimer};

const NOTHING: [i64; 0] = [];

fn paused() -> Client {
    let mut client = Client::ready();
    client.send("before"); // number 1, unacknowledged
    let output = client.publication(MessageType::PausePublication);
    assert_eq!(output.events, [SessionEvent::Paused]);
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
fn pause_sends_the_oldest_message_once_a_second() {
    let mut client = paused();
    client.session.send(b"x", client.now).expect_err("paused");
    for _ in 0..60 {
        let (waited, timer, output) = client.wake();
        assert_eq!((waited, timer), (1000 * MS, SessionTimer::PauseProbe));
        assert_eq!(output.expect("not fatal").numbers(), [1]);
    }
    client.advance(500 * MS);
    let output = client.publication(MessageType::StartPublication);
    assert_eq!(output.events, [SessionEvent::Started]);
    let (waited, timer, output) = client.wake();
    assert_eq!((waited, timer), (Duration::ZERO, SessionTimer::Retransmit));
    assert_eq!(output.expect("not fatal").numbers(), [1]);
    assert_eq!(client.send("after").numbers(), [2]);
}

#[test]
fn pause_without_a_start_ends_with_an_acknowledgement() {
    let mut client = paused();
    client.acknowledge(1);
    assert_eq!(
        client.publication(MessageType::PausePublication).events,
        [SessionEvent::Paused]
    );
    let (_, timer, output) = client.wake();
    assert_eq!(timer, SessionTimer::PauseProbe);
    assert_eq!(output.expect("not fatal").numbers(), NOTHING);
    assert_eq!(client.session.poll_timeout(), None, "an idle pause rests");
    client.advance(60_000 * MS);
    assert_eq!(client.send("new").numbers(), [2]);
    assert_eq!(client.session.send_room(), 0, "one a second");
    assert_eq!(client.acknowledge(2).events, [SessionEvent::Started]);
    assert!(client.session.send_room() > 0);
}

#[test]
fn untransmitted_message_waits_for_the_end_of_a_pause() {
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
    assert_eq!(output.events.first(), Some(&SessionEvent::Started));
    assert_eq!(output.data(), ["data"]);
    assert!(client.session.send_room() > 0);

    let mut client = paused();
    assert_eq!(client.acknowledge(1).events, [SessionEvent::Started]);
    assert!(client.session.send_room() > 0);

    // Even one that it sends again.
    let mut client = paused();
    assert_eq!(client.output(1, "again").events, [SessionEvent::Started]);
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
fn peer_gets_its_full_timeout_after_a_long_pause() {
    let mut client = paused();
    client.advance(299_000 * MS);
    client.publication(MessageType::StartPublication);
    // 299 s of the 300 s had passed when it could not answer.
    client.advance(250_000 * MS);
    client.acknowledge(1);
    assert_eq!(client.session.stats().unacknowledged, 0);
}
