use super::*;
use crate::{MAX_DATA, WriteError};

const MESSAGE: usize = 1024;

/// A client with the SYNs of `count` streams already out.
fn with_streams(count: usize, config: MuxConfig) -> (Mux, Vec<StreamId>) {
    let mut client = client(config, start());
    let streams = (0..count).map(|_| client.open().expect("room")).collect();
    wire(&mut client);
    (client, streams)
}

/// The next message, as frames.
fn message(mux: &mut Mux, max: usize) -> Vec<String> {
    let mut bytes = BytesMut::new();
    let count = mux.poll_transmit(&mut bytes, max);
    assert_eq!(count, bytes.len());
    assert!(count <= max);
    transcript(bytes.freeze())
}

#[test]
fn keystroke_waits_for_one_message_of_an_upload() {
    let (mut client, streams) = with_streams(2, MuxConfig::default());
    client
        .write(streams[0], vec![b'u'; 60_000].into())
        .expect("room");
    assert_eq!(message(&mut client, MESSAGE), ["PSH 3 [1016]"]);
    client
        .write(streams[1], Bytes::from_static(b"k"))
        .expect("room");
    assert_eq!(message(&mut client, MESSAGE), ["PSH 3 [1016]"]);
    assert_eq!(message(&mut client, MESSAGE), ["PSH 5 k", "PSH 3 [1007]"]);
}

#[test]
fn keystroke_beside_an_upload_is_noticed() {
    let (mut client, streams) = with_streams(3, MuxConfig::default());
    let mut beside_upload = |upload: usize, other: usize| {
        client
            .write(streams[0], vec![b'u'; upload].into())
            .expect("room");
        // In two parts, as a program may write it.
        for part in [other / 2, other - other / 2] {
            client
                .write(streams[1], vec![b'o'; part].into())
                .expect("room");
        }
        let mut out = BytesMut::new();
        while client.poll_transmit(&mut out, MESSAGE) > 0 {}
        let overtook = client.take_overtook();
        assert!(!client.take_overtook(), "it is told once");
        overtook
    };
    assert!(beside_upload(60_000, 1));
    assert!(beside_upload(60_000, 4096));
    assert!(!beside_upload(60_000, 4097));
    assert!(!beside_upload(60_000, 0));
    assert!(!beside_upload(0, 100));
    assert!(!beside_upload(100, 100), "no long wait");
}

#[test]
fn busy_streams_are_served_in_turn_at_any_buffer_size() {
    for max in [9, 100, MESSAGE, 5000] {
        let (mut client, streams) = with_streams(5, MuxConfig::default());
        for stream in &streams {
            client.write(*stream, vec![7; 20_000].into()).expect("room");
        }
        let mut served = Vec::new();
        while served.len() < 15 {
            for frame in message(&mut client, max) {
                let number = frame.split(' ').nth(1).map(str::to_owned);
                served.extend(number);
            }
        }
        for round in served.chunks_exact(5) {
            assert_eq!(round, ["3", "5", "7", "9", "11"], "max {max}");
        }
    }
}

#[test]
fn control_frames_do_not_wait_for_an_upload() {
    let (mut client, streams) = with_streams(1, MuxConfig::default());
    client
        .write(streams[0], vec![b'u'; 60_000].into())
        .expect("room");
    message(&mut client, MESSAGE);
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"hello"))
        .expect("room");
    client.close(stream);
    message(&mut client, MESSAGE);
    assert_eq!(
        message(&mut client, MESSAGE),
        ["SYN 5", "PSH 5 hello", "FIN 5", "PSH 3 [987]"]
    );
}

#[test]
fn frames_carry_at_most_what_the_configuration_says() {
    for (configured, expected) in [(1000, 1000), (0, 1), (1 << 20, MAX_DATA)] {
        let config = MuxConfig {
            max_frame_data: configured,
            stream_send_buffer: 1 << 20,
            ..MuxConfig::default()
        };
        let (mut client, streams) = with_streams(1, config);
        client
            .write(streams[0], vec![7; 100_000].into())
            .expect("room");
        let mut frame = BytesMut::new();
        client.poll_transmit(&mut frame, 70_000);
        let length = usize::from(u16::from_le_bytes([frame[2], frame[3]]));
        assert_eq!(length, expected);
    }
}

#[test]
fn frame_that_fits_nowhere_continues_in_the_next_call() {
    for max in 1..9 {
        let (mut client, streams) = with_streams(2, MuxConfig::default());
        client
            .write(streams[0], Bytes::from_static(b"abc"))
            .expect("room");
        client
            .write(streams[1], Bytes::from_static(b"de"))
            .expect("room");
        client.close(streams[1]);
        let mut bytes = BytesMut::new();
        while client.wants_transmit() {
            let before = bytes.len();
            let count = client.poll_transmit(&mut bytes, max);
            assert!((1..=max).contains(&count));
            assert_eq!(bytes.len(), before + count);
        }
        assert_eq!(
            transcript(bytes.freeze()),
            ["PSH 3 abc", "PSH 5 de", "FIN 5"],
            "max {max}"
        );
    }
}

#[test]
fn reset_stream_still_completes_its_partial_frame() {
    let (mut client, streams) = with_streams(1, MuxConfig::default());
    client
        .write(streams[0], Bytes::from_static(b"abcdef"))
        .expect("room");
    let mut bytes = BytesMut::new();
    client.poll_transmit(&mut bytes, 5);
    client.reset(streams[0]);
    bytes.extend_from_slice(&wire(&mut client));
    assert_eq!(transcript(bytes.freeze()), ["PSH 3 abcdef", "FIN 3"]);
}

