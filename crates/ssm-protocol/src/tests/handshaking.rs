use std::time::Instant;

use serde_json::{Value, json};

use super::peer::{
    Client, SETTLING, acknowledgement, control, message, port_request, request, stream_data,
};
use super::{UNIX_TIME, start};
use crate::payload::{Flag, HandshakeRequest, SessionProperties};
use crate::wire::{Flags, Message, MessageType, PayloadType};
use crate::{Ready, Session, SessionConfig, SessionError, SessionEvent, SessionTimer};

const NOTHING: [i64; 0] = [];

fn client() -> Client {
    Client::new(SessionConfig::default())
}

fn session_type(parameters: Value) -> Value {
    json!({"ActionType": "SessionType", "ActionParameters": parameters})
}

/// Has a client asked for `body`, and returns its end and the answer it still transmits.
fn refused(body: Value) -> (SessionError, Value) {
    let mut client = client();
    let error = client.ask(&body).expect_err("to be refused");
    let output = client.drain();
    assert_eq!(output.acknowledged(), [0]);
    assert!(!client.session.is_ready());
    assert!(output.events.is_empty());
    (error, output.only_body())
}

fn ready(body: &Value) -> Ready {
    let mut client = client();
    client.ask(body).expect("a sound request");
    let mut events = client.complete().events;
    match (events.pop(), events.pop()) {
        (Some(SessionEvent::Ready(ready)), None) => ready,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_answer_is_byte_for_byte_that_of_the_reference_client() {
    let config = SessionConfig {
        client_version: "1.2.764.0".into(),
        ..SessionConfig::default()
    };
    let mut client = Client::new(config);
    let output = client.ask(&port_request()).expect("sound");
    assert_eq!(output.acknowledged(), [0]);
    assert_eq!(output.numbers(), [0]);
    let answer = &output.transmitted[1];
    assert_eq!(
        answer.payload,
        &br#"{"ClientVersion":"1.2.764.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}"#[..],
    );
    assert_eq!(answer.header.payload_type, PayloadType::HandshakeResponse);
    assert_eq!(answer.header.flags, Flags::NONE);
}

#[test]
fn completion_reports_all_that_the_handshake_settled() {
    let ready = ready(&port_request());
    assert_eq!(ready.peer_version, "3.3.1142.0");
    assert_eq!(ready.customer_message, "be careful");
    assert_eq!(ready.properties.value("portNumber"), Some("3389"));
    assert!(ready.capabilities.multiplexing);
    assert!(ready.capabilities.terminate_flag);
    assert!(!ready.capabilities.smux_keepalive);
}

#[test]
fn no_stream_data_leaves_before_the_handshake_is_complete() {
    let mut client = client();
    let refuses = |client: &mut Client| {
        assert_eq!(client.session.send_room(), 0);
        assert!(client.session.send(b"early", client.now).is_err());
        client.session.send_flag(Flag::DisconnectToPort, client.now);
        assert!(client.drain().transmitted.is_empty());
    };
    refuses(&mut client);
    // The trap: the service says that the agent is there before the agent is ready.
    client.publication(MessageType::StartPublication);
    refuses(&mut client);
    client.ask(&port_request()).expect("sound");
    client.acknowledge(0);
    client.publication(MessageType::StartPublication);
    refuses(&mut client);
    assert!(client.complete().numbers().is_empty());
    assert_eq!(client.send("now").numbers(), [1]);
}

#[test]
fn kms_encryption_is_refused_on_the_wire() {
    let (error, answer) = refused(request(json!([
        {"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "alias/k"}},
        session_type(json!({"SessionType": "Port", "Properties": {}})),
    ])));
    assert_eq!(error, SessionError::EncryptionRequested);
    let actions = &answer["ProcessedClientActions"];
    assert_eq!(actions[0]["ActionType"], "KMSEncryption");
    assert_eq!(actions[0]["ActionStatus"], 2);
    assert_eq!(actions[0]["Error"], error.to_string());
    assert_eq!(actions[1]["ActionType"], "SessionType");
    assert_eq!(actions[1]["ActionStatus"], 1);
}

#[test]
fn unknown_action_is_answered_unsupported() {
    let mut client = client();
    let body = request(json!([
        {"ActionType": "Dance", "ActionParameters": {"Steps": [1, 2]}},
        session_type(json!({"SessionType": "Port", "Properties": {}})),
    ]));
    let answer = client.ask(&body).expect("not fatal").only_body();
    assert_eq!(answer["ProcessedClientActions"][0]["ActionStatus"], 3);
    assert_eq!(
        answer["ProcessedClientActions"][0]["Error"],
        "unsupported action Dance"
    );
    assert_eq!(answer["ProcessedClientActions"][1]["ActionStatus"], 1);
    assert!(matches!(
        client.complete().events[..],
        [SessionEvent::Ready(_)]
    ));
}

#[test]
fn a_session_type_other_than_port_is_refused_by_name() {
    let (error, answer) = refused(request(json!([session_type(
        json!({"SessionType": "Standard_Stream", "Properties": null})
    )])));
    assert_eq!(error, SessionError::SessionType("Standard_Stream".into()));
    assert_eq!(answer["ProcessedClientActions"][0]["ActionStatus"], 2);

    for unreadable in [
        json!(null),
        json!({}),
        json!({"SessionType": null}),
        json!("Port"),
    ] {
        let (error, _) = refused(request(json!([session_type(unreadable)])));
        assert_eq!(error, SessionError::SessionType("unreadable".into()));
    }
}

#[test]
fn a_request_without_a_session_type_is_refused() {
    for actions in [json!([]), json!(null), json!([{"ActionType": "Dance"}])] {
        let (error, _) = refused(request(actions));
        assert_eq!(
            error,
            SessionError::Handshake {
                message: "HandshakeRequest",
                reason: "it names no session type".into(),
            }
        );
    }
}

#[test]
fn unreadable_handshake_ends_the_session_by_name() {
    for body in ["", "{", "[1]", "\u{0}", r#"{"RequestedClientActions":7}"#] {
        let frame = stream_data(0, PayloadType::HandshakeRequest, body);
        match client().receive(frame) {
            Err(SessionError::Handshake { message, .. }) => assert_eq!(message, "HandshakeRequest"),
            other => panic!("{body}: {other:?}"),
        }
    }
    for body in ["", "{", r#"{"HandshakeTimeToComplete":"soon"}"#] {
        let mut client = client();
        client.ask(&port_request()).expect("sound");
        let frame = stream_data(1, PayloadType::HandshakeComplete, body);
        match client.receive(frame) {
            Err(SessionError::Handshake { message, .. }) => {
                assert_eq!(message, "HandshakeComplete");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn properties_are_strings_numbers_or_one_element_lists() {
    let ready = ready(&request(json!([session_type(json!({
        "SessionType": "Port",
        "Properties": {
            "portNumber": ["3389"],
            "localPortNumber": "17320",
            "type": ["LocalPortForwarding"],
            "number": 5,
            "two": ["a", "b"],
            "none": [],
            "nothing": null,
            "deep": {"a": "b"},
        },
    }))])));
    let properties = &ready.properties;
    assert_eq!(properties.value("portNumber"), Some("3389"));
    assert_eq!(properties.value("localPortNumber"), Some("17320"));
    assert_eq!(properties.value("number"), Some("5"));
    for left_out in ["two", "none", "nothing", "deep", "absent"] {
        assert_eq!(properties.value(left_out), None);
    }
    assert!(ready.capabilities.multiplexing);
}

#[test]
fn unknown_fields_and_nulls_are_tolerated_everywhere() {
    let mut body = request(json!([{
        "ActionType": "SessionType",
        "News": 1,
        "ActionParameters": {"SessionType": "Port", "Properties": null, "News": []},
    }]));
    body["News"] = json!({"a": null});
    body["AgentVersion"] = json!(null);
    let mut client = client();
    client.ask(&body).expect("tolerated");
    let frame = stream_data(
        1,
        PayloadType::HandshakeComplete,
        r#"{"HandshakeTimeToComplete":null,"CustomerMessage":null,"News":0}"#,
    );
    client.receive(frame).expect("tolerated");
    client.acknowledge(0);
    let (_, _, output) = client.wake();
    let output = output.expect("not fatal");
    let [SessionEvent::Ready(ready)] = &output.events[..] else {
        panic!("{output:?}");
    };
    assert_eq!(ready.customer_message, "");
    // A version that is not there counts as old.
    assert!(!ready.capabilities.multiplexing && !ready.capabilities.terminate_flag);
}

/// The agent completes the handshake before it knows it: data that arrives in between is
/// acknowledged and thrown away.
#[test]
fn no_data_goes_out_until_the_agent_keeps_it() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    client.acknowledge(0);
    assert!(client.complete_at_once().events.is_empty());
    assert_eq!(client.session.send_room(), 0);
    assert!(client.session.send(b"early", client.now).is_err());
    let (waited, timer, output) = client.wake();
    assert_eq!((waited, timer), (SETTLING, SessionTimer::Settled));
    assert!(matches!(
        output.expect("not fatal").events[..],
        [SessionEvent::Ready(_)]
    ));
    assert_eq!(client.send("now").numbers(), [1]);
}

#[test]
fn data_of_the_agent_shows_that_it_keeps_ours() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    client.complete_at_once();
    let output = client.output(2, "220 ready");
    assert!(matches!(
        output.events[..],
        [SessionEvent::Ready(_), SessionEvent::Data(_)]
    ));
    assert_eq!(client.send("now").numbers(), [1]);
}

#[test]
fn session_that_ends_while_settling_becomes_ready_first() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    client.complete_at_once();
    let closed = br#"{"Output":"Unable to connect to specified port"}"#;
    let frame = control(MessageType::ChannelClosed, &closed[..]);
    let output = client.receive(frame).expect("an end, no error");
    assert!(matches!(
        output.events[..],
        [SessionEvent::Ready(_), SessionEvent::ChannelClosed { .. }]
    ));
}

/// The agent waits for it for 15 s.
#[test]
fn a_response_that_is_lost_is_sent_again_every_second() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    let waits: Vec<_> = (0..6).map(|_| client.wake().0.as_millis()).collect();
    assert_eq!(waits, [200, 400, 800, 1000, 1000, 1000]);
    assert_eq!(client.session.stats().retransmitted, 6);
}

#[test]
fn websocket_lost_while_settling_reports_ready() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    client.complete_at_once();
    client.session.disconnected();
    assert!(matches!(
        client.drain().events[..],
        [SessionEvent::Ready(_)]
    ));
    assert!(client.session.send(b"early", client.now).is_err());
    client.reconnect();
    assert_eq!(client.send("now").numbers(), [1]);
}

#[test]
fn reconnect_gives_the_agent_its_full_settling_time() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    client.complete_at_once();
    client.session.disconnected();
    client.now += SETTLING / 5;
    client.session.connected(client.now);
    client.drain();
    assert!(client.session.send(b"early", client.now).is_err());
    let (waited, timer, output) = client.wake();
    assert_eq!((waited, timer), (SETTLING * 4 / 5, SessionTimer::Settled));
    assert_eq!(output.expect("sound").events, [], "announced before");
    assert_eq!(client.send("now").numbers(), [1]);
}

#[test]
fn document_without_port_forwarding_is_not_multiplexed() {
    let ready = ready(&request(json!([session_type(
        json!({"SessionType": "Port", "Properties": {"portNumber": "22"}})
    )])));
    assert!(!ready.capabilities.multiplexing);
}

#[test]
fn handshake_messages_out_of_turn_are_acknowledged_and_ignored() {
    let mut client = client();
    let early = client.complete();
    assert_eq!(early.acknowledged(), [0]);
    assert!(early.events.is_empty() && !client.session.is_ready());

    client.ask(&port_request()).expect("sound");
    let twice = client.ask(&port_request()).expect("ignored");
    assert_eq!(twice.acknowledged(), [2]);
    assert_eq!(twice.numbers(), NOTHING);
    client.complete();
    assert!(client.complete().events.is_empty());
}

#[test]
fn handshake_completes_out_of_order() {
    let mut client = client();
    client.next = 1;
    assert_eq!(client.complete().acknowledged(), [1]);
    assert_eq!(client.output(2, "data").acknowledged(), [2]);
    client.next = 0;
    let output = client.ask(&port_request()).expect("sound");
    assert!(matches!(
        output.events[..],
        [SessionEvent::Ready(_), SessionEvent::Data(_)]
    ));
    assert_eq!(output.numbers(), [0]);
}

#[test]
fn a_flag_right_behind_handshake_complete_is_an_event() {
    let mut client = client();
    client.ask(&port_request()).expect("sound");
    client
        .receive(stream_data(
            1,
            PayloadType::HandshakeComplete,
            r#"{"HandshakeTimeToComplete":1,"CustomerMessage":""}"#,
        ))
        .expect("sound");
    let flag = Flag::ConnectToPortError;
    let frame = stream_data(2, PayloadType::Flag, flag.to_bytes().to_vec());
    let output = client.receive(frame).expect("the handshake is complete");
    assert_eq!(output.acknowledged(), [2]);
    assert_eq!(output.events, [SessionEvent::Flag(flag)]);
    let other = stream_data(3, PayloadType::StdErr, "?");
    let output = client.receive(other).expect("the handshake is complete");
    assert_eq!(output.acknowledged(), [3]);
}

#[test]
fn data_without_a_handshake_ends_the_session() {
    let frame = stream_data(0, PayloadType::Output, "$ ");
    assert_eq!(
        client().receive(frame).expect_err("no handshake"),
        SessionError::DataBeforeHandshake
    );
}

/// An agent, the time, and a way to what it transmitted since the last call.
fn agent() -> (Session, Instant, impl Fn(&mut Session) -> Vec<Message>) {
    let properties: SessionProperties = [("portNumber", "22")].into_iter().collect();
    let request = HandshakeRequest::port("3.3.0.0", &properties);
    let now = start();
    let mut agent = Session::agent(SessionConfig::default(), request, [1; 32], now, UNIX_TIME);
    agent.connected(now);
    let drain = move |agent: &mut Session| {
        std::iter::from_fn(|| agent.poll_transmit(now))
            .map(|frame| Message::decode(frame).expect("ours are sound"))
            .collect()
    };
    (agent, now, drain)
}

fn from_client(number: i64, kind: PayloadType, payload: impl Into<bytes::Bytes>) -> bytes::Bytes {
    message(MessageType::InputStreamData, number, kind, payload).encode()
}

#[test]
fn the_agents_side_asks_at_once_and_marks_its_first_message() {
    let (mut agent, _, drain) = agent();
    let [request] = &drain(&mut agent)[..] else {
        panic!("one message");
    };
    assert_eq!(request.header.flags, Flags::SYN);
    assert_eq!(request.header.payload_type, PayloadType::HandshakeRequest);
    assert_eq!(
        request.payload,
        &br#"{"AgentVersion":"3.3.0.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"Properties":{"portNumber":"22"},"SessionType":"Port"}}]}"#[..]
    );
}

#[test]
fn the_agents_side_acknowledges_early_data_and_throws_it_away() {
    let (mut agent, now, drain) = agent();
    drain(&mut agent);
    agent
        .handle_message(from_client(0, PayloadType::Output, "early"), now)
        .expect("not fatal");
    assert_eq!(drain(&mut agent).len(), 1);
    assert_eq!(agent.poll_event(), None);
    let body = r#"{"ClientVersion":"1.2.0.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":null}],"Errors":null}"#;
    agent
        .handle_message(from_client(1, PayloadType::HandshakeResponse, body), now)
        .expect("sound");
    assert!(matches!(agent.poll_event(), Some(SessionEvent::Ready(_))));
    agent
        .handle_message(from_client(2, PayloadType::Output, "in time"), now)
        .expect("sound");
    assert_eq!(
        agent.poll_event(),
        Some(SessionEvent::Data("in time".into()))
    );
}

#[test]
fn the_agents_side_ends_with_the_clients_refusal() {
    for status in [2, 3] {
        let (mut agent, now, _) = agent();
        let body = json!({"ClientVersion": "1.2.0.0", "ProcessedClientActions": [
            {"ActionType": "SessionType", "ActionStatus": status, "ActionResult": null, "Error": "no"},
        ]});
        let frame = from_client(0, PayloadType::HandshakeResponse, body.to_string());
        assert_eq!(
            agent.handle_message(frame, now),
            Err(SessionError::Refused {
                action: "SessionType".into(),
                reason: "no".into()
            })
        );
        assert!(!agent.is_ready());
    }
}

#[test]
fn the_agents_side_ends_with_an_unreadable_answer() {
    for body in [
        "",
        "{",
        r#"{"ProcessedClientActions":[{"ActionStatus":9}]}"#,
    ] {
        let (mut agent, now, _) = agent();
        let frame = from_client(0, PayloadType::HandshakeResponse, body);
        match agent.handle_message(frame, now) {
            Err(SessionError::Handshake { message, .. }) => {
                assert_eq!(message, "HandshakeResponse");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn the_agents_request_is_sent_again_until_it_is_acknowledged() {
    let (mut agent, _, drain) = agent();
    let first = drain(&mut agent);
    let (at, _) = agent.poll_timeout().expect("a timer runs");
    agent.handle_timeout(at).expect("not fatal");
    assert_eq!(drain(&mut agent), first);
    agent
        .handle_message(acknowledgement(MessageType::OutputStreamData, 0), at)
        .expect("sound");
    assert_eq!(agent.stats().unacknowledged, 0);
}
