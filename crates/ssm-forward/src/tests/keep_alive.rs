//! smux keep-alives.

use super::*;

#[test]
fn keep_alives_follow_the_agents_version_unless_requested() {
    let asked = |version, keep_alive| {
        let config = ForwardConfig {
            keep_alive,
            ..ForwardConfig::default()
        };
        let mut pair = Pair::with_config(version, config);
        pair.pass(Duration::from_secs(11));
        !pair.agent_bytes().is_empty()
    };
    assert!(!asked(NEW_AGENT, None));
    assert!(asked("3.1.1511.0", None));
    assert!(asked(NEW_AGENT, Some(Duration::from_secs(10))));
}

#[test]
fn keep_alives_do_not_count_an_outage_as_silence() {
    let mut pair = Pair::new("3.1.1511.0");
    outage(&mut pair, Duration::from_secs(120));
    let pause = publication(MessageType::PausePublication);
    pair.forward.handle_message(pause, pair.now).expect("sound");
    // Nothing sent meanwhile is answered.
    for _ in 0..12 {
        pair.now += Duration::from_secs(10);
        let passed = pair.forward.handle_timeout(pair.now);
        passed.expect("a pause is no silence");
        while pair.forward.poll_transmit(pair.now).is_some() {}
    }
}

#[test]
fn requested_keep_alives_need_no_reply_from_newer_agents() {
    let config = ForwardConfig {
        keep_alive: Some(Duration::from_secs(10)),
        ..ForwardConfig::default()
    };
    let mut pair = Pair::with_config(NEW_AGENT, config);
    for _ in 0..30 {
        pair.pass(Duration::from_secs(10));
    }
    assert!(!pair.agent_bytes().is_empty());
}

#[test]
fn keep_alives_go_out_as_often_as_an_older_agent_needs_them() {
    let config = ForwardConfig {
        keep_alive: Some(Duration::from_secs(3600)),
        ..ForwardConfig::default()
    };
    let mut pair = Pair::with_config("3.1.1511.0", config);
    pair.pass(Duration::from_secs(11));
    assert!(!pair.agent_bytes().is_empty());
}

#[test]
fn keep_alives_go_out_even_when_the_window_is_full() {
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
        let frames = message.payload;
        frames.len() <= 64 && frames.windows(8).any(|at| at == [1, 3, 0, 0, 0, 0, 0, 0])
    });
    assert!(nop);
}
