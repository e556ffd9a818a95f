//! Basic mode: one connection at a time.

use super::*;

#[test]
fn basic_mode_carries_raw_bytes_of_one_connection_at_a_time() {
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
    assert_eq!(pair.read_all(id), (b"answer".to_vec(), StreamRead::Blocked));
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
fn early_server_data_goes_to_the_first_connection() {
    let mut pair = Pair::new(OLD_AGENT);
    pair.agent_sends(b"220 ready");
    let id = pair.forward.open().expect("ready");
    assert_eq!(
        pair.read_all(id),
        (b"220 ready".to_vec(), StreamRead::Blocked)
    );
}

#[test]
fn a_reused_basic_session_discards_the_old_connections_bytes() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.forward.reset(first);
    pair.settle();
    let second = pair.forward.open().expect("free again");
    pair.agent_sends(b"late bytes of the first");
    assert_eq!(pair.read_all(second), (Vec::new(), StreamRead::Blocked));
    pair.forward
        .write(second, Bytes::from_static(b"hello"))
        .expect("room");
    pair.settle();
    pair.agent_sends(b"for the second");
    assert_eq!(
        pair.read_all(second),
        (b"for the second".to_vec(), StreamRead::Blocked)
    );
}

#[test]
fn a_half_closed_basic_connection_ends_after_its_answer() {
    let mut pair = Pair::new(OLD_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.forward
        .write(id, Bytes::from_static(b"question"))
        .expect("room");
    pair.forward.finish(id, pair.now);
    pair.pass(Duration::from_secs(8));
    pair.agent_sends(b"answer");
    pair.pass(Duration::from_secs(8));
    assert_eq!(pair.read_all(id), (b"answer".to_vec(), StreamRead::Blocked));
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Finished));
}

fn channel_closed(output: &str) -> Bytes {
    control(
        MessageType::ChannelClosed,
        format!(r#"{{"Output":"{output}"}}"#).into(),
    )
}

#[test]
fn channel_closed_is_an_orderly_end_with_the_ssh_document() {
    for (output, expected) in [
        ("", StreamRead::Finished),
        ("Unable to connect", StreamRead::Blocked),
    ] {
        let mut pair = Pair::with_type("", NEW_AGENT, ForwardConfig::default());
        let id = pair.forward.open().expect("ready");
        pair.agent_sends(b"goodbye");
        pair.forward
            .handle_message(channel_closed(output), pair.now)
            .expect("sound");
        pair.settle();
        assert_eq!(
            pair.events.last(),
            Some(&ForwardEvent::ChannelClosed {
                output: output.to_owned()
            })
        );
        assert_eq!(pair.read_all(id), (b"goodbye".to_vec(), expected));
    }
}

/// channel_closed is not numbered, so it can overtake what was lost.
#[test]
fn channel_closed_with_data_missing_is_no_orderly_end() {
    let mut pair = Pair::with_type("", NEW_AGENT, ForwardConfig::default());
    let id = pair.forward.open().expect("ready");
    pair.agent.send(b"lost", pair.now).expect("room");
    assert!(pair.agent.poll_transmit(pair.now).is_some());
    pair.agent_sends(b"after it");
    pair.forward
        .handle_message(channel_closed(""), pair.now)
        .expect("sound");
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Blocked));
}

/// By an idle time-out, for example: the agent does not end such a session by itself.
#[test]
fn a_terminated_session_of_an_old_agent_resets_its_connection() {
    let mut pair = Pair::new(OLD_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.agent_sends(b"half of it");
    pair.forward
        .handle_message(channel_closed(""), pair.now)
        .expect("sound");
    assert_eq!(
        pair.read_all(id),
        (b"half of it".to_vec(), StreamRead::Blocked)
    );
}

#[test]
fn a_half_close_without_a_limit_never_expires() {
    let config = ForwardConfig {
        half_close_quiet: Duration::MAX,
        ..ForwardConfig::default()
    };
    let mut pair = Pair::with_config(OLD_AGENT, config);
    let id = pair.forward.open().expect("ready");
    pair.forward.finish(id, pair.now);
    pair.pass(Duration::from_secs(100_000));
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Blocked));
}

#[test]
fn a_reused_basic_session_delivers_an_answer_during_an_upload() {
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
        (b"220 ready".to_vec(), StreamRead::Blocked)
    );
}

#[test]
fn a_basic_session_is_reused_once_the_old_connection_is_over() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.forward
        .write(first, Bytes::from_static(b"x"))
        .expect("room");
    pair.settle();
    pair.forward.reset(first);
    let flag = pair.forward.poll_transmit(pair.now).expect("a flag");
    assert_eq!(pair.forward.open(), None, "not acknowledged");
    // Lost with the websocket, as bytes of the old connection may be, which the agent sends again.
    drop(flag);
    outage(&mut pair, Duration::from_secs(1));
    assert_eq!(pair.forward.open(), None, "too early");
    pair.pass(Duration::from_secs(2));
    pair.agent_sends(b"late bytes");
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.forward.open(), None, "they still came");
    pair.pass(Duration::from_secs(2));
    let second = pair.forward.open().expect("free again");
    assert_eq!(pair.read_all(second), (Vec::new(), StreamRead::Blocked));
}

