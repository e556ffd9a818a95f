use super::*;
use crate::WriteError;

/// A client and a server with stream 3 open on both sides.
fn pair(config: &MuxConfig) -> (Mux, Mux, StreamId, Instant) {
    let now = start();
    let mut client = client(config.clone(), now);
    let mut server = server(config.clone(), now);
    let stream = client.open().expect("room");
    carry(&mut client, &mut server, now);
    assert_eq!(server.accept(), Some(stream));
    events(&mut server);
    (client, server, stream, now)
}

#[test]
fn close_sends_what_is_queued_and_then_fin() {
    let (mut client, mut server, stream, now) = pair(&MuxConfig::default());
    client
        .write(stream, Bytes::from_static(b"bye"))
        .expect("room");
    client.close(stream);
    assert_eq!(client.stream_count(), 1);
    let bytes = wire(&mut client);
    assert_eq!(transcript(bytes.clone()), ["PSH 3 bye", "FIN 3"]);
    assert_eq!(client.stream_count(), 0);
    server.handle(bytes, now).expect("sound");
    assert_eq!(
        read_all(&mut server, stream),
        (b"bye".to_vec(), Read::Finished)
    );
}

#[test]
fn close_discards_what_arrives_later() {
    let (mut client, _, stream, now) = pair(&MuxConfig::default());
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.close(stream);
    client.handle(data(3, b"late"), now).expect("discarded");
    assert_eq!(client.buffered(), 0);
    assert_eq!(events(&mut client), []);
    assert_eq!(client.read(stream), Read::Unknown);
    assert_eq!(
        client.write(stream, Bytes::from_static(b"y")),
        Err(WriteError::Closed)
    );
    assert_eq!(sent(&mut client), ["PSH 3 x", "FIN 3"]);
}

#[test]
fn reset_drops_what_is_queued() {
    let (mut client, _, stream, _) = pair(&MuxConfig::default());
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.reset(stream);
    assert_eq!(sent(&mut client), ["FIN 3"]);
    assert_eq!(client.stream_count(), 0);
}

#[test]
fn reset_after_close_drops_what_is_still_queued() {
    let (mut client, _, stream, _) = pair(&MuxConfig::default());
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.close(stream);
    client.reset(stream);
    assert_eq!(sent(&mut client), ["FIN 3"]);
}

#[test]
fn the_peer_never_hears_of_a_stream_that_was_reset_at_once() {
    let mut client = client(MuxConfig::default(), start());
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.reset(stream);
    assert!(!client.wants_transmit());
    assert_eq!(client.stream_count(), 0);
}

#[test]
fn a_stream_that_was_closed_at_once_is_still_announced() {
    let mut client = client(MuxConfig::default(), start());
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.close(stream);
    assert_eq!(sent(&mut client), ["SYN 3", "PSH 3 x", "FIN 3"]);
}

#[test]
fn stream_with_a_peer_fin_reads_on_but_takes_no_data() {
    let (mut client, mut server, stream, now) = pair(&MuxConfig::default());
    server
        .write(stream, Bytes::from_static(b"all"))
        .expect("room");
    server.close(stream);
    client
        .write(stream, Bytes::from_static(b"goes nowhere"))
        .expect("room");
    carry(&mut server, &mut client, now);
    assert_eq!(
        events(&mut client),
        [MuxEvent::Readable(stream), MuxEvent::Finished(stream)]
    );
    assert_eq!(
        client.write(stream, Bytes::from_static(b"x")),
        Err(WriteError::Closed)
    );
    assert_eq!(client.writable(stream), None);
    assert_eq!(
        read_all(&mut client, stream),
        (b"all".to_vec(), Read::Finished)
    );
    assert!(!client.wants_transmit(), "queued data is dropped");
    assert_eq!(client.read(stream), Read::Finished, "and stays so");
}

