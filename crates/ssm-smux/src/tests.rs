use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::{
    Config, Event, Keepalive, Mux, OpenError, Read, Role, SmuxError, StreamId, Timer, WriteError,
};

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the start"
)]
fn start() -> Instant {
    Instant::now()
}

fn client() -> (Mux, Instant) {
    let now = start();
    (Mux::new(Role::Client, Config::default(), now), now)
}

fn id(number: u32) -> StreamId {
    StreamId::new(number)
}

fn transmitted(mux: &mut Mux) -> Vec<u8> {
    let mut wire = BytesMut::new();
    mux.poll_transmit(&mut wire, usize::MAX / 2);
    wire.to_vec()
}

fn frame(command: u8, stream: u32, data: &[u8]) -> Bytes {
    let mut frame = vec![1, command];
    frame.extend_from_slice(&u16::try_from(data.len()).expect("short").to_le_bytes());
    frame.extend_from_slice(&stream.to_le_bytes());
    frame.extend_from_slice(data);
    frame.into()
}

#[test]
fn writes_what_the_reference_client_was_recorded_to_write() {
    // SYN of stream 3 and its first two bytes in one message, then FIN (session-mux recording).
    let (mut mux, _) = client();
    let stream = mux.open().expect("room");
    mux.write(stream, Bytes::from_static(b"Ex")).expect("room");
    assert_eq!(
        transmitted(&mut mux),
        b"\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x02\x00\x03\x00\x00\x00Ex"
    );
    mux.close(stream);
    assert_eq!(transmitted(&mut mux), b"\x01\x01\x00\x00\x03\x00\x00\x00");
    assert_eq!(mux.open().expect("room"), id(5));
}

#[test]
fn reads_what_the_reference_agent_was_recorded_to_write() {
    let (mut mux, now) = client();
    let stream = mux.open().expect("room");
    mux.handle(
        Bytes::from_static(b"\x01\x02\x01\x00\x03\x00\x00\x00x"),
        now,
    )
    .expect("smux");
    mux.handle(Bytes::from_static(b"\x01\x01\x00\x00\x03\x00\x00\x00"), now)
        .expect("smux");
    assert_eq!(mux.poll_event(), Some(Event::Readable(stream)));
    assert_eq!(mux.poll_event(), Some(Event::Finished(stream)));
    assert_eq!(mux.read(stream), Read::Data(Bytes::from_static(b"x")));
    assert_eq!(mux.read(stream), Read::Finished);
}

#[test]
fn another_version_or_command_ends_the_session() {
    for (bytes, error) in [
        (frame(4, 3, b""), SmuxError::Command { found: 4 }),
        (
            Bytes::from_static(b"\x02\x00\x00\x00\x03\x00\x00\x00"),
            SmuxError::Version { found: 2 },
        ),
    ] {
        let (mut mux, now) = client();
        assert_eq!(mux.handle(bytes, now), Err(error));
        assert_eq!(mux.open(), Err(OpenError::Dead));
        assert_eq!(mux.handle(Bytes::new(), now), Err(SmuxError::Dead));
        assert!(!mux.wants_transmit());
    }
}

#[test]
fn data_for_an_unknown_stream_and_nops_are_ignored() {
    let (mut mux, now) = client();
    mux.handle(frame(2, 99, b"lost"), now).expect("tolerated");
    mux.handle(frame(3, 0, b""), now).expect("tolerated");
    mux.handle(frame(1, 99, b""), now).expect("tolerated");
    assert_eq!(mux.poll_event(), None);
    assert_eq!(mux.buffered(), 0);
}

#[test]
fn streams_are_served_in_turn_so_a_keystroke_does_not_wait_for_an_upload() {
    let (mut mux, _) = client();
    let upload = mux.open().expect("room");
    let shell = mux.open().expect("room");
    transmitted(&mut mux);
    mux.write(upload, vec![0; 60_000].into()).expect("room");
    mux.write(shell, Bytes::from_static(b"k")).expect("room");
    let mut first = BytesMut::new();
    mux.poll_transmit(&mut first, 1024);
    let mut second = BytesMut::new();
    mux.poll_transmit(&mut second, 1024);
    assert!(
        second.starts_with(&frame(2, shell.number(), b"k")),
        "one message later at most"
    );
}

#[test]
fn end_of_file_is_kept_back_until_the_answer_is_in() {
    let (mut mux, now) = client();
    let stream = mux.open().expect("room");
    mux.write(stream, Bytes::from_static(b"q")).expect("room");
    mux.finish(stream, now);
    assert_eq!(
        transmitted(&mut mux),
        [frame(0, 3, b""), frame(2, 3, b"q")].concat()
    );
    assert_eq!(
        mux.write(stream, Bytes::from_static(b"x")),
        Err(WriteError::Closed)
    );

    // Each byte of the answer starts the quiet time anew.
    let quiet = Config::default().half_close_quiet;
    let later = now + quiet / 2;
    mux.handle(frame(2, 3, b"a"), later).expect("smux");
    assert_eq!(mux.poll_timeout(), Some((later + quiet, Timer::HalfClose)));
    mux.handle_timeout(now + quiet).expect("nothing is due");
    assert!(!mux.wants_transmit());
    mux.handle_timeout(later + quiet).expect("due");
    assert_eq!(transmitted(&mut mux), frame(1, 3, b""));
    assert_eq!(mux.read(stream), Read::Data(Bytes::from_static(b"a")));
    assert_eq!(mux.read(stream), Read::Finished);
}

