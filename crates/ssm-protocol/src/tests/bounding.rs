//! What a hostile peer can make a session hold.

use bytes::{Bytes, BytesMut};

use super::peer::{Client, acknowledgement, stream_data};
use crate::SessionConfig;
use crate::wire::{MessageType, PayloadType};

/// As documented.
const MOST_ACKNOWLEDGEMENTS: usize = 8192;

fn handle(client: &mut Client, frame: Bytes) {
    let outcome = client.session.handle_message(frame, client.now);
    outcome.expect("sound");
}

fn drain_acknowledgements(client: &mut Client) -> usize {
    std::iter::from_fn(|| client.session.poll_transmit(client.now)).count()
}

#[test]
fn queued_acknowledgements_are_limited() {
    let mut client = Client::ready();
    let again = stream_data(0, PayloadType::Output, "x");
    for sent in 0..3 * MOST_ACKNOWLEDGEMENTS {
        assert_eq!(
            client.session.receive_paused(),
            sent >= MOST_ACKNOWLEDGEMENTS / 2,
            "{sent}"
        );
        handle(&mut client, again.clone());
    }
    // New data is not taken either, and so not acknowledged.
    let next = stream_data(client.next, PayloadType::Output, "new");
    handle(&mut client, next.clone());
    assert_eq!(client.session.poll_event(), None);
    assert_eq!(drain_acknowledgements(&mut client), MOST_ACKNOWLEDGEMENTS);
    assert!(!client.session.receive_paused());
    // It comes again.
    handle(&mut client, next);
    assert!(client.session.poll_event().is_some());
    assert_eq!(drain_acknowledgements(&mut client), 1);
}

#[test]
fn a_message_ahead_does_not_keep_the_buffer_it_came_in() {
    let mut client = Client::ready();
    let frame = stream_data(client.next + 1, PayloadType::Output, "x");
    let mut buffer = BytesMut::zeroed(1 << 20);
    buffer.extend_from_slice(&frame);
    let buffer = buffer.freeze();
    handle(&mut client, buffer.slice(1 << 20..));
    assert!(client.session.stats().reordering > 0);
    assert!(buffer.is_unique(), "a megabyte is kept for one byte");
}

#[test]
fn tiny_messages_ahead_are_charged_what_they_cost() {
    let limit = 1 << 20;
    let mut client = Client::ready_with(SessionConfig {
        reorder_bytes: limit,
        ..SessionConfig::default()
    });
    for number in 0..20_000 {
        let frame = stream_data(client.next + 1 + number, PayloadType::Output, "x");
        handle(&mut client, frame);
    }
    let reordering = client.session.stats().reordering;
    assert!(
        reordering <= limit && reordering > limit - 300,
        "{reordering}"
    );
    let kept = drain_acknowledgements(&mut client);
    assert!(kept <= limit / 256, "{kept} messages of one byte");
}

/// A client whose window is as large as it will ever be.
fn uploading() -> (Client, usize) {
    let window = 1 << 20;
    let client = Client::ready_with(SessionConfig {
        min_window: window,
        max_window: window,
        ..SessionConfig::default()
    });
    (client, 2 * window + (256 << 10))
}

/// Sends messages of so many bytes until the session takes none.
fn fill(client: &mut Client, bytes: usize) {
    let (session, now) = (&mut client.session, client.now);
    while session.send_with(now, |frame, _| frame.resize(frame.len() + bytes, 1)) > 0 {}
    while session.poll_transmit(now).is_some() {}
}

fn acknowledge(client: &mut Client, number: u64) {
    let number = i64::try_from(number).expect("small");
    handle(
        client,
        acknowledgement(MessageType::InputStreamData, number),
    );
}

#[test]
fn tiny_messages_on_their_way_are_bounded_in_memory() {
    let (mut client, most) = uploading();
    fill(&mut client, 1);
    let held = client.session.held_for_sending();
    assert!(held <= most * 5 / 4, "{held} bytes, at most {most}");
    // Acknowledged, they make room again.
    let stats = client.session.stats();
    for number in stats.confirmed..stats.sent {
        acknowledge(&mut client, number);
    }
    assert!(client.session.send_room() > 0);
}

#[test]
fn an_upload_behind_a_message_never_acknowledged_is_bounded() {
    let (mut client, most) = uploading();
    let oldest = client.session.stats().confirmed;
    for _ in 0..100 {
        let from = client.session.stats().sent;
        fill(&mut client, 1024);
        for number in from.max(oldest + 1)..client.session.stats().sent {
            acknowledge(&mut client, number);
        }
        let held = client.session.held_for_sending();
        assert!(held <= most * 3 / 2, "{held} bytes, at most {most}");
    }
    assert_eq!(client.session.send_room(), 0);
    acknowledge(&mut client, oldest);
    assert!(client.session.send_room() > 0);
    assert!(client.session.is_delivered());
}

#[test]
fn outdated_transmissions_are_forgotten() {
    let (mut client, _) = uploading();
    fill(&mut client, 1024);
    let before = client.session.held_for_sending();
    for _ in 0..10_000 {
        let (at, _) = client.session.poll_timeout().expect("a retransmission");
        client.now = client.now.max(at);
        if client.session.handle_timeout(client.now).is_err() {
            break;
        }
        while client.session.poll_transmit(client.now).is_some() {}
        // A sign of life, and no acknowledgement.
        handle(
            &mut client,
            acknowledgement(MessageType::InputStreamData, 1 << 40),
        );
    }
    let held = client.session.held_for_sending();
    assert!(held <= before * 5 / 4, "{held} bytes, {before} at first");
}
