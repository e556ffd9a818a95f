use proptest::prelude::*;

use super::*;
use crate::SmuxError;

#[test]
fn every_frame_is_read_as_it_was_written() {
    let stream = id(0x0403_0201);
    for (frame, bytes) in [
        (Frame::Syn(stream), *b"\x01\x00\x00\x00\x01\x02\x03\x04"),
        (Frame::Fin(stream), *b"\x01\x01\x00\x00\x01\x02\x03\x04"),
        (
            Frame::Psh {
                stream,
                length: 0x0605,
            },
            *b"\x01\x02\x05\x06\x01\x02\x03\x04",
        ),
        (Frame::Nop, *b"\x01\x03\x00\x00\x00\x00\x00\x00"),
    ] {
        assert_eq!(frame.encode(), bytes);
        assert_eq!(Frame::decode(bytes), Ok(frame));
    }
}

#[test]
fn another_version_kills_the_session() {
    let now = start();
    for found in [0, 2, b'S', 255] {
        let mut server = server(MuxConfig::default(), now);
        let frame = Bytes::from(vec![found, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(server.handle(frame, now), Err(SmuxError::Version { found }));
        assert_eq!(server.handle(syn(3), now), Err(SmuxError::Dead));
        assert_eq!(server.accept(), None);
    }
}

#[test]
fn an_unknown_command_kills_the_session() {
    let now = start();
    for found in [4, 5, 255] {
        let mut server = server(MuxConfig::default(), now);
        let frame = Bytes::from(vec![1, found, 0, 0, 3, 0, 0, 0]);
        assert_eq!(server.handle(frame, now), Err(SmuxError::Command { found }));
        assert_eq!(server.handle(syn(3), now), Err(SmuxError::Dead));
    }
}

#[test]
fn only_psh_frames_carry_data() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    let mut bytes = b"\x01\x00\x05\x00\x03\x00\x00\x00".to_vec();
    bytes.extend_from_slice(b"\x01\x03\xff\xff\x09\x00\x00\x00");
    bytes.extend_from_slice(&data(3, b"data"));
    server.handle(bytes.into(), now).expect("sound");
    assert_eq!(
        read_all(&mut server, id(3)),
        (b"data".to_vec(), Read::Blocked)
    );
}

#[test]
fn the_longest_frame_arrives_byte_by_byte() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    server.handle(syn(3), now).expect("sound");
    let payload: Vec<u8> = (0..u16::MAX).map(|n| (n % 251) as u8).collect();
    for byte in data(3, &payload) {
        let byte = Bytes::copy_from_slice(&[byte]);
        server.handle(byte, now).expect("sound");
    }
    assert_eq!(read_all(&mut server, id(3)), (payload, Read::Blocked));
}

#[test]
fn neither_debug_output_shows_data() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    server.handle(syn(3), now).expect("sound");
    server.handle(data(3, b"hunter2"), now).expect("sound");
    server
        .write(id(3), Bytes::from_static(b"hunter2"))
        .expect("room");
    let mut bytes = BytesMut::new();
    server.poll_transmit(&mut bytes, 5);
    let shown = format!("{server:?} {server:#?} {:?}", server.read(id(3)));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("Data(7 bytes)"), "{shown}");
}

/// Frames that are almost right, and bytes that are not.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let frame = (
        0_u8..=4,
        0_u32..12,
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(command, stream, data)| {
            let length = if command == 2 { data.len() as u16 } else { 0 };
            let mut frame = vec![1, command];
            frame.extend_from_slice(&length.to_le_bytes());
            frame.extend_from_slice(&stream.to_le_bytes());
            frame.extend_from_slice(if command == 2 { &data } else { &[] });
            frame
        });
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![20 => frame, 1 => bytes]
}

proptest! {
    #[test]
    fn garbage_never_panics_and_is_bounded(
        role in prop::sample::select(vec![Role::Client, Role::Server]),
        chunks in prop::collection::vec(noise(), 0..60),
        cut in 1_usize..30,
    ) {
        let mut now = start();
        let config = MuxConfig {
            max_streams: 4,
            keepalive: Some(crate::Keepalive::default()),
            ..MuxConfig::default()
        };
        let mut mux = Mux::new(role, config, now);
        let _ = mux.open();
        wire(&mut mux);
        let bytes = chunks.concat();
        for chunk in bytes.chunks(cut) {
            now += SECOND / 4;
            let before = mux.buffered();
            let _ = mux.handle(Bytes::copy_from_slice(chunk), now);
            let _ = mux.handle_timeout(now);
            prop_assert!(mux.buffered() <= before + chunk.len());
            prop_assert!(mux.stream_count() <= 4);
            prop_assert!(events(&mut mux).len() <= 16);
        }
        while let Some(id) = mux.accept() {
            while let Read::Data(data) = mux.read(id) {
                prop_assert!(!data.is_empty());
            }
            mux.close(id);
        }
        transcript(wire(&mut mux));
    }
}
