//! An upload over a long path, beside the best fixed window for that path. The time that criterion reports is
//! simulated, so it does not depend on the machine.
//!
//! The path takes `delay` each way; the agent takes messages one by one at a fixed rate and acknowledges
//! each once it is taken.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bench_support::{Curve, draw, is_full_run};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ssm_netem::Bottleneck;
use ssm_protocol::payload::{Acknowledge, HandshakeComplete, HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};
use ssm_protocol::{Session, SessionConfig};

const MS: Duration = Duration::from_millis(1);
/// Rate of the agent in bytes per second. 13 to 53 MB/s were measured with the real one.
const RATE: usize = 10_000_000;
const UPLOAD: usize = 128 << 20;

/// Results of an upload.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    took: Duration,
    /// Maximum bytes queued in front of the agent.
    queue: usize,
    /// The 99th percentile of the round-trip times of messages: that of a keystroke on another connection,
    /// since connections take turns message by message.
    slow: Duration,
}

impl Outcome {
    fn rate(self) -> f64 {
        UPLOAD as f64 / self.took.as_secs_f64()
    }
}

fn product(delay: Duration) -> usize {
    (RATE as f64 * 2.0 * delay.as_secs_f64()) as usize
}

/// The smallest window that keeps the path full from the first message on.
fn fixed(delay: Duration) -> SessionConfig {
    let mut config = SessionConfig::default();
    let window = product(delay) + 2 * config.max_payload;
    config.min_window = window;
    config.max_window = window;
    config
}

fn frame(message_type: MessageType, number: i64, kind: PayloadType, payload: Vec<u8>) -> Bytes {
    let header = Header {
        message_type,
        schema_version: 1,
        created_date: MS,
        sequence_number: SequenceNumber(number),
        flags: Flags::NONE,
        message_id: MessageId::default(),
        payload_type: kind,
    };
    Message {
        header,
        payload: payload.into(),
    }
    .encode()
}

fn acknowledgement(number: i64) -> Bytes {
    let mut body = bytes::BytesMut::new();
    Acknowledge {
        message_type: MessageType::InputStreamData,
        message_id: MessageId::default(),
        sequence_number: SequenceNumber(number),
    }
    .write(&mut body);
    frame(
        MessageType::Acknowledge,
        0,
        PayloadType::None,
        body.to_vec(),
    )
}

/// A client whose handshake is complete.
fn client(config: SessionConfig, start: Instant, delay: Duration) -> Session {
    let mut session = Session::client(config, [1; 32], start, MS);
    let say =
        |number, kind, body: Vec<u8>| frame(MessageType::OutputStreamData, number, kind, body);
    let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
    let request = HandshakeRequest::port("3.3.4851.0", &properties);
    let complete = HandshakeComplete {
        handshake_time_to_complete: 1,
        customer_message: String::new(),
    };
    session.connected(start);
    let body = serde_json::to_vec(&request).expect("plain data");
    let request = say(0, PayloadType::HandshakeRequest, body);
    session.handle_message(request, start).expect("sound");
    while session.poll_transmit(start).is_some() {}
    let later = start + 2 * delay;
    let body = serde_json::to_vec(&complete).expect("plain data");
    let complete = say(1, PayloadType::HandshakeComplete, body);
    session.handle_message(complete, later).expect("sound");
    session
        .handle_message(acknowledgement(0), later)
        .expect("sound");
    while session.poll_transmit(later).is_some() {}
    while session.poll_event().is_some() {}
    session
}

