//! smux: many streams.

use super::*;

#[test]
fn syn_and_first_bytes_of_a_connection_share_a_message() {
    for (version, expected) in [
        ("3.0.654.0", HELLO.to_vec()),
        (
            "3.0.655.0",
            [DISCARD_8, DISCARD_21, HELLO, DISCARD_8].concat(),
        ),
        (
            NEW_AGENT,
            [DISCARD_8, DISCARD_21, HELLO, DISCARD_8].concat(),
        ),
    ] {
        let mut pair = Pair::new(version);
        let id = pair.forward.open().expect("ready");
        pair.forward
            .write(id, Bytes::from_static(b"hello"))
            .expect("room");
        let message = pair.forward.poll_transmit(pair.now).expect("one message");
        let message = Message::decode(message).expect("sound");
        assert_eq!(message.payload, expected, "agent {version}");
        assert_eq!(pair.forward.poll_transmit(pair.now), None);
    }
}

/// SYN and PSH of the first stream.
const HELLO: &[u8] = b"\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x05\x00\x03\x00\x00\x00hello";
/// PSH of stream 0, which does not exist.
const DISCARD_8: &[u8] = b"\x01\x02\x08\x00\x00\x00\x00\x00";
const DISCARD_21: &[u8] = b"\x01\x02\x15\x00\x00\x00\x00\x00";

/// The agent's websocket breaks after each message, and the agent processes it again.
#[test]
fn every_message_may_be_processed_again_at_every_payload_limit() {
    for max_payload in [ForwardConfig::MIN_PAYLOAD, 64, 100, 1024, 70_000] {
        let mut config = ForwardConfig {
            keep_alive: Some(Duration::from_secs(1)),
            stream_send_buffer: 200_000,
            ..ForwardConfig::default()
        };
        config.session.max_payload = max_payload;
        let mut pair = Pair::with_config(NEW_AGENT, config);
        let mut mux = server(&pair);
        let ids = [(); 3].map(|()| pair.forward.open().expect("ready"));
        let sent: Vec<u8> = (0..150_000_u32).map(|at| at as u8).collect();
        for id in ids {
            pair.forward.write(id, sent.clone().into()).expect("room");
        }
        // A NOP is due as well, and FINs follow the data.
        pair.now += Duration::from_secs(2);
        pair.forward.handle_timeout(pair.now).expect("alive");
        for id in ids {
            pair.forward.close(id);
        }
        let mut received = vec![Vec::new(); ids.len()];
        while !pair.forward.is_drained() || mux.stream_count() > 0 {
            pair.settle();
            let messages: Vec<Bytes> = pair
                .agent_events
                .drain(..)
                .filter_map(|event| match event {
                    ssm_protocol::SessionEvent::Data(data) => Some(data),
                    _ => None,
                })
                .collect();
            assert!(
                !messages.is_empty(),
                "max_payload {max_payload}: nothing more comes"
            );
            for message in messages {
                assert!(message.len() <= max_payload);
                for _ in 0..2 {
                    mux.handle(message.clone(), pair.now).expect("smux");
                }
            }
            for (id, received) in ids.iter().zip(&mut received) {
                while let ssm_smux::Read::Data(data) = mux.read(*id) {
                    received.extend_from_slice(&data);
                }
                if mux.read(*id) == ssm_smux::Read::Finished {
                    mux.close(*id);
                }
            }
            let mut out = BytesMut::new();
            mux.poll_transmit(&mut out, usize::MAX);
            pair.agent_sends(&out);
        }
        assert!(received.iter().all(|received| *received == sent));
    }
}

#[test]
fn bytes_of_many_streams_are_never_mixed_up() {
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
            (vec![number as u8; 3000], StreamRead::Blocked)
        );
    }
}

/// The agent is nearby: it acknowledges at once.
#[test]
fn a_keystroke_beside_an_upload_shortens_the_queue_for_a_while() {
    let mut pair = Pair::new(NEW_AGENT);
    let [upload, keys] = [(); 2].map(|()| pair.forward.open().expect("ready"));
    let floor = SessionConfig::default().min_window;
    let few = 4 * SessionConfig::default().max_payload;
    let mut window_after = |time: Duration, keystroke: &'static [u8]| {
        pair.pass(time);
        pair.forward
            .write(upload, vec![0; 60_000].into())
            .expect("room");
        pair.forward
            .write(keys, Bytes::from_static(keystroke))
            .expect("room");
        pair.settle();
        pair.forward.stats().window
    };
    assert!(window_after(Duration::ZERO, b"") > 4 * floor);
    assert_eq!(window_after(Duration::ZERO, b"k"), few);
    assert_eq!(window_after(Duration::from_secs(9), b""), few);
    assert!(window_after(Duration::from_secs(2), b"") > 4 * floor);
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
    assert_eq!(
        pair.read_all(id),
        (b"answer".to_vec(), StreamRead::Finished)
    );
}

#[test]
fn a_refused_destination_is_distinct_from_an_end_of_file() {
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
    assert!(pair.events.contains(&ForwardEvent::Refused));
    assert_eq!(pair.read_all(refused), (Vec::new(), StreamRead::Refused));
    assert_eq!(pair.read_all(served), (b"x".to_vec(), StreamRead::Finished));
}

/// The local program closed before the agent had answered.
#[test]
fn a_refusal_of_a_closed_stream_is_not_passed_to_the_next() {
    for reset in [false, true] {
        let mut pair = Pair::new(NEW_AGENT);
        let mut mux = server(&pair);
        let refused = pair.forward.open().expect("ready");
        pair.settle();
        let served = pair.forward.open().expect("ready");
        if reset {
            pair.forward.reset(refused);
        } else {
            pair.forward.close(refused);
        }
        pair.settle();
        let bytes = pair.agent_bytes();
        mux.handle(bytes.into(), pair.now).expect("smux");
        pair.agent.send_flag(Flag::ConnectToPortError, pair.now);
        mux.close(refused);
        serve(&mut pair, &mut mux);
        mux.close(served);
        serve(&mut pair, &mut mux);
        assert_eq!(pair.read_all(served), (Vec::new(), StreamRead::Finished));
    }
}

/// The agent connects in order: data of a later stream shows that the earlier one was connected.
#[test]
fn a_refusal_belongs_to_a_stream_after_all_that_were_served() {
    let mut pair = Pair::new(NEW_AGENT);
    let mut mux = server(&pair);
    let ids: Vec<_> = (0..3)
        .map(|_| pair.forward.open().expect("ready"))
        .collect();
    pair.settle();
    let bytes = pair.agent_bytes();
    mux.handle(bytes.into(), pair.now).expect("smux");
    // The first was connected and is silent, the second answers, the third is refused; the first
    // ends meanwhile.
    mux.write(ids[1], Bytes::from_static(b"x")).expect("open");
    serve(&mut pair, &mut mux);
    pair.agent.send_flag(Flag::ConnectToPortError, pair.now);
    for id in [ids[0], ids[2], ids[1]] {
        mux.close(id);
        serve(&mut pair, &mut mux);
    }
    assert_eq!(pair.read_all(ids[0]), (Vec::new(), StreamRead::Finished));
    assert_eq!(pair.read_all(ids[1]), (b"x".to_vec(), StreamRead::Finished));
    assert_eq!(pair.read_all(ids[2]), (Vec::new(), StreamRead::Refused));
}

#[test]
fn a_slow_reader_pauses_the_session_and_loses_nothing() {
    let (mut pair, id) = paused();
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
