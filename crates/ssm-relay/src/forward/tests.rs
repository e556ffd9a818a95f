use bytes::BytesMut;
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_smux::{Mux, Role};

use super::*;

const LATENCY: Duration = Duration::from_millis(5);
const NEW_AGENT: &str = "3.3.1142.0";
const OLD_AGENT: &str = "3.0.196.0";

/// A forward and an agent, in virtual time.
struct Pair {
    now: Instant,
    forward: Forward,
    agent: Session,
    agent_events: Vec<ssm_protocol::Event>,
    events: Vec<Event>,
}

impl Pair {
    fn new(agent_version: &str) -> Self {
        Self::with_limits(agent_version, Limits::default())
    }

    fn with_limits(agent_version: &str, limits: Limits) -> Self {
        Self::with_type("LocalPortForwarding", agent_version, limits)
    }

    /// With a document of that `type`; the SSH document has none.
    fn with_type(type_: &str, agent_version: &str, limits: Limits) -> Self {
        let mut pair = Self::connected(type_, agent_version, limits);
        pair.become_ready();
        pair
    }

    /// Nothing was said yet.
    fn connected(type_: &str, agent_version: &str, limits: Limits) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let properties: SessionProperties = [("portNumber", "3389"), ("type", type_)]
            .into_iter()
            .collect();
        let unix = Duration::from_secs(1_800_000_000);
        let mut agent = Session::agent(
            SessionConfig::default(),
            HandshakeRequest::port(agent_version, &properties),
            [1; 32],
            now,
            unix,
        );
        agent.connected(now);
        let mut forward = Forward::new(limits, [2; 32], now, unix);
        forward.connected(now);
        Self {
            now,
            forward,
            agent,
            agent_events: Vec::new(),
            events: Vec::new(),
        }
    }

    fn become_ready(&mut self) {
        self.settle();
        // Until the agent keeps what it is sent.
        self.pass(Duration::from_millis(250));
        assert!(self.events.contains(&Event::Ready));
    }

    /// Exchanges messages until nobody has any.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.now += LATENCY;
            let mut quiet = true;
            while let Some(message) = self.forward.poll_transmit(self.now) {
                quiet = false;
                self.agent
                    .handle_message(message, self.now)
                    .expect("sound messages");
            }
            while let Some(message) = self.agent.poll_transmit(self.now) {
                quiet = false;
                self.forward
                    .handle_message(message, self.now)
                    .expect("sound messages");
            }
            while let Some(event) = self.agent.poll_event() {
                self.agent_events.push(event);
            }
            while let Some(event) = self.forward.poll_event() {
                self.events.push(event);
            }
            if quiet {
                return;
            }
        }
        panic!("the exchange does not end");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.forward
            .handle_timeout(self.now)
            .expect("no deadline passed");
        self.settle();
    }

    /// Bytes the agent got since the last call.
    fn agent_bytes(&mut self) -> Vec<u8> {
        let data = self.agent_events.iter().filter_map(|event| match event {
            ssm_protocol::Event::Data(data) => Some(data.to_vec()),
            _ => None,
        });
        let bytes = data.flatten().collect();
        self.agent_events.clear();
        bytes
    }

    fn agent_flags(&self) -> Vec<Flag> {
        let flags = self.agent_events.iter().filter_map(|event| match event {
            ssm_protocol::Event::Flag(flag) => Some(*flag),
            _ => None,
        });
        flags.collect()
    }

    fn agent_sends(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(1024) {
            self.agent
                .send(chunk, self.now)
                .expect("the agent's window has room");
            self.settle();
        }
    }

    fn read_all(&mut self, id: StreamId) -> (Vec<u8>, Read) {
        let mut bytes = Vec::new();
        loop {
            match self.forward.read(id) {
                Read::Data(data) => bytes.extend_from_slice(&data),
                other => return (bytes, other),
            }
        }
    }
}

/// The agent's side of smux over the pair's agent.
fn serve(pair: &mut Pair, mux: &mut Mux) {
    let bytes = pair.agent_bytes();
    mux.handle(bytes.into(), pair.now).expect("smux");
    let mut out = BytesMut::new();
    mux.poll_transmit(&mut out, usize::MAX);
    pair.agent_sends(&out);
}

fn server(pair: &Pair) -> Mux {
    Mux::new(Role::Server, ssm_smux::Config::default(), pair.now)
}

