//! The way to a host: TCP, through a proxy where there is one, and TLS.

use std::io;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::proxy::{self, Proxy};
use crate::tls::{self, CaBundle};
use crate::transport::Transport;
use crate::websocket::{ConnectError, host_and_port};

/// Connects to a URL's host; `ws` and `http` are plain.
pub(crate) async fn connect(
    url: &Url,
    proxy: &Proxy,
    ca_bundle: Option<&CaBundle>,
) -> Result<Transport, ConnectError> {
    let host = host_and_port(url);
    let network = |error| ConnectError::Network {
        host: host.clone(),
        error,
    };
    let (name, port) = name_and_port(url);
    let tcp = match proxy.before(url) {
        Some(proxy) => proxy::connect(&proxy, &host).await?,
        None => TcpStream::connect((name.clone(), port))
            .await
            .map_err(network)?,
    };
    // Without it every small message waits for the previous one's TCP acknowledgement.
    tcp.set_nodelay(true).map_err(network)?;
    if matches!(url.scheme(), "ws" | "http") {
        return Ok(Transport::Plain(tcp));
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
    Ok(Transport::Tls(Box::new(stream)))
}

/// As the resolver takes them: an IPv6 address without its brackets.
pub(crate) fn name_and_port(url: &Url) -> (String, u16) {
    let name = url.host_str().unwrap_or_default();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    (bare.to_owned(), url.port_or_known_default().unwrap_or(443))
}
