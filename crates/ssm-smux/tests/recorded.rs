//! A session recorded between the reference peers, replayed against each of our sides. Two sides
//! that share a mistake would agree with each other; with these bytes they would not.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use ssm_smux::{Mux, MuxConfig, MuxEvent, Read, Role, StreamId};

#[expect(
    clippy::disallowed_methods,
    reason = "an instant to count from; nothing depends on which"
)]
fn start() -> Instant {
    Instant::now()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Client,
    Agent,
}

/// The messages' payloads, in order.
fn recording() -> Vec<(From, Bytes)> {
    let messages: Vec<_> = include_str!("data/session.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| match line.split_once(' ') {
            Some((">", hex)) => (From::Client, unhex(hex)),
            Some(("<", hex)) => (From::Agent, unhex(hex)),
            _ => panic!("a line without direction"),
        })
        .collect();
    assert_eq!(messages.len(), 19);
    messages
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex digits"))
        .collect()
}

fn all(from: From) -> Bytes {
    let messages = recording().into_iter().filter(|(by, _)| *by == from);
    messages.flat_map(|(_, payload)| payload).collect()
}

fn transmitted(mux: &mut Mux) -> Bytes {
    let mut bytes = BytesMut::new();
    mux.poll_transmit(&mut bytes, usize::MAX);
    bytes.freeze()
}

fn read(mux: &mut Mux, id: StreamId) -> Vec<u8> {
    let mut all = Vec::new();
    while let Read::Data(data) = mux.read(id) {
        all.extend_from_slice(&data);
    }
    all
}

/// What the local program sent on each stream.
const QUESTIONS: [&[u8]; 3] = [
    b"Ex",
    b"Ex",
    b"D\x00\x00\x00\x00\x00\x00\x17\x70\x00\x00\x00\x00\x00\x00\x03\xe8",
];
/// How many bytes it got back.
const ANSWERS: [usize; 3] = [1, 1, 6000];

#[test]
fn client_replays_the_recorded_reference_client() {
    let now = start();
    let mut client = Mux::new(Role::Client, MuxConfig::default(), now);
    let mut agent = recording()
        .into_iter()
        .filter_map(|(by, payload)| (by == From::Agent).then_some(payload));
    let mut written = Vec::new();
    for (question, length) in QUESTIONS.into_iter().zip(ANSWERS) {
        let id = client.open().expect("room");
        client
            .write(id, Bytes::from_static(question))
            .expect("room");
        written.extend_from_slice(&transmitted(&mut client));
        let mut answer = Vec::new();
        while answer.len() < length {
            client
                .handle(agent.next().expect("more was recorded"), now)
                .expect("sound frames");
            answer.extend(read(&mut client, id));
        }
        assert_eq!(answer.len(), length);
        client.close(id);
        written.extend_from_slice(&transmitted(&mut client));
        let fin = agent.next().expect("the agent's FIN");
        client.handle(fin, now).expect("sound frames");
    }
    assert_eq!(agent.next(), None);
    assert_eq!(written, all(From::Client));
    assert_eq!(client.stream_count(), 0);
}

#[test]
fn client_reads_the_recorded_ends_of_open_streams() {
    let now = start();
    let mut client = Mux::new(Role::Client, MuxConfig::default(), now);
    let ids = [(); 3].map(|()| client.open().expect("room"));
    transmitted(&mut client);
    for (by, payload) in recording() {
        if by == From::Agent {
            client.handle(payload, now).expect("sound frames");
        }
    }
    for (id, length) in ids.into_iter().zip(ANSWERS) {
        assert_eq!(client.poll_event(), Some(MuxEvent::Readable(id)));
        assert_eq!(client.poll_event(), Some(MuxEvent::Finished(id)));
        assert_eq!(read(&mut client, id).len(), length);
        assert_eq!(client.read(id), Read::Finished);
    }
    assert_eq!(client.poll_event(), None);
    assert_eq!(client.buffered(), 0);
}

#[test]
fn server_replays_the_recorded_agent() {
    let now = start();
    let mut server = Mux::new(Role::Server, MuxConfig::default(), now);
    // The answers as the recorded agent's destination gave them.
    let mut answers = {
        let mut client = Mux::new(Role::Client, MuxConfig::default(), now);
        let ids = [(); 3].map(|()| client.open().expect("room"));
        transmitted(&mut client);
        client.handle(all(From::Agent), now).expect("sound frames");
        ids.map(|id| Bytes::from(read(&mut client, id))).into_iter()
    };
    let mut written = Vec::new();
    let mut asked = Vec::new();
    for (by, payload) in recording() {
        if by == From::Agent {
            continue;
        }
        server.handle(payload, now).expect("sound frames");
        while let Some(event) = server.poll_event() {
            match event {
                MuxEvent::Opened(id) => assert_eq!(server.accept(), Some(id)),
                MuxEvent::Readable(id) => {
                    asked.push(read(&mut server, id));
                    let answer = answers.next().expect("one answer a question");
                    server.write(id, answer).expect("room");
                }
                MuxEvent::Finished(id) => {
                    assert_eq!(server.read(id), Read::Finished);
                    server.close(id);
                }
                other => panic!("nothing else happened: {other:?}"),
            }
        }
        written.extend_from_slice(&transmitted(&mut server));
    }
    assert_eq!(asked, QUESTIONS);
    assert_eq!(written, all(From::Agent));
    assert_eq!(server.stream_count(), 0);
}
