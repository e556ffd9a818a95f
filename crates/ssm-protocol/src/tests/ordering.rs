use super::peer::Client;
use crate::SessionConfig;

#[test]
fn duplicate_is_acknowledged_and_not_delivered_twice() {
    let mut client = Client::ready();
    assert_eq!(client.output(2, "once").data(), ["once"]);
    for again in 1..=3 {
        let output = client.output(2, "once");
        assert_eq!(output.acknowledged(), [2]);
        assert!(output.events.is_empty());
        assert_eq!(client.session.stats().duplicates, again);
    }
    assert_eq!(client.session.stats().received, 3); // two of the handshake, one of data
}

#[test]
fn duplicate_handshake_message_is_not_answered_twice() {
    let mut client = Client::ready();
    client.next = 0;
    let output = client
        .ask(&super::peer::port_request())
        .expect("a duplicate is no fault");
    assert_eq!(output.acknowledged(), [0]);
    assert_eq!(output.numbers(), [0_i64; 0]);
    assert!(output.events.is_empty());
}

#[test]
fn duplicate_ahead_is_acknowledged_and_not_delivered() {
    let mut client = Client::ready();
    assert_eq!(client.output(3, "b").acknowledged(), [3]);
    assert_eq!(client.output(3, "b").acknowledged(), [3]);
    assert_eq!(client.output(2, "a").data(), ["a", "b"]);
}

#[test]
fn reordered_messages_are_acknowledged_at_once() {
    let mut client = Client::ready();
    for (number, text, delivered) in [
        (4, "c", &[][..]),
        (6, "e", &[]),
        (3, "b", &[]),
        (2, "a", &["a", "b", "c"]),
        (5, "d", &["d", "e"]),
    ] {
        let output = client.output(number, text);
        assert_eq!(output.acknowledged(), [number]);
        assert_eq!(output.data(), delivered, "after {text}");
    }
}

#[test]
fn message_beyond_the_reorder_limit_is_refused() {
    let config = SessionConfig {
        reorder_bytes: 4 * (1000 + 256), // four messages with their overhead
        ..SessionConfig::default()
    };
    let mut client = Client::ready_with(config);
    let text = |number: i64| format!("{number:01000}");

    for number in 3..7 {
        assert_eq!(
            client.output(number, &text(number)).acknowledged(),
            [number]
        );
    }
    for number in 7..12 {
        assert_eq!(
            client.output(number, &text(number)).acknowledged(),
            [0_i64; 0]
        );
    }
    // The missing one is always taken, however full the store is.
    let output = client.output(2, &text(2));
    assert_eq!(output.acknowledged(), [2]);
    assert_eq!(output.data(), (2..7).map(text).collect::<Vec<_>>());
    // The peer sends the refused ones again.
    for number in 7..12 {
        let output = client.output(number, &text(number));
        assert_eq!(output.acknowledged(), [number]);
        assert_eq!(output.data(), [text(number)]);
    }
}

#[test]
fn greatest_sequence_number_is_kept_like_any_other() {
    let mut client = Client::ready();
    assert_eq!(client.output(i64::MAX, "far").acknowledged(), [i64::MAX]);
    assert_eq!(client.output(2, "near").data(), ["near"]);
}