#[test]
fn syn_and_first_bytes_of_a_connection_share_a_message() {
    let mut pair = Pair::new(NEW_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.forward
        .write(id, Bytes::from_static(b"hello"))
        .expect("room");
    let message = pair.forward.poll_transmit(pair.now).expect("one message");
    let message = Message::decode(message).expect("sound");
    assert_eq!(
        &message.payload[..],
        b"\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x05\x00\x03\x00\x00\x00hello"
    );
    assert_eq!(pair.forward.poll_transmit(pair.now), None);
}

#[test]
fn bytes_of_many_streams_arrive_at_their_streams() {
    let mut pair = Pair::new(NEW_AGENT);
    let mut mux = server(&pair);
    let ids: Vec<_> = (0..50)
        .map(|_| pair.forward.open().expect("ready"))
        .collect();
    for (number, id) in ids.iter().enumerate() {
        pair.forward
            .write(*id, vec![number as u8; 3000].into())
            .expect("room");
    }
    pair.settle();
    let bytes = pair.agent_bytes();
    mux.handle(bytes.into(), pair.now).expect("smux");
    for (number, id) in ids.iter().enumerate() {
        let mut received = Vec::new();
        while let ssm_smux::Read::Data(data) = mux.read(*id) {
            received.extend_from_slice(&data);
        }
        assert_eq!(received, vec![number as u8; 3000]);
        mux.write(*id, received.into()).expect("room");
    }
    serve(&mut pair, &mut mux);
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(
            pair.read_all(*id),
            (vec![number as u8; 3000], Read::Blocked)
        );
    }
}

#[test]
fn an_answer_after_local_end_of_file_is_received() {
    let mut pair = Pair::new(NEW_AGENT);
    let mut mux = server(&pair);
    let id = pair.forward.open().expect("ready");
    pair.forward
        .write(id, Bytes::from_static(b"question"))
        .expect("room");
    pair.forward.finish(id, pair.now);
    pair.settle();
    serve(&mut pair, &mut mux);
    assert_ne!(
        mux.read(id),
        ssm_smux::Read::Finished,
        "a FIN would cut off the answer"
    );
    pair.pass(Duration::from_secs(5));
    mux.write(id, Bytes::from_static(b"answer"))
        .expect("still open");
    mux.close(id);
    serve(&mut pair, &mut mux);
    assert_eq!(pair.read_all(id), (b"answer".to_vec(), Read::Finished));
}

#[test]
fn a_refused_destination_is_told_from_an_end_of_file() {
    let mut pair = Pair::new(NEW_AGENT);
    let mut mux = server(&pair);
    let served = pair.forward.open().expect("ready");
    let refused = pair.forward.open().expect("ready");
    pair.settle();
    let bytes = pair.agent_bytes();
    mux.handle(bytes.into(), pair.now).expect("smux");
    mux.write(served, Bytes::from_static(b"x")).expect("open");
    serve(&mut pair, &mut mux);
    pair.agent.send_flag(Flag::ConnectToPortError, pair.now);
    mux.close(refused);
    mux.close(served);
    serve(&mut pair, &mut mux);
    assert!(pair.events.contains(&Event::Refused));
    assert_eq!(pair.read_all(refused), (Vec::new(), Read::Refused));
    assert_eq!(pair.read_all(served), (b"x".to_vec(), Read::Finished));
}

#[test]
fn a_slow_reader_pauses_the_session_and_loses_nothing() {
    let limits = Limits {
        session_receive_budget: 10_000,
        ..Limits::default()
    };
    let mut pair = Pair::with_limits(NEW_AGENT, limits);
    let mut mux = server(&pair);
    let id = pair.forward.open().expect("ready");
    pair.settle();
    serve(&mut pair, &mut mux);
    mux.write(id, vec![7; 12_000].into()).expect("open");
    serve(&mut pair, &mut mux);
    assert!(pair.forward.receive_paused());
    let (bytes, _) = pair.read_all(id);
    assert_eq!(bytes, vec![7; 12_000]);
    assert!(!pair.forward.receive_paused());
}

#[test]
fn bytes_that_are_not_smux_end_the_session_with_an_error() {
    let mut pair = Pair::new(NEW_AGENT);
    pair.agent
        .send(b"SSH-2.0-OpenSSH_9.2\r\n", pair.now)
        .expect("room");
    let message = pair.agent.poll_transmit(pair.now).expect("a message");
    let error = pair
        .forward
        .handle_message(message, pair.now)
        .expect_err("not smux");
    assert_eq!(
        error,
        ForwardError::Smux(SmuxError::Version { found: b'S' })
    );
}