#[test]
fn what_was_appended_before_is_left_alone() {
    let (mut client, streams) = with_streams(1, MuxConfig::default());
    client
        .write(streams[0], Bytes::from_static(b"abc"))
        .expect("room");
    let mut bytes = BytesMut::from(&b"header"[..]);
    assert_eq!(client.poll_transmit(&mut bytes, 11), 11);
    assert_eq!(bytes[..6], b"header"[..]);
    assert_eq!(transcript(bytes.freeze().slice(6..)), ["PSH 3 abc"]);
    assert_eq!(client.poll_transmit(&mut BytesMut::new(), 100), 0);
}

#[test]
fn no_room_transmits_nothing_and_loses_nothing() {
    let (mut client, streams) = with_streams(1, MuxConfig::default());
    client
        .write(streams[0], Bytes::from_static(b"abc"))
        .expect("room");
    assert_eq!(client.poll_transmit(&mut BytesMut::new(), 0), 0);
    assert_eq!(sent(&mut client), ["PSH 3 abc"]);
}

#[test]
fn full_send_buffer_reports_writable_when_half_free() {
    let config = MuxConfig {
        stream_send_buffer: 1000,
        ..MuxConfig::default()
    };
    let (mut client, streams) = with_streams(1, config);
    let stream = streams[0];
    assert_eq!(client.writable(stream), Some(1000));
    client.write(stream, vec![7; 900].into()).expect("room");
    assert_eq!(client.writable(stream), Some(100));
    assert_eq!(
        client.write(stream, vec![7; 101].into()),
        Err(WriteError::Full)
    );
    assert_eq!(
        client.writable(stream),
        Some(100),
        "nothing of it was taken"
    );
    message(&mut client, 307);
    assert_eq!(events(&mut client), [], "601 bytes are still queued");
    message(&mut client, 109);
    assert_eq!(events(&mut client), [MuxEvent::Writable(stream)]);
    assert_eq!(client.writable(stream), Some(500));
    wire(&mut client);
    assert_eq!(events(&mut client), [], "no waiting writer is left");
}

#[test]
fn room_of_zero_is_followed_by_an_event() {
    let config = MuxConfig {
        stream_send_buffer: 10,
        ..MuxConfig::default()
    };
    let (mut client, streams) = with_streams(1, config);
    client
        .write(streams[0], Bytes::from_static(b"0123456789"))
        .expect("room");
    assert_eq!(client.writable(streams[0]), Some(0));
    wire(&mut client);
    assert_eq!(events(&mut client), [MuxEvent::Writable(streams[0])]);
}

#[test]
fn data_longer_than_the_send_buffer_is_refused_for_good() {
    let config = MuxConfig {
        stream_send_buffer: 10,
        ..MuxConfig::default()
    };
    let (mut client, streams) = with_streams(1, config);
    assert_eq!(
        client.write(streams[0], vec![7; 11].into()),
        Err(WriteError::TooLong)
    );
}

#[test]
fn writing_nothing_sends_nothing() {
    let (mut client, streams) = with_streams(1, MuxConfig::default());
    client.write(streams[0], Bytes::new()).expect("room");
    assert!(!client.wants_transmit());
}

#[test]
fn writing_to_streams_that_do_not_exist_is_an_error() {
    let mut client = client(MuxConfig::default(), start());
    assert_eq!(
        client.write(id(3), Bytes::from_static(b"x")),
        Err(WriteError::Closed)
    );
    assert_eq!(client.writable(id(3)), None);
    assert_eq!(client.read(id(3)), Read::Unknown);
    client.finish(id(3), start());
    client.close(id(3));
    client.reset(id(3));
    assert!(!client.wants_transmit());
}

#[test]
fn control_frames_fill_a_message_to_the_last_byte() {
    let (mut client, streams) = with_streams(3, MuxConfig::default());
    client
        .write(streams[0], vec![7; 1000].into())
        .expect("room");
    client.close(streams[1]);
    client.close(streams[2]);
    let mut bytes = BytesMut::new();
    assert_eq!(client.poll_transmit(&mut bytes, MESSAGE), MESSAGE);
    assert_eq!(
        transcript(bytes.freeze()),
        ["PSH 3 [1000]", "FIN 5", "FIN 7"]
    );
}

#[test]
fn a_message_with_no_room_for_another_frame_ends_early() {
    let (mut client, streams) = with_streams(2, MuxConfig::default());
    client
        .write(streams[0], vec![7; 1008].into())
        .expect("room");
    client.write(streams[1], vec![7; 50].into()).expect("room");
    assert_eq!(message(&mut client, MESSAGE), ["PSH 3 [1008]"]);
    assert!(client.wants_transmit());
    assert_eq!(message(&mut client, MESSAGE), ["PSH 5 [50]"]);
}

#[test]
fn partial_frame_is_dropped_when_the_session_fails() {
    let (mut client, streams) = with_streams(1, MuxConfig::default());
    client
        .write(streams[0], Bytes::from_static(b"abc"))
        .expect("room");
    client.poll_transmit(&mut BytesMut::new(), 5);
    client
        .handle(Bytes::from_static(b"SSH-2.0-x"), start())
        .expect_err("not smux");
    assert_eq!(client.poll_transmit(&mut BytesMut::new(), 100), 0);
}
