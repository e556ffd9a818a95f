//! Whether an endpoint can be reached, tried without credentials.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONNECTION, DATE, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use url::Url;

use super::dial::{self, Connection};
use super::error::ConnectError;
use super::proxy::{self, Proxy};
use super::stream_url::StreamUrlError;
use super::tls::CaBundle;
use super::url::{host_and_port, host_header, name_and_port};
use crate::clock::after;

/// The result of [`probe`]: whether an endpoint answered, and how it was reached.
#[derive(Debug)]
#[non_exhaustive]
pub struct Probe {
    /// Host and port.
    pub host: String,
    /// The addresses that the name resolves to on this machine; empty when it does not resolve, which
    /// matters only without a proxy.
    pub addresses: Vec<IpAddr>,
    /// The proxy in between, without credentials.
    pub proxy: Option<String>,
    /// The answer, or why there was none.
    pub outcome: Result<Answer, ConnectError>,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// HTTP status. Without credentials, an endpoint refuses the request.
    pub status: u16,
    /// Its `Date` header.
    pub date: Option<String>,
    /// This machine's time when the answer arrived.
    pub at: SystemTime,
}

/// Sends a request to an endpoint the way a session's data channel does: resolver, proxy, TLS, HTTP. A
/// `wss` (or `ws`) endpoint is asked for a websocket, `https` (or `http`) for a page. Nothing that
/// identifies the caller is sent. It takes no longer than `timeout`.
///
/// # Errors
/// When the text is not the URL of an endpoint.
///
/// # Panics
/// Outside a tokio runtime with time and I/O enabled.
pub async fn probe(
    endpoint: &str,
    proxy: &Proxy,
    ca_bundle: Option<&CaBundle>,
    timeout: Duration,
) -> Result<Probe, StreamUrlError> {
    let url = parse(endpoint)?;
    let host = host_and_port(&url);
    let deadline = Instant::from_std(after(Instant::now().into_std(), timeout));
    let late = || ConnectError::Timeout {
        host: host.clone(),
        after: timeout,
    };
    let between = match proxy.before(&url) {
        Ok(between) => between.map(proxy::shown),
        Err(error) => {
            return Ok(Probe {
                outcome: Err(error.into()),
                host,
                addresses: Vec::new(),
                proxy: None,
            });
        }
    };
    let resolved = tokio::time::timeout_at(deadline, resolve(&url)).await;
    let addresses = match (resolved, &between) {
        (Ok(Ok(addresses)), _) => addresses,
        (_, Some(_)) => Vec::new(),
        (Ok(Err(error)), None) => {
            return Ok(Probe {
                outcome: Err(ConnectError::Network {
                    host: host.clone(),
                    error,
                }),
                host,
                addresses: Vec::new(),
                proxy: None,
            });
        }
        (Err(_), None) => Vec::new(),
    };
    let asking = async {
        let io = dial::connect(&url, proxy, ca_bundle).await?;
        ask(io, &url).await
    };
    let outcome = tokio::time::timeout_at(deadline, asking).await;
    Ok(Probe {
        outcome: outcome.unwrap_or_else(|_| Err(late())),
        proxy: between,
        addresses,
        host,
    })
}

fn parse(endpoint: &str) -> Result<Url, StreamUrlError> {
    let malformed = || StreamUrlError::Malformed {
        // The part before an `@` may be a password.
        url: endpoint
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect(),
    };
    if endpoint.contains('@') {
        return Err(StreamUrlError::Malformed { url: String::new() });
    }
    let url = Url::parse(endpoint).map_err(|_| malformed())?;
    let usable = url.has_host() && matches!(url.scheme(), "https" | "http" | "wss" | "ws");
    if usable { Ok(url) } else { Err(malformed()) }
}

async fn resolve(url: &Url) -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<_> = tokio::net::lookup_host(name_and_port(url))
        .await?
        .map(|address| address.ip())
        .collect();
    addresses.dedup();
    Ok(addresses)
}

async fn ask(io: Connection, url: &Url) -> Result<Answer, ConnectError> {
    let host = host_and_port(url);
    let failed = |reason: String| ConnectError::Handshake {
        host: host.clone(),
        reason,
    };
    let mut request = Request::new(Empty::<Bytes>::new());
    let headers = request.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| failed(error.to_string()));
    headers.insert(HOST, value(&host_header(url))?);
    if matches!(url.scheme(), "wss" | "ws") {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, value(&generate_key())?);
    }
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| failed(error.to_string()))?;
    // The connection must be driven while waiting for the answer; it ends first only if it fails.
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let response = tokio::select! {
        biased;
        response = &mut answer => response,
        _ = connection => answer.await,
    };
    let response = response.map_err(|error| failed(error.to_string()))?;
    let date = response.headers().get(DATE);
    Ok(Answer {
        status: response.status().as_u16(),
        date: date.and_then(|date| date.to_str().ok()).map(str::to_owned),
        at: SystemTime::now(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);

    async fn probed(endpoint: &str, timeout: Duration) -> Probe {
        probe(endpoint, &Proxy::none(), None, timeout)
            .await
            .expect("a URL")
    }

    /// Answers with these bytes once it has read a request's head.
    async fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(tcp.read_u8().await.expect("a request"));
            }
            tcp.write_all(answer.as_bytes()).await.expect("taken");
            let _ = tcp.shutdown().await;
        });
        address.to_string()
    }

    #[tokio::test]
    async fn probe_takes_any_answer_and_reports_its_date() {
        for scheme in ["http", "ws"] {
            let address = answering(
                "HTTP/1.1 403 Forbidden\r\ndate: Tue, 24 Nov 2026 12:00:00 GMT\r\ncontent-length: 0\r\n\r\n",
            )
            .await;
            let probe = probed(&format!("{scheme}://{address}/"), PATIENCE).await;
            let answer = probe.outcome.expect("an answer");
            assert_eq!(answer.status, 403);
            assert_eq!(
                answer.date.as_deref(),
                Some("Tue, 24 Nov 2026 12:00:00 GMT")
            );
            assert_eq!((probe.host, probe.proxy), (address, None));
            assert!(probe.addresses.iter().all(IpAddr::is_loopback));
            assert_eq!(probe.addresses.len(), 1);
        }
    }

    #[tokio::test]
    async fn probe_names_what_was_in_the_way() {
        // Bound, so that no other process can listen there.
        let taken = TcpSocket::new_v4().expect("a TCP socket");
        taken
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a free port of loopback");
        let closed = taken.local_addr().expect("bound");
        let probe = probed(&format!("http://{closed}"), PATIENCE).await;
        assert!(matches!(probe.outcome, Err(ConnectError::Network { .. })));

        for text in ["", "220 smtp.example ESMTP\r\n"] {
            let address = answering(text).await;
            let probe = probed(&format!("http://{address}"), PATIENCE).await;
            let error = probe.outcome.expect_err("no HTTP");
            assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
        }

        // It never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = silent.local_addr().expect("bound");
        let probe = probed(&format!("ws://{address}"), Duration::from_millis(50)).await;
        assert!(matches!(probe.outcome, Err(ConnectError::Timeout { .. })));
    }

    #[tokio::test]
    async fn probe_refuses_bad_urls_without_showing_secrets() {
        for url in [
            "",
            "nonsense",
            "ftp://x",
            "http://",
            "https://user:MARKER@host/",
        ] {
            let error = probe(url, &Proxy::none(), None, PATIENCE)
                .await
                .expect_err("refused");
            assert!(!format!("{error} {error:?}").contains("MARKER"), "{error}");
        }
    }
}