#[test]
fn basic_mode_carries_bytes_as_they_are_one_connection_at_a_time() {
    let mut pair = Pair::new(OLD_AGENT);
    assert!(!pair.forward.is_multiplexed());
    let id = pair.forward.open().expect("ready");
    assert_eq!(pair.forward.open(), None, "one at a time");
    pair.forward
        .write(id, Bytes::from_static(b"\n"))
        .expect("room");
    pair.settle();
    assert_eq!(pair.agent_bytes(), b"\n");
    pair.agent_sends(b"answer");
    assert_eq!(pair.read_all(id), (b"answer".to_vec(), Read::Blocked));
    pair.forward
        .write(id, Bytes::from_static(b"last words"))
        .expect("room");
    pair.forward.close(id);
    pair.settle();
    assert_eq!(pair.agent_flags(), [Flag::DisconnectToPort]);
    assert_eq!(pair.agent_bytes(), b"last words");
    assert!(pair.forward.is_spent());
    assert!(pair.forward.is_drained());
}

#[test]
fn what_a_server_says_before_the_first_connection_is_opened_is_the_first_connections() {
    let mut pair = Pair::new(OLD_AGENT);
    pair.agent_sends(b"220 ready");
    let id = pair.forward.open().expect("ready");
    assert_eq!(pair.read_all(id), (b"220 ready".to_vec(), Read::Blocked));
}

#[test]
fn a_reused_basic_session_discards_what_belongs_to_the_connection_before() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.forward.reset(first);
    pair.settle();
    let second = pair.forward.open().expect("free again");
    pair.agent_sends(b"late bytes of the first");
    assert_eq!(pair.read_all(second), (Vec::new(), Read::Blocked));
    pair.forward
        .write(second, Bytes::from_static(b"hello"))
        .expect("room");
    pair.settle();
    pair.agent_sends(b"for the second");
    assert_eq!(
        pair.read_all(second),
        (b"for the second".to_vec(), Read::Blocked)
    );
}

#[test]
fn in_basic_mode_local_end_of_file_waits_for_the_answer_then_ends() {
    let mut pair = Pair::new(OLD_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.forward
        .write(id, Bytes::from_static(b"question"))
        .expect("room");
    pair.forward.finish(id, pair.now);
    pair.pass(Duration::from_secs(8));
    pair.agent_sends(b"answer");
    pair.pass(Duration::from_secs(8));
    assert_eq!(pair.read_all(id), (b"answer".to_vec(), Read::Blocked));
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.read_all(id), (Vec::new(), Read::Finished));
}

