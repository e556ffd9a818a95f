use std::time::Duration;

use bytes::Bytes;

use super::peer::{Client, TIMEOUT, control, message, port_request, stream_data};
use super::{MS, UNIX_TIME, start};
use crate::payload::Flag;
use crate::wire::{MessageType, PayloadType};
use crate::{Session, SessionConfig, SessionError, SessionEvent, SessionTimer};

const NOTHING: [i64; 0] = [];

#[test]
fn a_handshake_that_does_not_begin_times_out() {
    let mut client = Client::new(SessionConfig::default());
    let (waited, timer, result) = client.wake();
    assert_eq!((waited, timer), (60_000 * MS, SessionTimer::Handshake));
    assert_eq!(
        result.expect_err("the limit passed"),
        SessionError::HandshakeTimeout {
            after: Duration::from_secs(60)
        },
    );
}

#[test]
fn a_handshake_that_does_not_complete_times_out() {
    let mut client = Client::new(SessionConfig::default());
    client.ask(&port_request()).expect("sound");
    client.acknowledge(0);
    let (waited, timer, result) = client.wake();
    assert_eq!((waited, timer), (60_000 * MS, SessionTimer::Handshake));
    assert!(result.is_err());
}

#[test]
fn the_time_for_the_handshake_counts_from_the_first_connection() {
    let now = start();
    let mut session = Session::client(SessionConfig::default(), [7; 32], now, UNIX_TIME);
    assert_eq!(session.poll_timeout(), None);
    let connected = now + 100_000 * MS;
    session.connected(connected);
    let deadline = Some((connected + 60_000 * MS, SessionTimer::Handshake));
    assert_eq!(session.poll_timeout(), deadline);
    // A cut gives no extra time.
    session.disconnected();
    session.connected(connected + 10_000 * MS);
    assert_eq!(session.poll_timeout(), deadline);
}

#[test]
fn a_completed_handshake_leaves_no_timer() {
    assert_eq!(Client::ready().session.poll_timeout(), None);
}

#[test]
fn silent_peer_is_dead_after_the_limit_while_data_waits() {
    let mut client = Client::ready();
    client.send("data");
    let sent_at = client.now;
    for _ in 0..1000 {
        match client.wake() {
            (_, SessionTimer::Retransmit, result) => {
                assert_eq!(result.expect("only a retransmission").numbers(), [1]);
            }
            (_, timer, result) => {
                assert_eq!(timer, SessionTimer::PeerSilent);
                assert_eq!(client.now - sent_at, Duration::from_secs(300));
                assert_eq!(
                    result.expect_err("the limit passed"),
                    SessionError::PeerSilent {
                        after: Duration::from_secs(300)
                    },
                );
                return;
            }
        }
    }
    panic!("the session waits for ever");
}

#[test]
fn any_message_restarts_the_silence_timeout() {
    let mut client = Client::ready();
    client.send("data");
    for number in 2..12 {
        client.advance(299_000 * MS);
        client.output(number, "alive");
    }
    assert_eq!(client.session.stats().unacknowledged, 4);
}

#[test]
fn peer_that_owes_nothing_may_stay_silent() {
    let mut client = Client::ready();
    client.advance(Duration::from_secs(86_400));
    // The limit counts from the message that it then owes, not from its last word.
    client.send("data");
    let (at, _) = client.session.poll_timeout().expect("a timer runs");
    assert!(at > client.now);
    client.advance(299_000 * MS);
}

#[test]
fn flags_are_read_in_order_with_the_data() {
    let mut client = Client::ready();
    let flag = |number, payload: &'static [u8]| stream_data(number, PayloadType::Flag, payload);
    client.output(4, "after");
    let mut events = client
        .receive(flag(3, &[0, 0, 0, 3]))
        .expect("ahead")
        .events;
    assert!(events.is_empty());
    events = client.output(2, "before").events;
    assert_eq!(
        events,
        [
            SessionEvent::Data("before".into()),
            SessionEvent::Flag(Flag::ConnectToPortError),
            SessionEvent::Data("after".into()),
        ]
    );
    let unknown = client.receive(flag(5, &[0, 0, 1, 0])).expect("not fatal");
    assert_eq!(unknown.events, [SessionEvent::Flag(Flag::Other(256))]);
    let short = client.receive(flag(6, &[0, 3])).expect("not fatal");
    assert_eq!(
        short.events,
        [SessionEvent::Other(
            PayloadType::Flag,
            Bytes::from_static(&[0, 3])
        )]
    );
}

