//! One connection, both directions at once, while websockets are cut.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use ssm_tunnel::{Event, Limits, Outcome, Tunnel};
use tokio::net::TcpStream;

use crate::destination::Exchange;
use crate::gateway::{Gateway, TARGET};
use crate::{Network, memory, say};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    network: Network,
    /// Bytes each way, in units of 1,000,000
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Approximate number of cuts of the websocket
    #[arg(long, default_value_t = 200)]
    cuts: u64,
    /// Let the agent send as fast as it can; after a cut it repeats lost messages one at a time,
    /// which takes long if many were in flight
    #[arg(long)]
    unpaced: bool,
    /// Idle connections that stay open during the transfer
    #[arg(long, default_value_t = 8)]
    idle: u64,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let bytes = options.megabytes * 1_000_000;
    let mut arguments = Vec::new();
    if options.cuts > 0 {
        // Counts messages of 1016 bytes and their acknowledgements, both ways; the last cut comes
        // well before the end.
        let messages = bytes / 1016 * 4;
        let between = (messages / (options.cuts + 2)).max(50);
        arguments.extend(["--cut-after".to_owned(), between.to_string()]);
    }
    if options.unpaced {
        arguments.push("--unpaced".to_owned());
    }
    let gateway = Gateway::start(&options.network, arguments).await?;
    let mut limits = Limits::default();
    limits.resume_budget = None;
    let tunnel = Tunnel::builder(TARGET)
        .remote_port(3389)
        .local_port(0)
        .sdk_config(&gateway.config())
        .limits(limits)
        .open()
        .await?;
    let mut events = tunnel.events();
    let counting = tokio::spawn(async move {
        let (mut resumed, mut finished, mut other) = (0, 0, 0);
        while let Some(event) = events.next().await {
            match event {
                Event::Resumed { .. } => resumed += 1,
                Event::ConnectionClosed {
                    outcome: Outcome::Finished,
                    ..
                } => finished += 1,
                Event::ConnectionClosed { .. } | Event::ConnectionFailed { .. } => other += 1,
                _ => {}
            }
        }
        (resumed, finished, other)
    });
    let address = tunnel.local_addr().expect("a local port");
    let mut idle = Vec::new();
    for _ in 0..options.idle {
        idle.push(TcpStream::connect(address).await?);
    }
    let started = Instant::now();
    let exchange = Exchange {
        up: bytes,
        down: bytes,
        seed: options.network.seed,
        write_pause: Duration::ZERO,
        read_pause: Duration::ZERO,
        half_close: false,
    };
    exchange.run(TcpStream::connect(address).await?).await?;
    let took = started.elapsed();
    for (tcp, seed) in idle.into_iter().zip(100..) {
        let small = Exchange {
            up: 1000,
            down: 1000,
            seed,
            ..exchange
        };
        small
            .run(tcp)
            .await
            .context("a connection that was open all the time")?;
    }
    tunnel.close().await?;
    drop(tunnel);
    let (resumed, finished, other) = counting.await?;
    say(&format!(
        "{} MB each way in {:.0} s ({:.2} MB/s each way), SHA-256 equal at both ends",
        options.megabytes,
        took.as_secs_f64(),
        bytes as f64 / 1e6 / took.as_secs_f64()
    ));
    say(&format!(
        "the websocket was lost and resumed {resumed} times; {finished} connections ended in order, {other} otherwise; memory at most {}",
        memory::shown(memory::peak())
    ));
    ensure!(other == 0, "a local connection was lost");
    ensure!(
        finished == options.idle + 1,
        "a connection did not end in order"
    );
    ensure!(
        resumed >= options.cuts,
        "fewer cuts than asked for mean nothing"
    );
    gateway.finish().await?;
    Ok(())
}
