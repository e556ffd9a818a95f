//! A stream on standard input and output, for programs that use this process as their connection.

use std::io;

use ssm_tunnel::TunnelStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes read from the stream before standard output takes them.
const CHUNK: usize = 32 << 10;

/// Carries standard input to the stream and the stream to standard output, until the stream ends.
///
/// End-of-file on standard input is passed on; the answer may still arrive. Standard output is
/// flushed after every chunk because its reader waits for each answer.
///
/// # Errors
/// When the stream was cut off, or standard output is gone.
pub async fn carry(stream: TunnelStream) -> io::Result<()> {
    let (mut from_tunnel, mut to_tunnel) = tokio::io::split(stream);
    let upload = async move {
        // Reading reports the stream's end, and whether it was orderly.
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut to_tunnel).await;
        let _ = to_tunnel.shutdown().await;
    };
    let download = async move {
        let mut output = tokio::io::stdout();
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from_tunnel.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            output
                .write_all(buffer.get(..read).unwrap_or_default())
                .await?;
            output.flush().await?;
        }
    };
    tokio::pin!(upload);
    tokio::pin!(download);
    tokio::select! {
        ended = &mut download => ended,
        () = &mut upload => download.await,
    }
}
