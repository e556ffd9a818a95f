use super::*;
use crate::{MuxTimer, WriteError};

/// A client that has asked and said that this was all; the question is out.
fn asked(config: MuxConfig) -> (Mux, StreamId, Instant) {
    let now = start();
    let mut client = client(config, now);
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"question"))
        .expect("room");
    wire(&mut client);
    client.finish(stream, now);
    (client, stream, now)
}

/// Lets the time pass and handles every timeout on the way.
fn pass(mux: &mut Mux, from: Instant, duration: Duration) -> Instant {
    let until = from + duration;
    while let Some((at, _)) = mux.poll_timeout()
        && at <= until
    {
        mux.handle_timeout(at).expect("alive");
    }
    mux.handle_timeout(until).expect("alive");
    until
}

#[test]
fn answer_after_local_eof_arrives_before_fin_goes_out() {
    let (mut client, stream, now) = asked(MuxConfig::default());
    assert!(!client.wants_transmit(), "FIN would cut off the answer");
    assert_eq!(
        client.write(stream, Bytes::from_static(b"x")),
        Err(WriteError::Closed)
    );
    let now = pass(&mut client, now, 9 * SECOND);
    client.handle(data(3, b"answer"), now).expect("sound");
    client.handle(fin(3), now).expect("sound");
    assert_eq!(
        read_all(&mut client, stream),
        (b"answer".to_vec(), Read::Finished)
    );
    assert_eq!(sent(&mut client), ["FIN 3"]);
    assert_eq!(client.poll_timeout(), None);
    client.close(stream);
    assert!(!client.wants_transmit(), "one FIN is enough");
    assert_eq!(client.stream_count(), 0);
}

#[test]
fn fin_goes_out_after_the_quiet_time() {
    let (mut client, stream, now) = asked(MuxConfig::default());
    let now = pass(&mut client, now, Duration::from_millis(9_999));
    assert!(!client.wants_transmit());
    assert_eq!(
        client.poll_timeout().map(|(_, timer)| timer),
        Some(MuxTimer::HalfClose)
    );
    let now = pass(&mut client, now, SECOND);
    assert_eq!(events(&mut client), [MuxEvent::GaveUp(stream)]);
    assert_eq!(sent(&mut client), ["FIN 3"]);
    assert_eq!(client.read(stream), Read::Blocked, "the peer has not ended");
    client.handle(data(3, b"last words"), now).expect("sound");
    client.handle(fin(3), now).expect("sound");
    assert_eq!(
        read_all(&mut client, stream),
        (b"last words".to_vec(), Read::Finished)
    );
    client.close(stream);
    assert!(!client.wants_transmit());
    assert_eq!(client.stream_count(), 0);
}

#[test]
fn every_byte_received_starts_the_quiet_time_over() {
    let (mut client, stream, start) = asked(MuxConfig::default());
    let mut now = start;
    for _ in 0..20 {
        now = pass(&mut client, now, 9 * SECOND);
        client.handle(data(3, b"."), now).expect("sound");
    }
    assert!(!client.wants_transmit());
    assert_eq!(
        client.poll_timeout(),
        Some((now + 10 * SECOND, MuxTimer::HalfClose))
    );
    pass(&mut client, now, 10 * SECOND);
    assert_eq!(sent(&mut client), ["FIN 3"]);
    assert_eq!(read_all(&mut client, stream).0.len(), 20);
}

#[test]
fn data_of_another_stream_does_not_start_it_over() {
    let (mut client, stream, now) = asked(MuxConfig::default());
    let other = client.open().expect("room");
    wire(&mut client);
    let now = pass(&mut client, now, 9 * SECOND);
    client.handle(data(5, b"."), now).expect("sound");
    pass(&mut client, now, SECOND);
    assert_eq!(
        events(&mut client),
        [MuxEvent::Readable(other), MuxEvent::GaveUp(stream)]
    );
}

