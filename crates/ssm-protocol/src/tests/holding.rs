use super::peer::{Client, acknowledgement};
use crate::SessionConfig;
use crate::wire::MessageType;

/// Just more than a power of two of messages.
const WINDOW: usize = (4 << 20) + (8 << 10);
const PAYLOAD: usize = 1024;

/// A client that may send all of [`WINDOW`] at once.
fn client() -> Client {
    Client::ready_with(SessionConfig {
        min_window: WINDOW,
        max_window: WINDOW,
        ..SessionConfig::default()
    })
}

/// Fills the window.
fn fill(client: &mut Client) {
    let (session, now) = (&mut client.session, client.now);
    while session.send_with(now, |frame, room| frame.resize(frame.len() + room, 1)) > 0 {}
    while session.poll_transmit(now).is_some() {}
}

/// The agent acknowledges what was sent from number `from` to before `to`.
fn acknowledge(client: &mut Client, from: usize, to: usize) {
    for number in from..to {
        let number = i64::try_from(number).expect("small");
        let frame = acknowledgement(MessageType::InputStreamData, number);
        let outcome = client.session.handle_message(frame, client.now);
        outcome.expect("a sound acknowledgement");
    }
}

#[test]
fn messages_in_flight_are_held_once_with_little_overhead() {
    let mut client = client();
    fill(&mut client);
    let in_flight = client.session.stats().unacknowledged;
    assert_eq!(in_flight, WINDOW);
    // A header of 120 bytes each, and lists that have just doubled.
    let most = in_flight * 145 / 100;
    let held = client.session.held_for_sending();
    assert!(held <= most, "{held} bytes for {in_flight} on their way");

    // However long it goes on.
    let messages = WINDOW / PAYLOAD;
    for round in 0..4 {
        let from = 1 + round * messages / 2;
        acknowledge(&mut client, from, from + messages / 2);
        fill(&mut client);
        let held = client.session.held_for_sending();
        assert!(held <= most, "{held} bytes in round {round}");
    }
}

#[test]
fn memory_of_an_upload_is_released_after_it() {
    let mut client = client();
    let before = client.session.held_for_sending();
    fill(&mut client);
    acknowledge(&mut client, 1, 1 + WINDOW / PAYLOAD);
    assert!(client.session.is_delivered());
    let held = client.session.held_for_sending();
    assert!(held <= before.max(1024), "{held} bytes, {before} before");
}