/// Uploads 128 MiB, until the last acknowledgement is back.
fn upload(config: SessionConfig, delay: Duration) -> Outcome {
    let start = Instant::now();
    let mut session = client(config, start, delay);
    let began = start + 2 * delay;
    let mut now = began;
    let chunk = [0x5a; 1024];
    let mut left = UPLOAD;
    let mut agent = Bottleneck::new(RATE, now);
    let mut longest = 0;
    let mut answers: BTreeMap<(Instant, i64), ()> = BTreeMap::new();
    let mut trips: Vec<Duration> = Vec::with_capacity(UPLOAD / chunk.len());
    loop {
        while left > 0 {
            let sent = session.send_with(now, |frame, room| {
                frame.extend_from_slice(&chunk[..room.min(left).min(chunk.len())]);
            });
            if sent == 0 {
                break;
            }
            left -= sent;
        }
        while let Some(frame) = session.poll_transmit(now) {
            let bytes = frame.len() - PAYLOAD_OFFSET;
            let message = Message::decode_unverified(frame).expect("ours are sound");
            let answer = agent.handle(bytes, now + delay) + delay;
            longest = longest.max(agent.queued());
            trips.push(answer - now);
            answers.insert((answer, message.header.sequence_number.0), ());
        }
        if left == 0 && session.stats().unacknowledged == 0 {
            trips.sort_unstable();
            return Outcome {
                took: now - began,
                queue: longest,
                slow: trips[trips.len() * 99 / 100],
            };
        }
        let answer = answers.keys().next().map(|(at, _)| *at);
        let timer = session.poll_timeout().map(|(at, _)| at);
        let wake = answer
            .into_iter()
            .chain(timer)
            .min()
            .expect("an answer is due");
        now = now.max(wake);
        session.handle_timeout(now).expect("the agent answers");
        while let Some(entry) = answers.first_entry()
            && entry.key().0 <= now
        {
            let (_, number) = entry.remove_entry().0;
            session
                .handle_message(acknowledgement(number), now)
                .expect("sound");
        }
    }
}

fn window(c: &mut Criterion) {
    for delay in [25 * MS, 100 * MS] {
        let mut group = c.benchmark_group(format!("window/{}_ms_one_way", delay.as_millis()));
        group.sample_size(10);
        group.throughput(Throughput::Bytes(UPLOAD as u64));
        for (name, config) in [
            ("fixed_optimum", fixed(delay)),
            ("ours", SessionConfig::default()),
        ] {
            group.bench_with_input(BenchmarkId::from_parameter(name), &config, |b, config| {
                let mut jitter = 0;
                b.iter_custom(|iterations| {
                    (0..iterations)
                        // Criterion rejects samples without any variance.
                        .map(|_| {
                            jitter = (jitter + 7) % 10;
                            upload(config.clone(), delay).took + Duration::from_nanos(jitter)
                        })
                        .sum()
                });
            });
        }
        group.finish();
        let (best, ours) = (
            upload(fixed(delay), delay),
            upload(SessionConfig::default(), delay),
        );
        println!(
            "window at {delay:?} one way: {:.1} % of the fixed optimum; at most {:.2} bandwidth-delay products queued; \
             a keystroke's p99 beside it is {:.2} times an idle one's\n",
            100.0 * ours.rate() / best.rate(),
            ours.queue as f64 / product(delay) as f64,
            ours.slow.as_secs_f64() / (2 * delay).as_secs_f64(),
        );
    }
    if is_full_run() {
        plot();
    }
}

/// Plots throughput, and latency under load, over delay.
fn plot() {
    let delays = [1, 2, 5, 10, 25, 50, 100, 200];
    let optimum = delays.map(|delay| upload(fixed(delay * MS), delay * MS));
    let ours = delays.map(|delay| upload(SessionConfig::default(), delay * MS));
    let curve = |of: &dyn Fn(usize) -> f64| -> Vec<(f64, f64)> {
        (0..delays.len())
            .map(|at| (f64::from(delays[at]), of(at)))
            .collect()
    };
    // AWS's client sleeps 1 ms after each message of 1024 bytes, whatever the path.
    let sleeping = [1.0, 200.0].map(|delay| (delay, 1.024)).to_vec();
    let curves: [Curve<'_>; 3] = [
        ("fixed optimum", curve(&|at| optimum[at].rate() / 1e6)),
        ("ours", curve(&|at| ours[at].rate() / 1e6)),
        ("a millisecond's sleep after each message", sleeping),
    ];
    draw(
        "window.svg",
        "Upload of 128 MiB to an agent that takes 10 MB/s",
        "delay one way, ms",
        "MB/s",
        &curves,
    );
    let curves: [Curve<'_>; 2] = [
        ("idle", curve(&|at| 2.0 * f64::from(delays[at]))),
        (
            "under upload, p99",
            curve(&|at| ours[at].slow.as_secs_f64() * 1e3),
        ),
    ];
    draw(
        "keystroke.svg",
        "A keystroke's round trip beside that upload",
        "delay one way, ms",
        "ms",
        &curves,
    );
}

criterion_group! {
    name = benches;
    // Without variance between two runs, criterion's plot of their difference panics.
    config = Criterion::default().without_plots();
    targets = window
}
criterion_main!(benches);