fn channel_closed(output: &str) -> Bytes {
    control(
        MessageType::ChannelClosed,
        format!(r#"{{"Output":"{output}"}}"#).into(),
    )
}

#[test]
fn with_the_ssh_document_channel_closed_without_a_complaint_ends_the_connection_in_order() {
    for (output, expected) in [("", Read::Finished), ("Unable to connect", Read::Blocked)] {
        let mut pair = Pair::with_type("", NEW_AGENT, Limits::default());
        let id = pair.forward.open().expect("ready");
        pair.agent_sends(b"goodbye");
        pair.forward
            .handle_message(channel_closed(output), pair.now)
            .expect("sound");
        pair.settle();
        assert_eq!(
            pair.events.last(),
            Some(&Event::ChannelClosed {
                output: output.to_owned()
            })
        );
        assert_eq!(pair.read_all(id), (b"goodbye".to_vec(), expected));
    }
}

/// The channel's end is not numbered, so it can overtake what was lost.
#[test]
fn channel_closed_before_everything_arrived_is_no_orderly_end() {
    let mut pair = Pair::with_type("", NEW_AGENT, Limits::default());
    let id = pair.forward.open().expect("ready");
    pair.agent.send(b"lost", pair.now).expect("room");
    assert!(pair.agent.poll_transmit(pair.now).is_some());
    pair.agent_sends(b"after it");
    pair.forward
        .handle_message(channel_closed(""), pair.now)
        .expect("sound");
    assert_eq!(pair.read_all(id), (Vec::new(), Read::Blocked));
}

/// An idle time-out, say: the agent does not end such a session by itself.
#[test]
fn an_old_agents_session_that_is_terminated_cuts_its_connection_off() {
    let mut pair = Pair::new(OLD_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.agent_sends(b"half of it");
    pair.forward
        .handle_message(channel_closed(""), pair.now)
        .expect("sound");
    assert_eq!(pair.read_all(id), (b"half of it".to_vec(), Read::Blocked));
}

#[test]
fn keep_alives_follow_the_agents_age_unless_asked_for() {
    let asked = |version, keep_alive| {
        let limits = Limits {
            keep_alive,
            ..Limits::default()
        };
        let mut pair = Pair::with_limits(version, limits);
        pair.pass(Duration::from_secs(11));
        !pair.agent_bytes().is_empty()
    };
    assert!(!asked(NEW_AGENT, None));
    assert!(asked("3.1.1511.0", None));
    assert!(asked(NEW_AGENT, Some(Duration::from_secs(10))));
}

fn publication(message_type: MessageType) -> Bytes {
    control(message_type, Bytes::new())
}

fn control(message_type: MessageType, payload: Bytes) -> Bytes {
    let header = Header {
        message_type,
        schema_version: 1,
        created_date: Duration::from_secs(1),
        sequence_number: SequenceNumber(0),
        flags: Flags::NONE,
        message_id: MessageId::default(),
        payload_type: PayloadType::None,
    };
    Message { header, payload }.encode()
}

/// A pause keeps data from being sent, so the deadline for what was sent does not cover it.
#[test]
fn data_that_waits_for_a_paused_agent_is_given_up_in_time_and_an_idle_pause_is_not() {
    let timeout = Limits::default().peer_timeout;
    for resumes in [true, false] {
        let mut pair = Pair::new(NEW_AGENT);
        let id = pair.forward.open().expect("ready");
        pair.settle();
        let pause = publication(MessageType::PausePublication);
        pair.forward.handle_message(pause, pair.now).expect("sound");
        pair.pass(2 * timeout);
        pair.forward
            .write(id, Bytes::from_static(b"hello?"))
            .expect("room");
        pair.settle();
        if resumes {
            pair.pass(timeout / 2);
            let start = publication(MessageType::StartPublication);
            pair.forward.handle_message(start, pair.now).expect("sound");
            pair.settle();
            assert!(pair.agent_bytes().ends_with(b"hello?"));
            pair.pass(2 * timeout);
        } else {
            pair.now += timeout;
            let error = pair
                .forward
                .handle_timeout(pair.now)
                .expect_err("nobody is there");
            let silent = SessionError::PeerSilent { after: timeout };
            assert_eq!(error, ForwardError::Session(silent));
        }
    }
}

/// The client's websocket is away for that long.
fn outage(pair: &mut Pair, long: Duration) {
    pair.forward.disconnected(pair.now).expect("sound");
    pair.now += long;
    pair.forward.connected(pair.now);
    pair.forward
        .handle_timeout(pair.now)
        .expect("an outage is nobody's silence");
    pair.settle();
}

#[test]
fn an_outage_or_a_pause_does_not_use_up_the_wait_for_an_answer() {
    for (version, paused) in [
        (NEW_AGENT, false),
        (NEW_AGENT, true),
        (OLD_AGENT, false),
        (OLD_AGENT, true),
    ] {
        let mut pair = Pair::new(version);
        let id = pair.forward.open().expect("ready");
        pair.forward
            .write(id, Bytes::from_static(b"question"))
            .expect("room");
        pair.forward.finish(id, pair.now);
        pair.settle();
        pair.agent_bytes();
        pair.pass(Duration::from_secs(8));
        if paused {
            let pause = publication(MessageType::PausePublication);
            pair.forward.handle_message(pause, pair.now).expect("sound");
            for _ in 0..10 {
                pair.pass(Duration::from_secs(6));
            }
            let start = publication(MessageType::StartPublication);
            pair.forward.handle_message(start, pair.now).expect("sound");
        } else {
            outage(&mut pair, Duration::from_secs(60));
        }
        pair.pass(Duration::from_secs(8));
        assert_eq!(pair.agent_bytes(), b"", "{version} {paused}: no FIN yet");
        assert_eq!(pair.read_all(id), (Vec::new(), Read::Blocked));
        for _ in 0..2 {
            pair.pass(Duration::from_secs(11));
        }
        assert!(gave_up(&mut pair, id), "{version} {paused}");
    }
}

/// Whether the wait for the answer is over: in basic mode it is told, in smux the agent gets a FIN.
fn gave_up(pair: &mut Pair, id: StreamId) -> bool {
    pair.read_all(id).1 == Read::Finished || pair.agent_bytes().starts_with(b"\x01\x01")
}

#[test]
fn an_outage_is_not_taken_for_silence_by_the_keep_alive() {
    let mut pair = Pair::new("3.1.1511.0");
    outage(&mut pair, Duration::from_secs(120));
    let pause = publication(MessageType::PausePublication);
    pair.forward.handle_message(pause, pair.now).expect("sound");
    for _ in 0..12 {
        pair.pass(Duration::from_secs(10));
    }
}

#[test]
fn keep_alives_on_request_do_not_end_an_idle_session_of_an_agent_that_answers_none() {
    let limits = Limits {
        keep_alive: Some(Duration::from_secs(10)),
        ..Limits::default()
    };
    let mut pair = Pair::with_limits(NEW_AGENT, limits);
    for _ in 0..30 {
        pair.pass(Duration::from_secs(10));
    }
    assert!(!pair.agent_bytes().is_empty());
}

#[test]
fn keep_alives_go_out_as_often_as_an_older_agent_needs_them() {
    let limits = Limits {
        keep_alive: Some(Duration::from_secs(3600)),
        ..Limits::default()
    };
    let mut pair = Pair::with_limits("3.1.1511.0", limits);
    pair.pass(Duration::from_secs(11));
    assert!(!pair.agent_bytes().is_empty());
}

#[test]
fn a_slow_local_reader_is_not_taken_for_a_silent_agent() {
    let limits = Limits {
        session_receive_budget: 10_000,
        ..Limits::default()
    };
    let timeout = limits.peer_timeout;
    let mut pair = Pair::with_limits(NEW_AGENT, limits);
    let mut mux = server(&pair);
    let id = pair.forward.open().expect("ready");
    pair.settle();
    serve(&mut pair, &mut mux);
    mux.write(id, vec![7; 12_000].into()).expect("open");
    serve(&mut pair, &mut mux);
    assert!(pair.forward.receive_paused());
    pair.forward
        .write(id, Bytes::from_static(b"upload"))
        .expect("room");
    let message = pair.forward.poll_transmit(pair.now).expect("the upload");
    pair.now += 2 * timeout;
    pair.forward
        .handle_timeout(pair.now)
        .expect("its acknowledgement could not be heard");
    assert_eq!(pair.read_all(id).0.len(), 12_000);
    pair.forward
        .handle_timeout(pair.now)
        .expect("nor could it be read in no time");
    pair.agent.handle_message(message, pair.now).expect("sound");
    pair.settle();
    pair.pass(2 * timeout);
}

#[test]
fn time_without_a_websocket_is_not_time_that_data_waits_for_a_paused_agent() {
    let mut pair = Pair::new(NEW_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.settle();
    let pause = publication(MessageType::PausePublication);
    pair.forward.handle_message(pause, pair.now).expect("sound");
    pair.forward
        .write(id, Bytes::from_static(b"hello?"))
        .expect("room");
    pair.settle();
    outage(&mut pair, 2 * Limits::default().peer_timeout);
    assert!(pair.agent_bytes().ends_with(b"hello?"));
}

#[test]
fn a_basic_connection_that_may_wait_for_ever_does() {
    let limits = Limits {
        half_close_quiet: Duration::MAX,
        ..Limits::default()
    };
    let mut pair = Pair::with_limits(OLD_AGENT, limits);
    let id = pair.forward.open().expect("ready");
    pair.forward.finish(id, pair.now);
    pair.pass(Duration::from_secs(100_000));
    assert_eq!(pair.read_all(id), (Vec::new(), Read::Blocked));
}

#[test]
fn a_reused_basic_session_delivers_the_answer_while_the_upload_goes_on() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.forward.reset(first);
    pair.settle();
    let second = pair.forward.open().expect("free again");
    pair.forward
        .write(second, Bytes::from_static(b"first byte"))
        .expect("room");
    pair.settle();
    pair.forward
        .write(second, Bytes::from_static(b"and more"))
        .expect("room");
    assert!(pair.forward.poll_transmit(pair.now).is_some());
    pair.agent.send(b"220 ready", pair.now).expect("room");
    let answer = pair.agent.poll_transmit(pair.now).expect("the answer");
    pair.forward
        .handle_message(answer, pair.now)
        .expect("sound");
    assert_eq!(
        pair.read_all(second),
        (b"220 ready".to_vec(), Read::Blocked)
    );
}

#[test]
fn a_basic_session_is_reused_once_nothing_of_the_old_connection_can_come() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.forward
        .write(first, Bytes::from_static(b"x"))
        .expect("room");
    pair.settle();
    pair.forward.reset(first);
    let flag = pair.forward.poll_transmit(pair.now).expect("a flag");
    assert_eq!(pair.forward.open(), None, "not acknowledged");
    // Lost with the websocket; so may be bytes of the old connection, which the agent repeats.
    drop(flag);
    outage(&mut pair, Duration::from_secs(1));
    assert_eq!(pair.forward.open(), None, "too early");
    pair.pass(Duration::from_secs(2));
    pair.agent_sends(b"late bytes");
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.forward.open(), None, "they still came");
    pair.pass(Duration::from_secs(2));
    let second = pair.forward.open().expect("free again");
    assert_eq!(pair.read_all(second), (Vec::new(), Read::Blocked));
}

