//! Half-closed streams, outages and time-outs.

use super::*;

/// A connected agent answers the client's probes, whether or not the start is announced.
#[test]
fn a_pause_without_a_start_delivers_data_or_ends_in_time() {
    let timeout = ForwardConfig::default().session.peer_timeout;
    for there in [true, false] {
        let mut pair = Pair::new(NEW_AGENT);
        let id = pair.forward.open().expect("ready");
        pair.settle();
        pair.agent_bytes();
        let pause = publication(MessageType::PausePublication);
        pair.forward.handle_message(pause, pair.now).expect("sound");
        pair.pass(2 * timeout);
        pair.forward
            .write(id, Bytes::from_static(b"hello?"))
            .expect("room");
        if there {
            pair.settle();
            let bytes = pair.agent_bytes();
            assert!(bytes.windows(6).any(|part| part == b"hello?"));
            pair.pass(2 * timeout);
        } else {
            assert!(pair.forward.poll_transmit(pair.now).is_some(), "a probe");
            assert!(pair.forward.poll_transmit(pair.now).is_none());
            pair.now += timeout;
            let error = pair
                .forward
                .handle_timeout(pair.now)
                .expect_err("the agent is gone");
            let silent = SessionError::PeerSilent { after: timeout };
            assert_eq!(error, ForwardError::Session(silent));
        }
    }
}

#[test]
fn a_half_close_does_not_expire_during_an_outage_or_pause() {
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
        assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Blocked));
        for _ in 0..2 {
            pair.pass(Duration::from_secs(11));
        }
        assert!(gave_up(&mut pair, id), "{version} {paused}");
    }
}

#[test]
fn a_slow_local_reader_is_not_taken_for_a_silent_agent() {
    let timeout = ForwardConfig::default().session.peer_timeout;
    let (mut pair, id) = paused();
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

/// A destination that does not read keeps the agent from acknowledging, without a time limit.
#[test]
fn an_agent_that_sends_but_never_acknowledges_is_not_silent() {
    let timeout = ForwardConfig::default().session.peer_timeout;
    let mut pair = Pair::new(NEW_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.forward
        .write(id, Bytes::from_static(b"upload"))
        .expect("room");
    let mut written = 0;
    for _ in 0..20 {
        while pair.forward.poll_transmit(pair.now).is_some() {}
        pair.now += timeout - Duration::from_secs(1);
        pair.agent
            .send(b"\x01\x03\0\0\0\0\0\0", pair.now)
            .expect("room");
        let message = pair.agent.poll_transmit(pair.now).expect("a NOP");
        pair.forward
            .handle_message(message, pair.now)
            .expect("sound");
        pair.forward.handle_timeout(pair.now).expect("it is there");
        while let Some(room) = pair.forward.writable(id).filter(|room| *room > 0) {
            pair.forward.write(id, vec![0; room].into()).expect("room");
            written += room;
        }
    }
    let config = ForwardConfig::default();
    let most = config.session.max_window + config.stream_send_buffer;
    assert!(written <= most, "{written} bytes are kept");
    pair.now += timeout;
    let error = pair
        .forward
        .handle_timeout(pair.now)
        .expect_err("it fell silent");
    let silent = SessionError::PeerSilent { after: timeout };
    assert_eq!(error, ForwardError::Session(silent));
}

#[test]
fn an_outage_does_not_count_against_a_paused_agent() {
    let mut pair = Pair::new(NEW_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.settle();
    let pause = publication(MessageType::PausePublication);
    pair.forward.handle_message(pause, pair.now).expect("sound");
    pair.forward
        .write(id, Bytes::from_static(b"hello?"))
        .expect("room");
    pair.settle();
    outage(&mut pair, 2 * ForwardConfig::default().session.peer_timeout);
    assert!(pair.agent_bytes().ends_with(b"hello?"));
}

/// New data waits behind what the agent sends again, one message at a time.
#[test]
fn a_half_closed_connection_outlasts_the_agents_repeats() {
    let quiet = ForwardConfig::default().half_close_quiet;
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
        assert_eq!(pair.read_all(id), (b"old".to_vec(), StreamRead::Blocked));
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

/// Agents repeat messages about every 100 ms even if nothing is lost.
#[test]
fn another_streams_repeats_do_not_prolong_a_half_close() {
    let quiet = ForwardConfig::default().half_close_quiet;
    let mut pair = Pair::new(NEW_AGENT);
    let id = pair.forward.open().expect("ready");
    let neighbour = pair.forward.open().expect("ready");
    pair.forward.finish(id, pair.now);
    pair.settle();
    pair.agent_bytes();
    let began = pair.now;
    while !gave_up(&mut pair, id) {
        assert!(pair.now - began < quiet + Duration::from_secs(2));
        for copies in [2, 1] {
            pair.agent
                .send(b"\x01\x02\x01\x00\x05\x00\x00\x00x", pair.now)
                .expect("room");
            let message = pair.agent.poll_transmit(pair.now).expect("data");
            for _ in 0..copies {
                let message = message.clone();
                pair.forward
                    .handle_message(message, pair.now)
                    .expect("sound");
            }
            pair.pass(Duration::from_millis(50));
        }
        assert!(!pair.read_all(neighbour).0.is_empty());
    }
    assert!(pair.now - began >= quiet);
}

/// Whether the wait for the answer is over: in basic mode an event reports it, in smux the agent
/// receives a FIN.
fn gave_up(pair: &mut Pair, id: StreamId) -> bool {
    let [s0, s1, s2, s3] = id.number().to_le_bytes();
    let fin = [1, 1, 0, 0, s0, s1, s2, s3];
    pair.read_all(id).1 == StreamRead::Finished || pair.agent_bytes().windows(8).any(|at| at == fin)
}
