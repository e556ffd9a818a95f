//! The demo service behind the sandbox's instance, and the checked transfer through the tunnel.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Starts the service: it reads a length, that many bytes, and another length; it answers with
/// the SHA-256 of what it read, then with that many bytes of its own and their SHA-256.
///
/// # Errors
/// When loopback cannot be listened on.
pub(super) async fn start_service() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp));
        }
    });
    Ok(address)
}

async fn serve(mut tcp: TcpStream) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let upload = tcp.read_u64().await?;
    let download = tcp.read_u64().await?;
    let digest = receive(&mut tcp, upload).await?;
    tcp.write_all(&digest).await?;
    send(&mut tcp, download).await?;
    Ok(())
}

/// The speed of a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    /// Bytes a second from here to the service.
    pub(super) upload: f64,
    /// Bytes a second from the service to here.
    pub(super) download: f64,
}

/// Sends and receives random bytes through `address`, and compares the SHA-256 of both ends.
///
/// # Errors
/// When the connection fails or a byte is wrong.
pub(super) async fn transfer(
    address: SocketAddr,
    upload: u64,
    download: u64,
) -> anyhow::Result<Transfer> {
    let mut tcp = TcpStream::connect(address)
        .await
        .context("cannot connect to the local port")?;
    tcp.set_nodelay(true)?;
    tcp.write_u64(upload).await?;
    tcp.write_u64(download).await?;

    let started = Instant::now();
    let sent = send_without_digest(&mut tcp, upload).await?;
    let mut seen = [0; 32];
    tcp.read_exact(&mut seen)
        .await
        .context("no answer through the tunnel")?;
    let up = started.elapsed();
    ensure!(
        sent == seen,
        "the bytes that arrived are not the bytes that were sent"
    );

    let started = Instant::now();
    let received = receive(&mut tcp, download).await?;
    let mut sent = [0; 32];
    tcp.read_exact(&mut sent).await?;
    let down = started.elapsed();
    ensure!(
        sent == received,
        "the bytes that were received are not the bytes that were sent"
    );
    Ok(Transfer {
        upload: upload as f64 / up.as_secs_f64(),
        download: download as f64 / down.as_secs_f64(),
    })
}

async fn receive(tcp: &mut TcpStream, mut length: u64) -> anyhow::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    while length > 0 {
        let most = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = tcp.read(buffer.get_mut(..most).unwrap_or_default()).await?;
        ensure!(read > 0, "the connection ended {length} bytes early");
        hash.update(buffer.get(..read).unwrap_or_default());
        length -= read as u64;
    }
    Ok(hash.finalize().into())
}

async fn send_without_digest(tcp: &mut TcpStream, mut length: u64) -> anyhow::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut random = fastrand::Rng::new();
    let mut buffer = vec![0; 64 << 10];
    while length > 0 {
        let most = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let chunk = buffer.get_mut(..most).unwrap_or_default();
        random.fill(chunk);
        hash.update(&*chunk);
        tcp.write_all(chunk).await?;
        length -= most as u64;
    }
    Ok(hash.finalize().into())
}

async fn send(tcp: &mut TcpStream, length: u64) -> anyhow::Result<()> {
    let digest = send_without_digest(tcp, length).await?;
    tcp.write_all(&digest).await?;
    Ok(())
}
