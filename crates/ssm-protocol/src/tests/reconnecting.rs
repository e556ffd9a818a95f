use super::MS;
use super::peer::{Client, TIMEOUT, port_request};
use crate::wire::MessageType;
use crate::{SessionConfig, SessionEvent, SessionTimer};

const NOTHING: [i64; 0] = [];

#[test]
fn unacknowledged_messages_go_again_in_order_unchanged() {
    let mut client = Client::ready();
    let mut frames = Vec::new();
    for text in ["a", "b", "c", "d", "e"] {
        frames.extend(client.send(text).frames);
    }
    client.acknowledge(2); // "b"
    let output = client.reconnect();
    assert_eq!(output.numbers(), [1, 3, 4, 5]);
    frames.remove(1);
    assert_eq!(output.frames, frames);
    assert_eq!(client.session.stats().retransmitted, 4);
    for number in [1, 3, 4, 5] {
        client.acknowledge(number);
    }
    assert_eq!(client.session.stats().unacknowledged, 0);
    // Nothing is left for the websocket after that one.
    assert_eq!(client.reconnect().numbers(), NOTHING);
}

#[test]
fn resumption_starts_with_a_few_messages_in_flight() {
    let mut client = Client::ready();
    for number in 1..=20 {
        assert_eq!(client.send("x").numbers(), [number]);
    }
    assert_eq!(client.reconnect().numbers(), [1, 2, 3, 4]);
    assert_eq!(client.acknowledge(1).numbers(), [5, 6]);
    // What is new waits its turn.
    assert_eq!(client.send("y").numbers(), NOTHING);
    assert_eq!(client.acknowledge(2).numbers(), [7, 8]);
    assert_eq!(client.acknowledge(3).numbers(), [9, 10]);
    // Acknowledged by the old websocket's doing, it is not sent again.
    assert_eq!(client.acknowledge(12).numbers(), [11]);
    for number in [4, 5, 6, 7, 8] {
        client.acknowledge(number);
    }
    assert_eq!(client.session.stats().unacknowledged, 12);
    assert_eq!(client.send("z").numbers(), [22]);
}

/// Whatever was on its way is lost with each websocket, which lives for few messages.
#[test]
fn short_lived_websockets_still_deliver_a_window() {
    const MESSAGES: i64 = 60;
    for lives in [8, 20, 50] {
        let mut client = Client::ready();
        for _ in 0..MESSAGES {
            client.send("x");
        }
        let mut websockets = 0;
        while client.session.stats().unacknowledged > 0 {
            websockets += 1;
            assert!(websockets <= MESSAGES, "no progress");
            let mut left = lives;
            let mut arrived = client.reconnect().numbers();
            while left > 0 && !arrived.is_empty() {
                // A flight arrives as far as the websocket lives, and so do its acknowledgements.
                arrived.truncate(left);
                left -= arrived.len();
                let mut next = Vec::new();
                for number in arrived.drain(..).take(left) {
                    next.extend(client.acknowledge(number).numbers());
                    left -= 1;
                }
                arrived = next;
            }
        }
        // At least a quarter of what a websocket carries is messages that got through.
        assert!(
            websockets <= MESSAGES * 4 / i64::try_from(lives).expect("small") + 1,
            "{websockets} websockets of {lives} messages"
        );
    }
}

#[test]
fn sequence_numbers_go_on_over_websockets_in_both_directions() {
    let mut client = Client::ready();
    assert_eq!(client.send("a").numbers(), [1]);
    assert_eq!(client.output(2, "x").data(), ["x"]);
    client.acknowledge(1);
    client.reconnect();
    assert_eq!(client.send("b").numbers(), [2]);
    assert_eq!(client.output(3, "y").data(), ["y"]);
    // What the agent sends again after the cut is a duplicate.
    let again = client.output(2, "x");
    assert_eq!(again.acknowledged(), [2]);
    assert!(again.events.is_empty());
}

#[test]
fn second_cut_before_any_acknowledgement_is_harmless() {
    let mut client = Client::ready();
    for text in ["a", "b", "c"] {
        client.send(text);
    }
    for _ in 0..5 {
        assert_eq!(client.reconnect().numbers(), [1, 2, 3]);
    }
}

#[test]
fn outage_transmits_takes_and_times_nothing() {
    let mut client = Client::ready();
    client.send("a");
    client.session.disconnected();
    assert_eq!(client.session.send_room(), 0);
    assert!(client.session.send(b"b", client.now).is_err());
    assert_eq!(client.session.poll_timeout(), None);
    client.now += 3_600_000 * MS; // an hour, longer than every limit
    client
        .session
        .handle_timeout(client.now)
        .expect("a long cut is no failure of the agent");
    assert_eq!(client.drain().numbers(), NOTHING);
    client.session.connected(client.now);
    assert_eq!(client.drain().numbers(), [1]);
    assert!(client.session.send_room() > 0);
}

#[test]
fn after_a_reconnect_the_timer_works_again() {
    let mut client = Client::ready();
    client.send("a");
    assert_eq!(client.reconnect().numbers(), [1]);
    let (waited, timer, output) = client.wake();
    assert_eq!((waited, timer), (TIMEOUT, SessionTimer::Retransmit));
    assert_eq!(output.expect("not fatal").numbers(), [1]);
}

#[test]
fn handshake_completes_over_a_cut() {
    let mut client = Client::new(SessionConfig::default());
    let answer = client.ask(&port_request()).expect("sound");
    assert_eq!(answer.numbers(), [0]);
    assert_eq!(client.reconnect().numbers(), [0]);
    assert!(matches!(
        client.complete().events[..],
        [SessionEvent::Ready(_)]
    ));
}

#[test]
fn acks_lost_with_a_websocket_return_with_duplicates() {
    let mut client = Client::ready();
    let frame = super::peer::stream_data(2, crate::wire::PayloadType::Output, "x");
    let now = client.now;
    client.session.handle_message(frame, now).expect("sound");
    client.session.disconnected();
    client.session.connected(now);
    assert_eq!(client.drain().acknowledged(), NOTHING);
    assert_eq!(client.output(2, "x").acknowledged(), [2]);
}

#[test]
fn a_pause_ends_with_its_websocket() {
    let mut client = Client::ready();
    assert_eq!(
        client.publication(MessageType::PausePublication).events,
        [SessionEvent::Paused]
    );
    assert_eq!(client.reconnect().events, [SessionEvent::Started]);
    assert!(client.session.send_room() > 0);
}