#[test]
fn quiet_time_waits_for_unsent_data() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    let stream = client.open().expect("room");
    client.write(stream, vec![b'q'; 3000].into()).expect("room");
    client.finish(stream, now);
    let now = pass(&mut client, now, 25 * SECOND);
    assert_eq!(events(&mut client), []);
    assert_eq!(sent(&mut client), ["SYN 3", "PSH 3 [3000]"]);
    // Out 5 s before the timer.
    let now = pass(&mut client, now, 14 * SECOND);
    assert!(!client.wants_transmit(), "the answer has its full time");
    pass(&mut client, now, 6 * SECOND);
    assert_eq!(sent(&mut client), ["FIN 3"]);
}

#[test]
fn quiet_time_restarts_while_the_transport_holds_bytes() {
    let (mut client, _, start) = asked(MuxConfig::default());
    let mut now = start;
    for _ in 0..20 {
        now = pass(&mut client, now, 3 * SECOND);
        client.restart_quiet(now);
    }
    let now = pass(&mut client, now, 9 * SECOND);
    assert!(!client.wants_transmit());
    pass(&mut client, now, 11 * SECOND);
    assert_eq!(sent(&mut client), ["FIN 3"]);
}

#[test]
fn after_a_reconnect_the_answer_has_its_full_time() {
    let (mut client, _, now) = asked(MuxConfig::default());
    let now = pass(&mut client, now, 9 * SECOND);
    let now = now + 60 * SECOND;
    client.reconnected(now);
    client.handle_timeout(now).expect("alive");
    assert!(!client.wants_transmit());
    let now = pass(&mut client, now, 9 * SECOND);
    assert!(!client.wants_transmit());
    pass(&mut client, now, SECOND);
    assert_eq!(sent(&mut client), ["FIN 3"]);
}

#[test]
fn closing_or_resetting_ends_the_wait() {
    for reset in [false, true] {
        let (mut client, stream, _) = asked(MuxConfig::default());
        if reset {
            client.reset(stream);
        } else {
            client.close(stream);
        }
        assert_eq!(sent(&mut client), ["FIN 3"]);
        assert_eq!(client.poll_timeout(), None);
        assert_eq!(client.stream_count(), 0);
    }
}

#[test]
fn a_second_end_of_file_changes_nothing() {
    let (mut client, stream, now) = asked(MuxConfig::default());
    let before = client.poll_timeout();
    client.finish(stream, now + SECOND);
    assert_eq!(client.poll_timeout(), before);
}

#[test]
fn end_of_file_after_the_peers_fin_is_answered_at_once() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    let stream = client.open().expect("room");
    wire(&mut client);
    client.handle(fin(3), now).expect("sound");
    client.finish(stream, now);
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(sent(&mut client), ["FIN 3"]);
    assert_eq!(client.read(stream), Read::Finished);
}

#[test]
fn no_quiet_time_sends_fin_right_behind_the_data() {
    let config = MuxConfig {
        half_close_quiet: Duration::ZERO,
        ..MuxConfig::default()
    };
    let now = start();
    let mut client = client(config, now);
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.finish(stream, now);
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(sent(&mut client), ["SYN 3", "PSH 3 x", "FIN 3"]);
    client.handle(data(3, b"early answer"), now).expect("sound");
    client.handle(fin(3), now).expect("sound");
    assert_eq!(
        read_all(&mut client, stream),
        (b"early answer".to_vec(), Read::Finished)
    );
}

#[test]
fn an_endless_quiet_time_waits_for_the_peer() {
    let config = MuxConfig {
        half_close_quiet: Duration::MAX,
        ..MuxConfig::default()
    };
    let (mut client, _, now) = asked(config);
    assert_eq!(client.poll_timeout(), None);
    client
        .handle_timeout(now + 1_000_000 * SECOND)
        .expect("alive");
    client.handle(data(3, b"still"), now).expect("sound");
    assert!(!client.wants_transmit());
    client.handle(fin(3), now).expect("sound");
    assert_eq!(sent(&mut client), ["FIN 3"]);
}

#[test]
fn server_that_closes_both_ways_ends_a_half_closed_stream() {
    let (mut client, stream, now) = asked(MuxConfig::default());
    let mut server = server(MuxConfig::default(), now);
    server.handle(syn(3), now).expect("sound");
    pass(&mut client, now, 10 * SECOND);
    carry(&mut client, &mut server, now);
    assert_eq!(server.read(stream), Read::Finished);
    server.close(stream);
    carry(&mut server, &mut client, now);
    assert_eq!(client.read(stream), Read::Finished);
    client.close(stream);
    assert_eq!((client.stream_count(), server.stream_count()), (0, 0));
}