#[test]
fn no_end_of_file_is_sent_for_a_stream_that_the_peer_ended() {
    let (mut mux, now) = client();
    let stream = mux.open().expect("room");
    transmitted(&mut mux);
    mux.finish(stream, now);
    mux.handle(frame(1, 3, b""), now).expect("smux");
    assert_eq!(mux.poll_timeout(), None);
    mux.close(stream);
    assert_eq!(transmitted(&mut mux), b"");
    assert_eq!(mux.stream_count(), 0);
}

#[test]
fn a_reset_drops_what_is_queued_and_a_stream_the_peer_never_heard_of_needs_none() {
    let (mut mux, _) = client();
    let known = mux.open().expect("room");
    transmitted(&mut mux);
    mux.write(known, vec![1; 100].into()).expect("room");
    mux.reset(known);
    assert_eq!(transmitted(&mut mux), frame(1, known.number(), b""));
    let unknown = mux.open().expect("room");
    mux.reset(unknown);
    assert_eq!(transmitted(&mut mux), b"");
    assert_eq!(mux.read(known), Read::Unknown);
}

#[test]
fn a_full_send_buffer_refuses_and_says_when_there_is_room() {
    let now = start();
    let config = Config {
        stream_send_buffer: 1000,
        ..Config::default()
    };
    let mut mux = Mux::new(Role::Client, config, now);
    let stream = mux.open().expect("room");
    mux.write(stream, vec![0; 1000].into()).expect("fits");
    assert_eq!(
        mux.write(stream, Bytes::from_static(b"x")),
        Err(WriteError::Full)
    );
    assert_eq!(mux.writable(stream), Some(0));
    transmitted(&mut mux);
    assert_eq!(mux.poll_event(), Some(Event::Writable(stream)));
    assert_eq!(mux.writable(stream), Some(1000));
}

#[test]
fn the_receive_budget_pauses_and_drops_nothing() {
    let now = start();
    let config = Config {
        session_receive_budget: 1000,
        ..Config::default()
    };
    let mut mux = Mux::new(Role::Client, config, now);
    let stream = mux.open().expect("room");
    mux.handle(frame(2, 3, &[1; 999]), now).expect("smux");
    assert!(!mux.receive_paused());
    mux.handle(frame(2, 3, &[2; 500]), now)
        .expect("what is handed in anyway is kept");
    assert!(mux.receive_paused());
    assert_eq!(mux.read(stream), Read::Data(vec![1; 999].into()));
    assert!(!mux.receive_paused());
    assert_eq!(mux.read(stream), Read::Data(vec![2; 500].into()));
    assert_eq!(mux.buffered(), 0);
}

#[test]
fn small_pieces_are_collected_instead_of_keeping_their_messages_alive() {
    let (mut mux, now) = client();
    let stream = mux.open().expect("room");
    for byte in 0..100 {
        mux.handle(frame(2, 3, &[byte]), now).expect("smux");
    }
    let Read::Data(data) = mux.read(stream) else {
        panic!("there is data")
    };
    assert_eq!(data.to_vec(), (0..100).collect::<Vec<u8>>());
    assert_eq!(mux.read(stream), Read::Blocked);
}

#[test]
fn keep_alives_are_sent_and_a_silent_peer_is_dead() {
    let now = start();
    let config = Config {
        keepalive: Some(Keepalive::default()),
        ..Config::default()
    };
    let mut mux = Mux::new(Role::Client, config, now);
    let secs = Duration::from_secs;
    assert_eq!(
        mux.poll_timeout(),
        Some((now + secs(10), Timer::KeepaliveSend))
    );
    mux.handle_timeout(now + secs(10)).expect("alive");
    assert_eq!(transmitted(&mut mux), frame(3, 0, b""));
    mux.handle(frame(3, 0, b""), now + secs(15)).expect("smux");
    mux.handle_timeout(now + secs(44)).expect("heard 29 s ago");
    assert_eq!(
        mux.handle_timeout(now + secs(45)),
        Err(SmuxError::Silent { after: secs(30) })
    );
}

#[test]
fn a_server_accepts_streams_and_closes_them_after_their_data() {
    let now = start();
    let mut mux = Mux::new(Role::Server, Config::default(), now);
    mux.handle(frame(0, 3, b""), now).expect("smux");
    assert_eq!(mux.accept(), Some(id(3)));
    assert_eq!(mux.accept(), None);
    mux.write(id(3), Bytes::from_static(b"bye")).expect("room");
    mux.close(id(3));
    assert_eq!(
        transmitted(&mut mux),
        [frame(2, 3, b"bye"), frame(1, 3, b"")].concat()
    );
    assert_eq!(mux.stream_count(), 0);
}

#[test]
fn more_streams_than_the_limit_are_refused() {
    let now = start();
    let config = Config {
        max_streams: 2,
        ..Config::default()
    };
    let mut mux = Mux::new(Role::Client, config, now);
    let first = mux.open().expect("room");
    mux.open().expect("room");
    assert_eq!(mux.open(), Err(OpenError::TooManyStreams));
    mux.reset(first);
    mux.open().expect("room again");
}

#[test]
fn a_closed_stream_is_unanswered_until_the_server_has_written_everything() {
    let (mut client, now) = client();
    let mut server = Mux::new(Role::Server, Config::default(), now);
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"last"))
        .expect("room");
    client.close(stream);
    server
        .handle(transmitted(&mut client).into(), now)
        .expect("smux");
    assert_eq!(client.unanswered(), 1);
    assert_eq!(server.read(stream), Read::Data(Bytes::from_static(b"last")));
    assert_eq!(server.read(stream), Read::Finished);
    server.close(stream);
    client
        .handle(transmitted(&mut server).into(), now)
        .expect("smux");
    assert_eq!(client.unanswered(), 0);
}
