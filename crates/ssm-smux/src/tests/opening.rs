use super::*;
use crate::{OpenError, WriteError};

#[test]
fn client_ids_are_odd_from_3_and_server_ids_even_from_2() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    let mut server = server(MuxConfig::default(), now);
    for number in [3, 5, 7] {
        assert_eq!(client.open(), Ok(id(number)));
    }
    for number in [2, 4, 6] {
        assert_eq!(server.open(), Ok(id(number)));
    }
}

#[test]
fn syn_and_first_data_share_a_buffer_byte_for_byte() {
    let mut client = client(MuxConfig::default(), start());
    let stream = client.open().expect("room");
    client
        .write(stream, Bytes::from_static(b"Ex"))
        .expect("room");
    assert_eq!(
        wire(&mut client),
        b"\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x02\x00\x03\x00\x00\x00Ex"[..]
    );
    assert!(!client.wants_transmit());
}

#[test]
fn a_stream_is_announced_before_anything_is_written_to_it() {
    let mut client = client(MuxConfig::default(), start());
    client.open().expect("room");
    assert!(client.wants_transmit());
    assert_eq!(sent(&mut client), ["SYN 3"]);
}

#[test]
fn both_sides_may_open_streams_at_once() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    let mut server = server(MuxConfig::default(), now);
    let ours = client.open().expect("room");
    let theirs = server.open().expect("room");
    carry(&mut client, &mut server, now);
    carry(&mut server, &mut client, now);
    assert_eq!(server.accept(), Some(ours));
    assert_eq!(client.accept(), Some(theirs));
    assert_eq!((server.accept(), client.accept()), (None, None));
    assert_eq!(events(&mut server), [MuxEvent::Opened(ours)]);
    assert_eq!(events(&mut client), [MuxEvent::Opened(theirs)]);
    server.write(ours, Bytes::from_static(b"a")).expect("room");
    client
        .write(theirs, Bytes::from_static(b"b"))
        .expect("room");
    carry(&mut client, &mut server, now);
    carry(&mut server, &mut client, now);
    assert_eq!(read_all(&mut client, ours), (b"a".to_vec(), Read::Blocked));
    assert_eq!(
        read_all(&mut server, theirs),
        (b"b".to_vec(), Read::Blocked)
    );
}

#[test]
fn streams_are_accepted_in_the_order_of_their_syns() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    for number in [9, 3, 5] {
        server.handle(syn(number), now).expect("sound");
    }
    let accepted: Vec<_> = std::iter::from_fn(|| server.accept()).collect();
    assert_eq!(accepted, [id(9), id(3), id(5)]);
}

#[test]
fn a_stream_closed_before_it_was_accepted_is_not_accepted() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    server.handle(syn(3), now).expect("sound");
    server.handle(syn(5), now).expect("sound");
    server.reset(id(3));
    assert_eq!(server.accept(), Some(id(5)));
    assert_eq!(events(&mut server), [MuxEvent::Opened(id(5))]);
}

#[test]
fn a_second_syn_changes_nothing() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    server.handle(syn(3), now).expect("sound");
    server.handle(data(3, b"kept"), now).expect("sound");
    server.handle(syn(3), now).expect("sound");
    assert_eq!(server.stream_count(), 1);
    assert_eq!(
        read_all(&mut server, id(3)),
        (b"kept".to_vec(), Read::Blocked)
    );
}

#[test]
fn the_peer_cannot_open_ids_of_this_side_nor_id_0() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    for number in [0, 3, 5] {
        client.handle(syn(number), now).expect("ignored");
    }
    assert_eq!(client.accept(), None);
    assert_eq!(client.stream_count(), 0);
    let mut server = server(MuxConfig::default(), now);
    for number in [0, 2, 4] {
        server.handle(syn(number), now).expect("ignored");
    }
    assert_eq!(server.accept(), None);
    assert_eq!(server.open(), Ok(id(2)));
}

#[test]
fn no_more_streams_open_than_the_limit_until_one_is_gone() {
    let now = start();
    let config = MuxConfig {
        max_streams: 2,
        ..MuxConfig::default()
    };
    let mut client = client(config, now);
    let first = client.open().expect("room");
    client.open().expect("room");
    assert_eq!(client.open(), Err(OpenError::TooManyStreams));
    client.close(first);
    assert_eq!(
        client.open(),
        Err(OpenError::TooManyStreams),
        "its FIN is not out yet"
    );
    assert_eq!(sent(&mut client), ["SYN 3", "FIN 3", "SYN 5"]);
    assert_eq!(client.open(), Ok(id(7)));
}

#[test]
fn the_last_id_is_used_and_none_after_it() {
    let mut client = client(MuxConfig::default(), start());
    client.next_id(u32::MAX);
    assert_eq!(client.open(), Ok(id(u32::MAX)));
    assert_eq!(client.open(), Err(OpenError::Exhausted));
}

#[test]
fn a_dead_session_opens_nothing_and_takes_nothing() {
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    let stream = client.open().expect("room");
    client
        .handle(Bytes::from_static(b"SSH-2.0-x"), now)
        .expect_err("not smux");
    assert_eq!(client.open(), Err(OpenError::Dead));
    assert_eq!(
        client.write(stream, Bytes::from_static(b"x")),
        Err(WriteError::Closed)
    );
    assert_eq!(client.writable(stream), None);
    assert!(!client.wants_transmit());
    assert_eq!(wire(&mut client), Bytes::new());
    assert_eq!(client.poll_timeout(), None);
}