#[test]
fn a_basic_session_is_not_reused_while_the_agent_repeats() {
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
fn a_break_during_the_handshake_delays_the_reuse_too() {
    let mut pair = Pair::connected("LocalPortForwarding", OLD_AGENT, ForwardConfig::default());
    outage(&mut pair, Duration::from_secs(1));
    pair.become_ready();
    let first = pair.forward.open().expect("ready");
    pair.forward.reset(first);
    pair.settle();
    assert_eq!(pair.forward.open(), None, "bytes of the first may come");
    pair.pass(Duration::from_secs(3));
    assert!(pair.forward.open().is_some());
}

/// A local program that shuts down writing looks like one that closes the connection.
#[test]
fn a_half_closed_basic_connection_makes_room_for_one_that_waits() {
    let mut pair = Pair::new(OLD_AGENT);
    let first = pair.forward.open().expect("ready");
    pair.forward
        .write(first, Bytes::from_static(b"question"))
        .expect("room");
    pair.forward.finish(first, pair.now);
    pair.settle();
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.read_all(first), (Vec::new(), StreamRead::Blocked));
    // The wait for the answer is not over, and nothing has arrived for five seconds.
    pair.forward.set_waiting(1);
    let at = pair.forward.poll_timeout().expect("a deadline");
    assert!(at <= pair.now, "it waits on");
    pair.pass(Duration::ZERO);
    assert_eq!(pair.read_all(first), (Vec::new(), StreamRead::Reset));
    pair.forward.close(first);
    pair.settle();
    assert_eq!(pair.agent_flags(), [Flag::DisconnectToPort]);
    pair.forward.set_waiting(0);
    assert!(pair.forward.open().is_some());
}

#[test]
fn a_half_closed_basic_connection_still_reads_its_answer() {
    let mut pair = Pair::new(OLD_AGENT);
    let id = pair.forward.open().expect("ready");
    pair.forward.set_waiting(2);
    // An open connection makes no room, however quiet it is.
    pair.pass(Duration::from_secs(60));
    pair.forward
        .write(id, Bytes::from_static(b"question"))
        .expect("room");
    pair.forward.finish(id, pair.now);
    pair.settle();
    for _ in 0..20 {
        pair.pass(Duration::from_millis(900));
        pair.agent_sends(b"and more ");
        let (bytes, then) = pair.read_all(id);
        assert_eq!(
            (bytes.as_slice(), then),
            (&b"and more "[..], StreamRead::Blocked)
        );
    }
    // What has arrived is waited for until it is read.
    pair.agent_sends(b"the end");
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.forward.read(id), StreamRead::Data("the end".into()));
    assert_eq!(pair.forward.read(id), StreamRead::Blocked);
    // No connection waits any more.
    pair.forward.set_waiting(0);
    pair.pass(Duration::from_secs(6));
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Blocked));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Finished));
}

/// A session of the SSH document whose agent's websocket breaks before or after what was written is
/// `acknowledged`.
fn broken_upload(version: &str, written: &'static [u8], acknowledged: bool) -> (Pair, StreamId) {
    let mut pair = Pair::with_type("", version, ForwardConfig::default());
    let id = pair.forward.open().expect("ready");
    pair.forward
        .write(id, Bytes::from_static(written))
        .expect("room");
    if acknowledged {
        pair.settle();
    } else {
        assert!(pair.forward.poll_transmit(pair.now).is_some());
    }
    let pause = publication(MessageType::PausePublication);
    pair.forward.handle_message(pause, pair.now).expect("sound");
    pair.settle();
    (pair, id)
}

#[test]
fn a_connection_whose_bytes_may_come_twice_is_reset() {
    let (mut pair, id) = broken_upload(NEW_AGENT, b"INSERT", false);
    assert!(pair.events.contains(&ForwardEvent::Readable(id)));
    assert_eq!(pair.forward.read(id), StreamRead::Doubled);
    assert_eq!(pair.forward.writable(id), None);
    assert!(pair.forward.is_doubled(id));
    pair.forward.close(id);
    pair.forward
        .handle_message(publication(MessageType::StartPublication), pair.now)
        .expect("sound");
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.agent_flags(), [Flag::DisconnectToPort]);
}

#[test]
fn an_ssh_connection_goes_on_where_bytes_may_come_twice() {
    let (mut pair, id) = broken_upload(NEW_AGENT, b"SSH-2.0-OpenSSH_9.2\r\n", false);
    assert_eq!(pair.forward.read(id), StreamRead::Blocked);
    assert!(pair.forward.writable(id).is_some());
}

#[test]
fn a_connection_goes_on_where_nothing_can_have_come_twice() {
    // The second agent acknowledges a message before it processes it.
    for (version, acknowledged) in [(NEW_AGENT, true), ("3.0.654.0", false)] {
        let (mut pair, id) = broken_upload(version, b"INSERT", acknowledged);
        assert_eq!(
            pair.forward.read(id),
            StreamRead::Blocked,
            "agent {version}"
        );
        assert!(pair.forward.writable(id).is_some());
    }
}
