//! An HTTP server played by hand: one answer for every request.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service;

/// Listens on loopback, gives every request this answer, and closes the connection.
pub async fn answering(answer: impl Into<String>) -> SocketAddr {
    let answer = answer.into();
    service(move |tcp| answer_one(tcp, answer.clone())).await
}

async fn answer_one(mut tcp: TcpStream, answer: String) {
    let mut request = Vec::new();
    while !is_complete(&request) {
        match tcp.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    // The client may close before it has read everything.
    let _ = tcp.write_all(answer.as_bytes()).await;
    let _ = tcp.shutdown().await;
}

/// Whether the head and the body that it announces are there.
fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