#[test]
fn peer_fin_is_answered_with_one_fin_on_close() {
    for reset in [false, true] {
        let (mut client, mut server, stream, now) = pair(&MuxConfig::default());
        server.close(stream);
        carry(&mut server, &mut client, now);
        assert_eq!(sent(&mut client), [""; 0]);
        if reset {
            client.reset(stream);
        } else {
            client.close(stream);
        }
        assert_eq!(sent(&mut client), ["FIN 3"]);
        assert_eq!(client.stream_count(), 0);
        client.close(stream);
        assert!(!client.wants_transmit());
    }
}

#[test]
fn fins_that_cross_end_the_stream_on_both_sides() {
    let (mut client, mut server, stream, now) = pair(&MuxConfig::default());
    client.close(stream);
    server.close(stream);
    let (up, down) = (wire(&mut client), wire(&mut server));
    server.handle(up, now).expect("sound");
    client.handle(down, now).expect("sound");
    assert_eq!((client.stream_count(), server.stream_count()), (0, 0));
    assert!(!client.wants_transmit() && !server.wants_transmit());
}

#[test]
fn a_fin_while_the_close_is_being_sent_drops_the_rest() {
    let (mut client, _, stream, now) = pair(&MuxConfig::default());
    client.write(stream, vec![7; 10_000].into()).expect("room");
    client.close(stream);
    client.poll_transmit(&mut BytesMut::new(), 1024);
    client.handle(fin(3), now).expect("sound");
    assert_eq!(events(&mut client), [], "the wait is over");
    assert_eq!(sent(&mut client), ["FIN 3"]);
    assert_eq!(client.stream_count(), 0);
}

#[test]
fn a_second_fin_and_data_after_fin_change_nothing() {
    let (mut client, _, stream, now) = pair(&MuxConfig::default());
    client.handle(fin(3), now).expect("sound");
    assert_eq!(events(&mut client), [MuxEvent::Finished(stream)]);
    client.handle(fin(3), now).expect("ignored");
    client.handle(data(3, b"late"), now).expect("discarded");
    client.handle(fin(99), now).expect("ignored");
    assert_eq!(events(&mut client), []);
    assert_eq!(client.read(stream), Read::Finished);
    assert_eq!(client.buffered(), 0);
}

#[test]
fn nothing_more_is_told_of_a_closed_stream() {
    let config = MuxConfig {
        stream_send_buffer: 10,
        ..MuxConfig::default()
    };
    let (mut client, _, stream, now) = pair(&config);
    client.handle(data(3, b"unread"), now).expect("sound");
    client
        .write(stream, Bytes::from_static(b"0123456789"))
        .expect("room");
    assert_eq!(client.writable(stream), Some(0));
    client.close(stream);
    wire(&mut client);
    assert_eq!(events(&mut client), []);
}

#[test]
fn closed_stream_is_unanswered_until_the_peers_fin() {
    let (mut client, mut server, stream, now) = pair(&MuxConfig::default());
    client
        .write(stream, Bytes::from_static(b"last"))
        .expect("room");
    client.close(stream);
    assert_eq!(client.unanswered(), 0, "not even sent");
    carry(&mut client, &mut server, now);
    assert_eq!(client.unanswered(), 1);
    assert_eq!(
        read_all(&mut server, stream),
        (b"last".to_vec(), Read::Finished)
    );
    server.close(stream);
    carry(&mut server, &mut client, now);
    assert_eq!((client.unanswered(), server.unanswered()), (0, 0));
}

#[test]
fn a_reset_stream_needs_no_answer() {
    let (mut client, _, stream, _) = pair(&MuxConfig::default());
    client
        .write(stream, Bytes::from_static(b"x"))
        .expect("room");
    client.reset(stream);
    wire(&mut client);
    assert_eq!(client.unanswered(), 0);
}

#[test]
fn peer_that_never_answers_fin_uses_bounded_memory() {
    let config = MuxConfig {
        max_streams: 10,
        ..MuxConfig::default()
    };
    let mut client = client(config, start());
    for _ in 0..100 {
        let stream = client.open().expect("room");
        client.close(stream);
        wire(&mut client);
    }
    assert_eq!(client.unanswered(), 10);
}
