//! One message each way through two state machines, acknowledgements included, beside the hashes
//! that it needs: two of the payload and two of the acknowledgement.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest as _, Sha256};
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::{Session, SessionConfig};

struct Pair {
    client: Session,
    agent: Session,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let unix = Duration::from_secs(1_795_000_000);
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let request = HandshakeRequest::port("3.3.4851.0", &properties);
        let mut agent = Session::agent(SessionConfig::default(), request, [1; 32], now, unix);
        let mut client = Session::client(SessionConfig::default(), [2; 32], now, unix);
        agent.connected(now);
        client.connected(now);
        let mut pair = Self { client, agent, now };
        pair.exchange();
        // The client waits a moment after the handshake before it sends.
        while let (0, Some((at, _))) = (pair.client.send_room(), pair.client.poll_timeout()) {
            pair.now = pair.now.max(at);
            pair.client.handle_timeout(pair.now).expect("sound");
            pair.exchange();
        }
        pair
    }

    fn exchange(&mut self) {
        loop {
            self.now += Duration::from_micros(10);
            let mut quiet = true;
            while let Some(message) = self.client.poll_transmit(self.now) {
                quiet = false;
                self.agent.handle_message(message, self.now).expect("sound");
            }
            while let Some(message) = self.agent.poll_transmit(self.now) {
                quiet = false;
                self.client
                    .handle_message(message, self.now)
                    .expect("sound");
            }
            while self.agent.poll_event().is_some() {}
            while self.client.poll_event().is_some() {}
            if quiet {
                return;
            }
        }
    }
}

fn data_channel(c: &mut Criterion) {
    let mut group = c.benchmark_group("data_channel");
    group.throughput(Throughput::Elements(1));
    let payload = vec![0x5a; 1024];
    let acknowledge = vec![0x5a; 176];
    group.bench_function("bare_hashes_of_a_message", |b| {
        b.iter(|| {
            for _ in 0..2 {
                black_box(Sha256::digest(black_box(&payload)));
                black_box(Sha256::digest(black_box(&acknowledge)));
            }
        });
    });
    let mut pair = Pair::new();
    group.bench_function("message_and_acknowledgement", |b| {
        b.iter(|| {
            pair.client
                .send(&payload, pair.now)
                .expect("the window is open");
            pair.exchange();
        });
    });
    group.finish();
}

criterion_group!(benches, data_channel);
criterion_main!(benches);