#[test]
fn terminate_flag_is_numbered_and_ignores_the_window() {
    let mut client = Client::ready();
    while client.session.send_room() > 0 {
        client.send(&"x".repeat(1024));
    }
    for (flag, value) in [(Flag::DisconnectToPort, 1), (Flag::TerminateSession, 2)] {
        client.session.send_flag(flag, client.now);
        let output = client.drain();
        let [message] = &output.transmitted[..] else {
            panic!("{output:?}");
        };
        assert_eq!(message.header.message_type, MessageType::InputStreamData);
        assert_eq!(message.header.payload_type, PayloadType::Flag);
        assert_eq!(message.payload, &[0, 0, 0, value][..]);
    }
}

const CLOSED: &str = r#"{"MessageId":"m","CreatedDate":"1","DestinationId":"d","SessionId":"s","MessageType":"channel_closed","SchemaVersion":1,"Output":"Unable to connect to specified port: 9"}"#;

#[test]
fn channel_closed_reports_its_text_and_ends_everything() {
    let mut client = Client::ready();
    client.send("unacknowledged");
    let output = client
        .receive(control(MessageType::ChannelClosed, CLOSED))
        .expect("an end, not a failure");
    assert_eq!(
        output.events,
        [SessionEvent::ChannelClosed {
            output: "Unable to connect to specified port: 9".into()
        }]
    );
    assert_eq!(client.session.send_room(), 0);
    assert_eq!(client.session.poll_timeout(), None);
    client.session.send_flag(Flag::TerminateSession, client.now);
    client.advance(Duration::from_secs(86_400));
    let late = client.output(2, "late");
    assert!(late.transmitted.is_empty() && late.events.is_empty());
    assert_eq!(client.reconnect().numbers(), NOTHING);
}

#[test]
fn a_closed_channel_is_read_whatever_its_padding_and_body() {
    let padded_with_nuls = {
        let mut frame = control(MessageType::ChannelClosed, CLOSED).to_vec();
        frame[4 + "channel_closed".len()..36].fill(0);
        Bytes::from(frame)
    };
    let body = |text: &'static str| control(MessageType::ChannelClosed, text);
    for (frame, text) in [
        (padded_with_nuls, "Unable to connect to specified port: 9"),
        (
            body(r#"{"SchemaVersion":null,"CreatedDate":null,"Output":"x","News":1}"#),
            "x",
        ),
        (body(r#"{"Output":null}"#), ""),
        (body("not JSON"), ""),
        (body(""), ""),
    ] {
        let mut client = Client::ready();
        let output = client.receive(frame).expect("an end, not a failure");
        assert_eq!(
            output.events,
            [SessionEvent::ChannelClosed {
                output: text.into()
            }]
        );
    }
}

#[test]
fn a_channel_closed_during_the_handshake_ends_it() {
    let mut client = Client::new(SessionConfig::default());
    let frame = message(MessageType::ChannelClosed, 0, PayloadType::None, CLOSED).encode();
    let output = client.receive(frame).expect("an end, not a failure");
    assert!(matches!(
        output.events[..],
        [SessionEvent::ChannelClosed { .. }]
    ));
    assert_eq!(client.session.poll_timeout(), None);
}

/// A caller with full buffers does not read the websocket, and cannot hear anything.
#[test]
fn receive_pause_stops_retransmission_and_silence_timer() {
    let mut client = Client::ready();
    client.send("x");
    let timeout = SessionConfig::default().peer_timeout;
    client.session.set_receive_paused(true, client.now);
    assert_eq!(client.session.poll_timeout(), None);
    assert_eq!(client.advance(2 * timeout).numbers(), [0; 0]);
    client.session.set_receive_paused(false, client.now);
    let (waited, timer, output) = client.wake();
    assert_eq!((waited, timer), (TIMEOUT, SessionTimer::Retransmit));
    assert_eq!(output.expect("not fatal").numbers(), [1]);
    client.now += timeout - TIMEOUT;
    client
        .session
        .handle_timeout(client.now)
        .expect_err("the peer is silent now");
}

#[test]
fn deadlines_beyond_the_end_of_time_never_pass() {
    let config = SessionConfig {
        peer_timeout: Duration::MAX,
        handshake_timeout: Duration::MAX,
        ..SessionConfig::default()
    };
    let mut client = Client::ready_with(config);
    client.send("x");
    let (_, timer, _) = client.wake();
    assert_eq!(timer, SessionTimer::Retransmit);
}