#[test]
fn keep_alives_go_out_though_the_window_is_full() {
    let mut pair = Pair::new("3.1.1511.0");
    let id = pair.forward.open().expect("ready");
    pair.settle();
    pair.forward
        .write(id, vec![0; 60_000].into())
        .expect("room");
    // The agent is too busy to acknowledge.
    while pair.forward.poll_transmit(pair.now).is_some() {}
    pair.now += Duration::from_secs(11);
    pair.forward.handle_timeout(pair.now).expect("alive");
    let messages: Vec<_> = std::iter::from_fn(|| pair.forward.poll_transmit(pair.now)).collect();
    let nop = messages.into_iter().any(|message| {
        let message = Message::decode(message).expect("sound");
        message.payload[..] == [1, 3, 0, 0, 0, 0, 0, 0]
    });
    assert!(nop);
}

#[test]
fn a_basic_session_is_not_reused_while_the_agent_still_repeats_what_it_believes_lost() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.agent.send(b"old", pair.now).expect("room");
    let message = pair.agent.poll_transmit(pair.now).expect("data");
    pair.forward
        .handle_message(message.clone(), pair.now)
        .expect("sound");
    outage(&mut pair, Duration::from_secs(1));
    pair.pass(Duration::from_secs(2));
    pair.forward
        .handle_message(message, pair.now)
        .expect("sound");
    pair.forward.reset(first);
    pair.settle();
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.forward.open(), None, "more may be behind it");
    pair.pass(Duration::from_secs(2));
    assert!(pair.forward.open().is_some());
}

