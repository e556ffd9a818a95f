//! Mixed traffic with faults.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ssm_tunnel::{Event, Limits, Tunnel};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::destination::Exchange;
use crate::gateway::{Gateway, TARGET};
use crate::{Network, memory, say};

/// The longest that anything may take, whatever happens to the network.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    network: Network,
    /// How long
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Connections at once
    #[arg(long, default_value_t = 6)]
    workers: u64,
    /// Mean time between disturbances of the network
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    trouble_every: u64,
    /// Suspend this process now and then, like a laptop that sleeps
    #[arg(long)]
    stop: bool,
    /// How long it stays suspended
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    stop_for: u64,
    /// Version of the agent
    #[arg(long)]
    agent_version: Option<String>,
    /// How much this process may grow after its first tenth, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 16.0)]
    growth: f64,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    given_up: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    tunnels: AtomicU64,
    interrupted: AtomicU64,
    resumed: AtomicU64,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut arguments = vec![
        "--trouble-every".to_owned(),
        options.trouble_every.to_string(),
        "--stop-for".to_owned(),
        options.stop_for.to_string(),
    ];
    if options.stop {
        arguments.extend(["--stop".to_owned(), std::process::id().to_string()]);
    }
    if let Some(version) = &options.agent_version {
        arguments.extend(["--agent-version".to_owned(), version.clone()]);
    }
    let gateway = Gateway::start(&options.network, arguments).await?;
    let config = gateway.config();
    let tunnel = Tunnel::builder(TARGET)
        .remote_port(3389)
        .local_port(0)
        .sdk_config(&config)
        .limits(limits())
        .open()
        .await?;
    let counts = Arc::new(Counts::default());
    let counting = tokio::spawn(count(tunnel.events(), counts.clone()));
    let started = Instant::now();
    let until = started + Duration::from_secs(options.seconds);
    let seed = options.network.seed;
    say(&format!(
        "{} s of mixed traffic, {} connections at once, seed {seed}",
        options.seconds, options.workers
    ));

    let mut work = JoinSet::new();
    for number in 0..options.workers {
        let (address, counts) = (tunnel.local_addr().expect("a local port"), counts.clone());
        let random = fastrand::Rng::with_seed(seed ^ (number << 32) ^ 1);
        work.spawn(async move { worker(address, random, until, &counts).await });
    }
    {
        let counts = counts.clone();
        let random = fastrand::Rng::with_seed(seed ^ 2);
        work.spawn(async move { tunnels(config, random, until, &counts).await });
    }

    // By then, everything that is allocated once has been allocated.
    let warm = started + Duration::from_secs(options.seconds) / 10;
    let mut before = None;
    let mut tick = tokio::time::interval(Duration::from_secs((options.seconds / 60).clamp(1, 60)));
    let mut reported = started;
    loop {
        tokio::select! {
            done = work.join_next() => match done {
                Some(done) => done??,
                None => break,
            },
            _ = tick.tick() => {
                if before.is_none() && Instant::now() >= warm {
                    before = memory::resident();
                }
                if reported.elapsed() >= Duration::from_secs(60) {
                    reported = Instant::now();
                    progress(started, &counts);
                }
            }
        }
    }
    let after = memory::resident();
    tunnel.close().await.context("the tunnel's end")?;
    drop(tunnel);
    counting.await?;
    progress(started, &counts);
    say(&format!(
        "memory {} after a tenth of the time, {} at the end, {} at most",
        memory::shown(before),
        memory::shown(after),
        memory::shown(memory::peak())
    ));
    if let (Some(before), Some(after)) = (before, after) {
        ensure!(
            after <= before + options.growth,
            "memory grew by {:.1} MiB, more than {} MiB",
            after - before,
            options.growth
        );
    }
    gateway.finish().await?;
    say("everything held");
    Ok(())
}

/// Short timeouts: a silent network is one of the disturbances.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.tuning.ping_interval = Duration::from_secs(5);
    limits.tuning.pong_timeout = Duration::from_secs(5);
    limits
}

