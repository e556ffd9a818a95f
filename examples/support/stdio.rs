//! A stream on standard input and output, for programs that others start as their connection.

use std::io;

use ssm_tunnel::TunnelStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Read from the stream before standard output took it.
const CHUNK: usize = 32 << 10;

/// Carries standard input to the stream and the stream to standard output, until the stream ends.
///
/// Standard input's end is passed on; the answer may still come. Standard output is flushed with
/// every chunk: whoever reads it waits for each answer.
///
/// # Errors
/// When the stream was cut off, or standard output is gone.
pub async fn carry(stream: TunnelStream) -> io::Result<()> {
    let (mut from_tunnel, mut to_tunnel) = tokio::io::split(stream);
    let upload = async move {
        // The stream's end, and whether it is one in order, comes with what is read of it.
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
