//! Connects to a host: TCP, through a proxy where there is one, and TLS.

mod transport;

use std::io;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::error::ConnectError;
use super::proxy::{self, Proxy};
use super::stream_url::StreamUrlError;
use super::tls::{self, CaBundle};
use super::url::{host_and_port, name_and_port};
pub use transport::Connection;

/// Connects to a URL's host; `ws` and `http` are plain.
pub(crate) async fn connect(
    url: &Url,
    proxy: &Proxy,
    ca_bundle: Option<&CaBundle>,
) -> Result<Connection, ConnectError> {
    let host = host_and_port(url);
    let network = |error| ConnectError::Network {
        host: host.clone(),
        error,
    };
    let (name, port) = name_and_port(url);
    let tcp = match proxy.before(url)? {
        Some(proxy) => proxy::connect(proxy, &host).await?,
        None => TcpStream::connect((name.clone(), port))
            .await
            .map_err(network)?,
    };
    // Otherwise every small message waits for the TCP acknowledgement of the previous one.
    tcp.set_nodelay(true).map_err(network)?;
    if matches!(url.scheme(), "ws" | "http") {
        return Ok(Connection::plain(tcp));
    }
    let tls = |error: String| ConnectError::Tls {
        host: host.clone(),
        error,
    };
    let server = ServerName::try_from(name).map_err(|error| tls(error.to_string()))?;
    let config = tls::client_config(ca_bundle).map_err(tls)?;
    let stream = TlsConnector::from(config)
        .connect(server, tcp)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => tls(error.to_string()),
            _ => network(error),
        })?;
    Ok(Connection::tls(stream))
}

/// Connects to AWS's endpoints the way a session's data channel does: through the same proxies, trusting
/// the same certificates. For HTTP clients that make the API calls.
#[derive(Debug, Clone)]
pub struct Dialer {
    proxy: Proxy,
    ca_bundle: Option<CaBundle>,
}

impl Dialer {
    /// Through these proxies, trusting these certificates instead of the system's.
    pub fn new(proxy: Proxy, ca_bundle: Option<CaBundle>) -> Self {
        Self { proxy, ca_bundle }
    }

    /// Connects to the host of an `https` or `http` URL; `http` is plain.
    ///
    /// # Errors
    /// Why the host cannot be reached.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub async fn connect(&self, url: &str) -> Result<Connection, ConnectError> {
        let malformed = || StreamUrlError::Malformed {
            url: url.chars().take(200).collect(),
        };
        let url = Url::parse(url).map_err(|_| malformed())?;
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return Err(malformed().into());
        }
        connect(&url, &self.proxy, self.ca_bundle.as_ref()).await
    }
}
