//! Memory and time stay bounded, whatever either side does.

use super::*;
use crate::SmuxError;
use crate::mux::round_robin::{RoundRobin, Ticket};
use crate::mux::stream::Stream;

#[test]
fn ten_thousand_idle_streams_cost_little() {
    assert!(size_of::<Stream>() <= 512);
    let now = start();
    let mut client = client(MuxConfig::default(), now);
    let streams: Vec<_> = (0..10_000).map(|_| client.open().expect("room")).collect();
    wire(&mut client);
    assert!(!client.wants_transmit());
    assert_eq!(client.buffered(), 0);
    let last = streams[9_999];
    client.write(last, Bytes::from_static(b"x")).expect("room");
    assert_eq!(sent(&mut client), [format!("PSH {last} x")]);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn unsent_streams_that_are_reset_leave_nothing() {
    let mut client = client(MuxConfig::default(), start());
    for _ in 0..100_000 {
        let stream = client.open().expect("room");
        client
            .write(stream, Bytes::from_static(b"x"))
            .expect("room");
        client.reset(stream);
    }
    assert_eq!(client.stream_count(), 0);
    assert!(!client.wants_transmit());
}

#[test]
fn events_wait_at_most_once_a_stream_and_kind() {
    let now = start();
    let config = MuxConfig {
        stream_send_buffer: 10,
        ..MuxConfig::default()
    };
    let mut server = server(config, now);
    server.handle(syn(3), now).expect("sound");
    for _ in 0..1000 {
        server.handle(data(3, b"x"), now).expect("sound");
        read_all(&mut server, id(3));
        server
            .write(id(3), Bytes::from_static(b"0123456789"))
            .expect("room");
        assert_eq!(server.writable(id(3)), Some(0));
        wire(&mut server);
    }
    assert_eq!(
        events(&mut server),
        [
            MuxEvent::Opened(id(3)),
            MuxEvent::Readable(id(3)),
            MuxEvent::Writable(id(3)),
        ]
    );
}

#[test]
fn streams_beyond_the_limit_are_refused_with_fin() {
    let now = start();
    let config = MuxConfig {
        max_streams: 1,
        ..MuxConfig::default()
    };
    let mut server = server(config, now);
    for number in [3, 5] {
        server.handle(syn(number), now).expect("sound");
    }
    assert_eq!(server.stream_count(), 1);
    assert_eq!(sent(&mut server), ["FIN 5"]);
    server.handle(data(5, b"discarded"), now).expect("sound");
    assert_eq!(server.buffered(), 0);
}

#[test]
fn flood_of_refused_streams_kills_the_session() {
    let now = start();
    let config = MuxConfig {
        max_streams: 10,
        ..MuxConfig::default()
    };
    let mut server = server(config, now);
    let mut flood = (0..).map(|number| server.handle(syn(2 * number + 3), now));
    let error = flood.by_ref().take(100).find_map(Result::err);
    assert_eq!(error, Some(SmuxError::TooManyStreams { limit: 10 }));
}

#[test]
fn removed_streams_leave_the_round_robin() {
    let mut queue = RoundRobin::default();
    let mut tickets: Vec<Ticket> = (0..1000).map(|_| Ticket::default()).collect();
    for (number, ticket) in (1..).zip(&mut tickets) {
        queue.push(id(number), ticket);
        queue.push(id(number), ticket);
    }
    assert_eq!(queue.entries(), 1000);
    for ticket in tickets.iter_mut().skip(1).take(998) {
        queue.remove(ticket);
        queue.remove(ticket);
    }
    assert!(queue.entries() <= 4);
    assert_eq!(queue.front(), Some(id(1)));
    queue.rotate(id(1), &mut tickets[0]);
    assert_eq!(queue.front(), Some(id(1000)));
    queue.remove(&mut tickets[999]);
    assert_eq!(queue.front(), Some(id(1)));
    queue.remove(&mut tickets[0]);
    assert!(queue.is_empty());
}
