//! HTTP clients on hyper over a tunnel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::error::Error;
use crate::tunnel::{Tunnel, TunnelStream};

/// Connects an HTTP client through a tunnel: a [`Service`] of a [`Uri`], which `hyper-util`'s client
/// takes, `hyper-rustls` wraps for `https`, and `tonic` takes for gRPC. There is no local port.
///
/// Every connection goes to the tunnel's destination, whatever host the URI names: the host appears
/// only in the request and, with TLS, in the check of the certificate.
///
/// ```no_run
/// # async fn run(tunnel: ssm_tunnel::Tunnel) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use ssm_tunnel::HyperConnector;
///
/// let connector = HyperConnector::new(Arc::new(tunnel));
/// let client = Client::builder(TokioExecutor::new()).build::<_, String>(connector);
/// let answer = client.get("http://intranet.internal/status".parse()?).await?;
/// println!("{}", answer.status());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HyperConnector {
    tunnel: Arc<Tunnel>,
}

impl HyperConnector {
    /// Connects through this tunnel. The connector and its connections keep the tunnel open.
    pub fn new(tunnel: Arc<Tunnel>) -> Self {
        Self { tunnel }
    }
}

impl Service<Uri> for HyperConnector {
    type Response = HyperStream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HyperStream, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let tunnel = self.tunnel.clone();
        Box::pin(async move {
            let stream = tunnel.connect().await?;
            Ok(HyperStream {
                io: TokioIo::new(stream),
                _tunnel: tunnel,
            })
        })
    }
}

/// A [`TunnelStream`] with hyper's traits.
#[derive(Debug)]
pub struct HyperStream {
    io: TokioIo<TunnelStream>,
    _tunnel: Arc<Tunnel>,
}

impl Connection for HyperStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for HyperStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for HyperStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