fn progress(started: Instant, counts: &Counts) {
    let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    say(&format!(
        "{:.0} s: {} connections compared, {} given up on purpose, {:.1} MB up, {:.1} MB down, {} more tunnels, lost {} times, resumed {} times, memory {}",
        started.elapsed().as_secs_f64(),
        number(&counts.connections),
        number(&counts.given_up),
        number(&counts.up) as f64 / 1e6,
        number(&counts.down) as f64 / 1e6,
        number(&counts.tunnels),
        number(&counts.interrupted),
        number(&counts.resumed),
        memory::shown(memory::resident()),
    ));
}

async fn count(mut events: ssm_tunnel::Events, counts: Arc<Counts>) {
    while let Some(event) = events.next().await {
        match event {
            Event::Interrupted { .. } => counts.interrupted.fetch_add(1, Ordering::Relaxed),
            Event::Resumed { .. } => counts.resumed.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

/// Consecutive connections, each of another kind.
async fn worker(
    address: SocketAddr,
    mut random: fastrand::Rng,
    until: Instant,
    counts: &Counts,
) -> anyhow::Result<()> {
    while Instant::now() < until {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let kind = random.u32(0..10);
        let exchange = exchange(kind, &mut random);
        if kind == 0 {
            give_up(tcp, exchange, &mut random).await?;
            counts.given_up.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        match tokio::time::timeout(PATIENCE, exchange.run(tcp)).await {
            Ok(outcome) => outcome.with_context(|| format!("{exchange:?}"))?,
            Err(_) => bail!("{exchange:?} took longer than {PATIENCE:?}"),
        }
        counts.connections.fetch_add(1, Ordering::Relaxed);
        counts.up.fetch_add(exchange.up, Ordering::Relaxed);
        counts.down.fetch_add(exchange.down, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(random.u64(0..2000))).await;
    }
    Ok(())
}

fn exchange(kind: u32, random: &mut fastrand::Rng) -> Exchange {
    let mut exchange = Exchange {
        up: random.u64(0..2000),
        down: random.u64(0..2000),
        seed: random.u64(..),
        write_pause: Duration::ZERO,
        read_pause: Duration::ZERO,
        half_close: random.u32(0..4) == 0,
    };
    match kind {
        // A large upload, a large download, both.
        1 => exchange.up = random.u64(1_000_000..4_000_000),
        2 => exchange.down = random.u64(100_000..600_000),
        3 => {
            exchange.up = random.u64(100_000..1_000_000);
            exchange.down = random.u64(100_000..300_000);
        }
        // A slow reader.
        4 => {
            exchange.down = random.u64(100_000..300_000);
            exchange.read_pause = Duration::from_millis(100);
        }
        // A slow writer, across several interruptions.
        5 => {
            exchange.up = 1_000_000;
            exchange.write_pause = Duration::from_millis(500);
        }
        _ => {}
    }
    exchange
}

/// A program that is killed during its transfer.
async fn give_up(
    mut tcp: TcpStream,
    exchange: Exchange,
    random: &mut fastrand::Rng,
) -> anyhow::Result<()> {
    for number in [exchange.up.max(1), 1_000_000, exchange.seed] {
        tcp.write_u64(number).await?;
    }
    tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
    if random.bool() {
        tcp.set_zero_linger()?;
    }
    Ok(())
}

/// Other tunnels that come and go, in process.
async fn tunnels(
    config: aws_config::SdkConfig,
    mut random: fastrand::Rng,
    until: Instant,
    counts: &Counts,
) -> anyhow::Result<()> {
    while Instant::now() < until {
        let tunnel = Tunnel::builder(TARGET)
            .remote_port(3389)
            .sdk_config(&config)
            .limits(limits())
            .open()
            .await?;
        let stream = tunnel.connect().await?;
        let exchange = exchange(3, &mut random);
        match tokio::time::timeout(PATIENCE, exchange.run(stream)).await {
            Ok(outcome) => outcome.context("in another tunnel")?,
            Err(_) => bail!("another tunnel took longer than {PATIENCE:?}"),
        }
        if random.bool() {
            tunnel.close().await?;
        } else {
            drop(tunnel);
        }
        counts.tunnels.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(random.u64(1000..10_000))).await;
    }
    Ok(())
}
