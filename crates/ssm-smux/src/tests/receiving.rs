use super::*;

fn serving(config: MuxConfig, streams: &[u32]) -> (Mux, Instant) {
    let now = start();
    let mut server = server(config, now);
    for stream in streams {
        server.handle(syn(*stream), now).expect("sound");
    }
    events(&mut server);
    (server, now)
}

#[test]
fn data_arrives_at_its_stream_without_a_copy() {
    let (mut server, now) = serving(MuxConfig::default(), &[3]);
    let bytes = data(3, &[7; 1000]);
    let address = bytes.as_ptr().wrapping_add(8);
    server.handle(bytes, now).expect("sound");
    let Read::Data(data) = server.read(id(3)) else {
        panic!("data was sent");
    };
    assert_eq!(data.as_ptr(), address);
}

#[test]
fn readable_is_reported_once_until_a_read_is_blocked() {
    let (mut server, now) = serving(MuxConfig::default(), &[3]);
    server.handle(data(3, b"a"), now).expect("sound");
    server.handle(data(3, b"b"), now).expect("sound");
    assert_eq!(events(&mut server), [MuxEvent::Readable(id(3))]);
    server.handle(data(3, b"c"), now).expect("sound");
    assert_eq!(events(&mut server), []);
    assert_eq!(
        read_all(&mut server, id(3)),
        (b"abc".to_vec(), Read::Blocked)
    );
    server.handle(data(3, b"d"), now).expect("sound");
    assert_eq!(events(&mut server), [MuxEvent::Readable(id(3))]);
}

#[test]
fn data_for_an_unknown_stream_is_discarded_and_uses_no_budget() {
    let (mut server, now) = serving(MuxConfig::default(), &[3]);
    server.handle(data(99, b"lost"), now).expect("ignored");
    server.handle(data(3, b"kept"), now).expect("sound");
    assert_eq!(server.buffered(), 4);
    assert_eq!(events(&mut server), [MuxEvent::Readable(id(3))]);
}

#[test]
fn empty_data_is_no_news() {
    let (mut server, now) = serving(MuxConfig::default(), &[3]);
    let mut bytes = data(3, b"").to_vec();
    bytes.extend_from_slice(&frames(&[Frame::Nop]));
    server.handle(bytes.into(), now).expect("sound");
    assert_eq!(events(&mut server), []);
    assert_eq!(server.read(id(3)), Read::Blocked);
}

#[test]
fn a_used_up_budget_pauses_and_reading_resumes() {
    let config = MuxConfig {
        session_receive_budget: 1000,
        ..MuxConfig::default()
    };
    let (mut server, now) = serving(config, &[3, 5]);
    server.handle(data(3, &[1; 600]), now).expect("sound");
    assert!(!server.receive_paused());
    server.handle(data(5, &[2; 400]), now).expect("sound");
    assert!(server.receive_paused());
    assert_eq!(server.buffered(), 1000);
    assert_eq!(read_all(&mut server, id(5)).0, [2; 400]);
    assert!(!server.receive_paused());
}

#[test]
fn what_is_handed_in_beyond_the_budget_is_kept() {
    let config = MuxConfig {
        session_receive_budget: 1000,
        ..MuxConfig::default()
    };
    let (mut server, now) = serving(config, &[3]);
    for _ in 0..3 {
        server.handle(data(3, &[1; 900]), now).expect("sound");
    }
    assert!(server.receive_paused());
    assert_eq!(read_all(&mut server, id(3)), (vec![1; 2700], Read::Blocked));
    assert_eq!(server.buffered(), 0);
}

#[test]
fn slow_reader_stops_no_stream_within_the_budget() {
    let config = MuxConfig {
        session_receive_budget: 100_000,
        ..MuxConfig::default()
    };
    let (mut server, now) = serving(config, &[3, 5]);
    server.handle(data(3, &[1; 60_000]), now).expect("sound");
    for _ in 0..100 {
        server.handle(data(5, &[2; 30_000]), now).expect("sound");
        assert!(!server.receive_paused());
        assert_eq!(read_all(&mut server, id(5)).0.len(), 30_000);
    }
}

#[test]
fn closing_or_resetting_a_stream_frees_its_part_of_the_budget() {
    let config = MuxConfig {
        session_receive_budget: 1000,
        ..MuxConfig::default()
    };
    let (mut server, now) = serving(config, &[3, 5]);
    server.handle(data(3, &[1; 700]), now).expect("sound");
    server.handle(data(5, &[1; 700]), now).expect("sound");
    server.close(id(3));
    assert_eq!(server.buffered(), 700);
    server.reset(id(5));
    assert_eq!(server.buffered(), 0);
    server.handle(data(3, &[1; 700]), now).expect("discarded");
    assert_eq!(server.buffered(), 0);
}

#[test]
fn data_before_a_session_failure_can_still_be_read() {
    let (mut server, now) = serving(MuxConfig::default(), &[3, 5]);
    let mut bytes = data(3, b"first").to_vec();
    bytes.extend_from_slice(&data(5, b"all"));
    bytes.extend_from_slice(&fin(5));
    bytes.extend_from_slice(b"\x02garbage");
    server.handle(bytes.into(), now).expect_err("not smux");
    assert_eq!(
        read_all(&mut server, id(3)),
        (b"first".to_vec(), Read::Reset)
    );
    assert_eq!(
        read_all(&mut server, id(5)),
        (b"all".to_vec(), Read::Finished)
    );
}

#[test]
fn events_come_in_an_order_that_makes_sense() {
    let now = start();
    let mut server = server(MuxConfig::default(), now);
    let mut bytes = syn(3).to_vec();
    bytes.extend_from_slice(&data(3, b"all"));
    bytes.extend_from_slice(&fin(3));
    bytes.extend_from_slice(&syn(5));
    server.handle(bytes.into(), now).expect("sound");
    assert_eq!(
        events(&mut server),
        [
            MuxEvent::Opened(id(3)),
            MuxEvent::Readable(id(3)),
            MuxEvent::Finished(id(3)),
            MuxEvent::Opened(id(5)),
        ]
    );
}
