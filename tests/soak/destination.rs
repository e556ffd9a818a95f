//! The destination behind the sandbox's instance, and the client's side of its exchanges.
//!
//! A connection begins with three numbers: bytes up, bytes down, and a seed. Both directions then
//! run at once; at the end the service sends the SHA-256 of what it read and of what it wrote.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CHUNK: usize = 32 << 10;

/// Starts it on a free port of loopback.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // Clients that give up halfway are part of the traffic.
            tokio::spawn(serve(tcp));
        }
    });
    Ok(address)
}

async fn serve(mut tcp: TcpStream) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let up = tcp.read_u64().await?;
    let down = tcp.read_u64().await?;
    let seed = tcp.read_u64().await?;
    let (mut read, mut write) = tcp.split();
    let (received, sent) = tokio::try_join!(
        receive(&mut read, up, Duration::ZERO),
        send(&mut write, down, seed, Duration::ZERO)
    )?;
    write.write_all(&received).await?;
    write.write_all(&sent).await?;
    write.shutdown().await?;
    tokio::io::copy(&mut read, &mut tokio::io::sink()).await?;
    Ok(())
}

/// What the client does in one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) seed: u64,
    /// Pause after each chunk written.
    pub(crate) write_pause: Duration,
    /// Pause after each chunk read.
    pub(crate) read_pause: Duration,
    /// Whether the client shuts down writing before it has the answer.
    pub(crate) half_close: bool,
}

impl Exchange {
    /// Runs it, and compares both ends.
    pub(crate) async fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> anyhow::Result<()> {
        let (mut read, mut write) = tokio::io::split(stream);
        for number in [self.up, self.down, self.seed] {
            write.write_u64(number).await.context("the beginning")?;
        }
        let sending = async {
            let sent = send(&mut write, self.up, !self.seed, self.write_pause).await?;
            if self.half_close {
                write.shutdown().await?;
            }
            anyhow::Ok(sent)
        };
        let (sent, received) =
            tokio::try_join!(sending, receive(&mut read, self.down, self.read_pause))?;
        let mut theirs = [0; 64];
        read.read_exact(&mut theirs)
            .await
            .context("the service's digests")?;
        ensure!(theirs[..32] == sent, "SHA-256 of what was sent differs");
        ensure!(
            theirs[32..] == received,
            "SHA-256 of what was received differs"
        );
        Ok(())
    }
}

async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    mut length: u64,
    pause: Duration,
) -> anyhow::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    while length > 0 {
        let most = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let read = from.read(&mut buffer[..most]).await.context("reading")?;
        ensure!(read > 0, "the connection ended {length} bytes early");
        hash.update(&buffer[..read]);
        length -= read as u64;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(hash.finalize().into())
}

async fn send(
    to: &mut (impl AsyncWrite + Unpin),
    mut length: u64,
    seed: u64,
    pause: Duration,
) -> anyhow::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut buffer = vec![0; CHUNK];
    while length > 0 {
        let most = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        random.fill(&mut buffer[..most]);
        hash.update(&buffer[..most]);
        to.write_all(&buffer[..most]).await.context("writing")?;
        length -= most as u64;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(hash.finalize().into())
}
