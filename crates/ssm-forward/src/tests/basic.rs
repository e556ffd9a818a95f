use super::*;

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
fn what_a_server_says_before_the_first_connection_is_opened_is_the_first_connections() {
    let mut pair = Pair::new(OLD_AGENT);
    pair.agent_sends(b"220 ready");
    let id = pair.forward.open().expect("ready");
    assert_eq!(
        pair.read_all(id),
        (b"220 ready".to_vec(), StreamRead::Blocked)
    );
}

#[test]
fn a_reused_basic_session_discards_what_belongs_to_the_connection_before() {
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
fn with_the_ssh_document_channel_closed_without_a_complaint_ends_the_connection_in_order() {
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

/// The channel's end is not numbered, so it can overtake what was lost.
#[test]
fn channel_closed_before_everything_arrived_is_no_orderly_end() {
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

/// An idle time-out, say: the agent does not end such a session by itself.
#[test]
fn an_old_agents_session_that_is_terminated_cuts_its_connection_off() {
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
fn a_basic_connection_that_may_wait_for_ever_does() {
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
        (b"220 ready".to_vec(), StreamRead::Blocked)
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
    assert_eq!(pair.read_all(second), (Vec::new(), StreamRead::Blocked));
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

/// Only its local program's end-of-file is known, which closing the connection sends too.
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
    // Still within the answer's time, and nothing came for five seconds.
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
fn a_half_closed_basic_connection_reads_its_answer_though_others_wait() {
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
    // What is here and not read yet is waited for.
    pair.agent_sends(b"the end");
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.forward.read(id), StreamRead::Data("the end".into()));
    assert_eq!(pair.forward.read(id), StreamRead::Blocked);
    // Nobody waits any more.
    pair.forward.set_waiting(0);
    pair.pass(Duration::from_secs(6));
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Blocked));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.read_all(id), (Vec::new(), StreamRead::Finished));
}

/// A session of the SSH document whose agent's websocket breaks before it acknowledged what was
/// written, or after.
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
fn ssh_notices_by_itself_that_bytes_came_twice() {
    let (mut pair, id) = broken_upload(NEW_AGENT, b"SSH-2.0-OpenSSH_9.2\r\n", false);
    assert_eq!(pair.forward.read(id), StreamRead::Blocked);
    assert!(pair.forward.writable(id).is_some());
}

#[test]
fn a_connection_goes_on_where_nothing_can_have_come_twice() {
    // The second agent counts before it processes.
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