#[test]
fn a_break_before_the_handshake_is_complete_may_be_followed_by_repetitions_too() {
    let mut pair = Pair::connected("LocalPortForwarding", OLD_AGENT, Limits::default());
    outage(&mut pair, Duration::from_secs(1));
    pair.become_ready();
    let first = pair.forward.open().expect("ready");
    pair.forward.reset(first);
    pair.settle();
    assert_eq!(pair.forward.open(), None, "bytes of the first may come");
    pair.pass(Duration::from_secs(3));
    assert!(pair.forward.open().is_some());
}

/// What is new comes behind what the agent sends again, one message at a time.
#[test]
fn a_half_closed_connection_is_not_given_up_while_the_agent_repeats_what_it_believes_lost() {
    let quiet = Limits::default().half_close_quiet;
    let second = Duration::from_secs(1);
    for (version, bytes) in [
        (OLD_AGENT, &b"old"[..]),
        (NEW_AGENT, b"\x01\x02\x03\x00\x03\x00\x00\x00old"),
    ] {
        let mut pair = Pair::new(version);
        let id = pair.forward.open().expect("ready");
        pair.settle();
        pair.agent.send(bytes, pair.now).expect("room");
        let message = pair.agent.poll_transmit(pair.now).expect("data");
        let repeat = |pair: &mut Pair| {
            let message = message.clone();
            pair.forward
                .handle_message(message, pair.now)
                .expect("sound");
        };
        repeat(&mut pair);
        assert_eq!(pair.read_all(id), (b"old".to_vec(), Read::Blocked));
        pair.agent_bytes();
        pair.forward.finish(id, pair.now);
        pair.settle();
        pair.pass(quiet - second);
        for _ in 0..5 {
            repeat(&mut pair);
            pair.pass(2 * second);
            assert!(!gave_up(&mut pair, id), "agent {version}");
        }
        pair.pass(2 * second);
        assert!(gave_up(&mut pair, id), "agent {version}");
    }
}