#[test]
fn each_frame_that_goes_out_gives_the_answer_its_full_time() {
    for data in ["", "late"] {
        let now = start();
        let mut client = client(MuxConfig::default(), now);
        let stream = client.open().expect("room");
        if !data.is_empty() {
            wire(&mut client);
            client
                .write(stream, Bytes::from_static(data.as_bytes()))
                .expect("room");
        }
        client.finish(stream, now);
        wire(&mut client);
        let now = pass(&mut client, now, 19 * SECOND);
        assert!(!client.wants_transmit(), "{data:?}");
        pass(&mut client, now, SECOND);
        assert_eq!(sent(&mut client), ["FIN 3"], "{data:?}");
    }
}

#[test]
fn wait_for_the_answer_begins_at_delivery() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    client.confirm(0, now);
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"question"))
        .expect("room");
    wire(&mut client);
    client.finish(stream, now);
    let sent = client.transmitted();
    assert_eq!(sent, 24, "SYN, and PSH with eight bytes");
    // A transport that is slow, not down: another stream's bytes arrive all the time.
    let mut now = now;
    for part in 0..10 {
        now = pass(&mut client, now, 7 * SECOND);
        client.confirm(part, now);
    }
    client.confirm(sent, now);
    let now = pass(&mut client, now, 9 * SECOND);
    assert_eq!(events(&mut client), [], "the peer had no time to answer");
    pass(&mut client, now, 11 * SECOND);
    assert_eq!(events(&mut client), [MuxEvent::GaveUp(stream)]);
}

#[test]
fn other_streams_bytes_on_their_way_do_not_prolong_the_wait() {
    let (mut client, stream, mut now) = asked(MuxConfig::default());
    client.confirm(client.transmitted(), now);
    let other = client.open().expect("room");
    for _ in 0..30 {
        client
            .write(other, Bytes::from_static(b"more"))
            .expect("room");
        let before = client.transmitted();
        wire(&mut client);
        now = pass(&mut client, now, SECOND);
        client.confirm(before, now);
    }
    assert_eq!(events(&mut client), [MuxEvent::GaveUp(stream)]);
}

#[test]
fn stream_waits_from_its_own_last_byte() {
    let mut now = start();
    let mut client = client(MuxConfig::default(), now);
    client.confirm(0, now);
    let quiet = client.open().expect("room");
    let busy = client.open().expect("room");
    client
        .write(quiet, Bytes::from_static(b"question"))
        .expect("room");
    wire(&mut client);
    client.finish(quiet, now);
    let mut given_up_after = None;
    for second in 0..30 {
        // What was sent is confirmed a second later, together with the neighbour's next bytes.
        let sent = client.transmitted();
        client
            .write(busy, Bytes::from_static(b"more"))
            .expect("room");
        wire(&mut client);
        now = pass(&mut client, now, SECOND);
        client.confirm(sent, now);
        if events(&mut client).contains(&MuxEvent::GaveUp(quiet)) {
            given_up_after = Some(second + 1);
            break;
        }
    }
    assert_eq!(given_up_after, Some(11), "10 s after its confirmation");
}

#[test]
fn bytes_after_local_eof_start_the_wait_when_confirmed() {
    let mut now = start();
    let mut client = client(MuxConfig::default(), now);
    client.confirm(0, now);
    let stream = client.open().expect("room");
    wire(&mut client);
    client.confirm(client.transmitted(), now);
    client.write(stream, vec![1; 3000].into()).expect("room");
    client.finish(stream, now);
    now = pass(&mut client, now, 4 * SECOND);
    wire(&mut client);
    now = pass(&mut client, now, 3 * SECOND);
    client.confirm(client.transmitted(), now);
    now = pass(&mut client, now, Duration::from_millis(9_999));
    assert_eq!(events(&mut client), []);
    pass(&mut client, now, Duration::from_millis(1));
    assert_eq!(events(&mut client), [MuxEvent::GaveUp(stream)]);
}
