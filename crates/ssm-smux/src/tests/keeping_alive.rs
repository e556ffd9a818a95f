use super::*;
use crate::{Keepalive, MuxTimer, SmuxError};

fn keeping_alive() -> MuxConfig {
    MuxConfig {
        keepalive: Some(Keepalive::default()),
        ..MuxConfig::default()
    }
}

fn nop() -> Bytes {
    frames(&[Frame::Nop])
}

#[test]
fn keepalives_are_off_unless_asked_for() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    assert_eq!(client.poll_timeout(), None);
    client.handle_timeout(now + 3600 * SECOND).expect("alive");
    assert!(!client.wants_transmit());
}

#[test]
fn a_nop_goes_out_every_interval_traffic_or_not() {
    let now = start();
    let mut client = client(keeping_alive(), now);
    for round in 1..=5 {
        let at = now + round * 10 * SECOND;
        assert_eq!(client.poll_timeout(), Some((at, MuxTimer::KeepaliveSend)));
        client.handle_timeout(at).expect("alive");
        client.handle_timeout(at).expect("twice is harmless");
        assert_eq!(wire(&mut client), b"\x01\x03\0\0\0\0\0\0"[..]);
        client.handle(nop(), at).expect("sound");
    }
}

#[test]
fn nops_do_not_pile_up_while_nothing_can_be_sent() {
    let now = start();
    let mut client = client(keeping_alive(), now);
    for round in 1..=5 {
        let at = now + round * 10 * SECOND;
        client.handle(nop(), at).expect("sound");
        client.handle_timeout(at).expect("alive");
    }
    assert_eq!(sent(&mut client), ["NOP"]);
}

#[test]
fn a_peer_silent_for_the_timeout_is_dead() {
    let now = start();
    let mut client = client(keeping_alive(), now);
    let stream = client.open().expect("room");
    client
        .handle_timeout(now + Duration::from_millis(29_999))
        .expect("alive");
    let dead_at = now + 30 * SECOND;
    assert_eq!(
        client.poll_timeout(),
        Some((dead_at, MuxTimer::KeepaliveDead))
    );
    let silent = SmuxError::Silent { after: 30 * SECOND };
    assert_eq!(client.handle_timeout(dead_at), Err(silent));
    assert_eq!(client.read(stream), Read::Reset);
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.handle_timeout(dead_at), Ok(()), "told once");
    assert_eq!(client.handle(nop(), dead_at), Err(SmuxError::Dead));
}

#[test]
fn anything_heard_counts_even_half_a_header() {
    let now = start();
    let mut client = client(keeping_alive(), now);
    let heard = now + 29 * SECOND;
    client.handle(nop().slice(..3), heard).expect("sound");
    client.handle_timeout(now + 58 * SECOND).expect("alive");
    client
        .handle(Bytes::new(), now + 58 * SECOND)
        .expect("sound");
    client
        .handle_timeout(now + 59 * SECOND)
        .expect_err("nothing is not something");
}

#[test]
fn a_paused_session_counts_no_silence() {
    let now = start();
    let config = MuxConfig {
        session_receive_budget: 10,
        ..keeping_alive()
    };
    let mut server = server(config, now);
    server.handle(syn(3), now).expect("sound");
    server.handle(data(3, b"0123456789"), now).expect("sound");
    assert!(server.receive_paused());
    server.handle_timeout(now + 29 * SECOND).expect("alive");
    server
        .handle_timeout(now + 300 * SECOND)
        .expect("deaf, not dead");
    read_all(&mut server, id(3));
    assert!(!server.receive_paused());
    // The pause ended a moment before; the silence since then is short.
    server.handle_timeout(now + 330 * SECOND).expect("alive");
    server
        .handle_timeout(now + 361 * SECOND)
        .expect_err("silent since");
}

#[test]
fn a_reconnect_starts_the_silence_over() {
    let now = start();
    let mut client = client(keeping_alive(), now);
    client.reconnected(now + 60 * SECOND);
    client.handle_timeout(now + 89 * SECOND).expect("alive");
    client
        .handle_timeout(now + 90 * SECOND)
        .expect_err("silent since");
}

#[test]
fn an_interval_of_zero_does_not_spin() {
    let now = start();
    let config = MuxConfig {
        keepalive: Some(Keepalive {
            interval: Duration::ZERO,
            timeout: 30 * SECOND,
        }),
        ..MuxConfig::default()
    };
    let mut client = client(config, now);
    client.handle_timeout(now + SECOND).expect("alive");
    let (at, timer) = client.poll_timeout().expect("a timer");
    assert_eq!(timer, MuxTimer::KeepaliveSend);
    assert!(at > now + SECOND);
}

#[test]
fn endless_keepalive_times_need_no_timer() {
    let now = start();
    let config = MuxConfig {
        keepalive: Some(Keepalive {
            interval: Duration::MAX,
            timeout: Duration::MAX,
        }),
        ..MuxConfig::default()
    };
    let mut client = client(config, now);
    assert_eq!(client.poll_timeout(), None);
    client.handle_timeout(now + 3600 * SECOND).expect("alive");
}

#[test]
fn a_pause_that_ended_just_now_is_not_the_peers_silence() {
    let now = start();
    let config = MuxConfig {
        session_receive_budget: 10,
        ..keeping_alive()
    };
    let mut server = server(config, now);
    server.handle(syn(3), now).expect("sound");
    server.handle(data(3, b"0123456789"), now).expect("sound");
    read_all(&mut server, id(3));
    server
        .handle_timeout(now + 30 * SECOND)
        .expect("the pause may have ended now");
    server
        .handle_timeout(now + 60 * SECOND)
        .expect_err("silent since");
}
