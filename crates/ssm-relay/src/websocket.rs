#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;
use zeroize::Zeroizing;

use crate::dial;
use crate::proxy::{Proxy, ProxyError};
use crate::quota::Quota;
use crate::signer::Signer;
use crate::stream_url::{StreamEndpoint, StreamUrlError, is_presigned};
use crate::tls::CaBundle;
use crate::transport::Transport;

/// Longest refusal text taken from a service's HTTP answer.
const MAX_REFUSAL: usize = 4096;
/// How long that text may take: the status is the answer, and must not be lost to the time-out of the
/// whole attempt because a body stalls.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// No peer sends more in one message: the agent's are 1024 bytes, a service text is short.
const MAX_MESSAGE: usize = 1 << 20;
/// Bytes written to the websocket that go to the socket unasked: whoever flushes what is less gives
/// it to the system in one piece.
pub(crate) const WRITE_BUFFER: usize = 96 << 10;

/// Bytes that wait for the socket, at most: pongs pile up no further, the latest replaces the one before
/// it. It leaves room for what is written beside them.
const MAX_WRITE_BUFFER: usize = 4 * WRITE_BUFFER;

pub(crate) type WebSocket = WebSocketStream<Quota<Transport>>;

/// Why the data channel's websocket could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL may not be connected to.
    #[error(transparent)]
    Url(#[from] StreamUrlError),
    /// The host cannot be reached.
    #[error(
        "cannot reach {host}: {error}; check the network, a proxy in between, and the VPC endpoint for ssmmessages"
    )]
    Network {
        /// Host and port.
        host: String,
        /// What the system said.
        error: io::Error,
    },
    /// TLS failed.
    #[error(
        "TLS to {host} failed: {error}; check the machine's clock and certificate store; if a proxy replaces certificates, name its root certificate in AWS_CA_BUNDLE"
    )]
    Tls {
        /// Host and port.
        host: String,
        /// What TLS said.
        error: String,
    },
    /// A proxy in between did not let the connection through.
    #[error("the proxy {proxy} did not connect to {host}: {reason}")]
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// Host and port behind it.
        host: String,
        /// What to do about it.
        reason: String,
        /// Whether another attempt may get through.
        retryable: bool,
    },
    /// The environment's proxy cannot be read.
    #[error(transparent)]
    ProxyVariable(#[from] ProxyError),
    /// There are no credentials to sign with.
    #[error("no credentials to sign the data channel with: {}", chain(.0))]
    Credentials(aws_credential_types::provider::error::CredentialsError),
    /// Signing failed.
    #[error("the request for the data channel cannot be signed: {0}")]
    Sign(String),
    /// The service refused the request.
    #[error("the service refused the data channel with HTTP {status}{}; the IAM action ssmmessages:OpenDataChannel must be allowed, the credentials still valid, and the clock right", shown(.text))]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the service said.
        text: String,
    },
    /// The peer does not speak websocket.
    #[error("{host} did not answer as a websocket: {reason}")]
    Handshake {
        /// Host and port.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// It took too long.
    #[error("{host} did not answer within {after:?}")]
    Timeout {
        /// Host and port.
        host: String,
        /// The limit that passed.
        after: Duration,
    },
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl ConnectError {
    /// Whether another attempt with the same settings may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Timeout { .. } | Self::Handshake { .. } => true,
            Self::Refused { status, .. } => is_passing(*status),
            Self::Proxy { retryable, .. } => *retryable,
            Self::Url(_)
            | Self::Tls { .. }
            | Self::ProxyVariable(_)
            | Self::Credentials(_)
            | Self::Sign(_) => false,
        }
    }
}

/// An answer that another attempt may not get again.
pub(crate) fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

fn shown(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

/// Opens websockets to the data channel.
#[derive(Debug)]
pub(crate) struct Connector {
    endpoint: StreamEndpoint,
    signer: Option<Signer>,
    timeout: Duration,
    proxy: Proxy,
    ca_bundle: Option<CaBundle>,
}

impl Connector {
    pub(crate) fn new(
        endpoint: StreamEndpoint,
        signer: Option<Signer>,
        timeout: Duration,
        proxy: Proxy,
        ca_bundle: Option<CaBundle>,
    ) -> Self {
        Self {
            endpoint,
            signer,
            timeout,
            proxy,
            ca_bundle,
        }
    }

    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Whether the URL brings its own signature.
    pub(crate) fn is_presigned(&self, stream_url: &str) -> bool {
        self.endpoint
            .resolve(stream_url)
            .is_ok_and(|url| is_presigned(&url))
    }

    /// Connects, upgrades and sends the first message, OpenDataChannel.
    pub(crate) async fn open(
        &self,
        stream_url: &str,
        open_data_channel: Zeroizing<String>,
    ) -> Result<WebSocket, ConnectError> {
        let url = self.endpoint.resolve(stream_url)?;
        let host = host_and_port(&url);
        let after = self.timeout;
        tokio::time::timeout(after, self.open_url(&url, &host, open_data_channel))
            .await
            .unwrap_or(Err(ConnectError::Timeout { host, after }))
    }

    async fn open_url(
        &self,
        url: &Url,
        host: &str,
        open_data_channel: Zeroizing<String>,
    ) -> Result<WebSocket, ConnectError> {
        let signed = match &self.signer {
            Some(signer) if !is_presigned(url) => signer.headers(url, &host_header(url)).await?,
            _ => Default::default(),
        };
        let io = dial::connect(url, &self.proxy, self.ca_bundle.as_ref()).await?;
        let key = generate_key();
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = origin_form(url)
            .parse()
            .map_err(|_| ConnectError::Handshake {
                host: host.to_owned(),
                reason: "the stream URL has no path".to_owned(),
            })?;
        let headers = request.headers_mut();
        *headers = signed;
        headers.insert(HOST, header_value(&host_header(url), host)?);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, header_value(&key, host)?);

        let (mut io, read) = upgrade(io, request, &key, host).await?;
        // The websocket library would log the request's and this message's secrets at its TRACE
        // level, so both go around it.
        io.write_all(&text_frame(&open_data_channel))
            .await
            .map_err(|error| ConnectError::Network {
                host: host.to_owned(),
                error,
            })?;
        let config = WebSocketConfig::default()
            .read_buffer_size(32 << 10)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let io = Quota::new(io);
        Ok(WebSocketStream::from_partially_read(io, read.into(), Role::Client, Some(config)).await)
    }
}

fn header_value(value: &str, host: &str) -> Result<HeaderValue, ConnectError> {
    HeaderValue::from_str(value).map_err(|_| bad_handshake(host, "the host is no header value"))
}

/// The opening handshake of RFC 6455, section 4.1. Returns the connection and what was read beyond
/// the answer.
async fn upgrade(
    io: Transport,
    request: Request<Empty<Bytes>>,
    key: &str,
    host: &str,
) -> Result<(Transport, Bytes), ConnectError> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| bad_handshake(host, error))?;
    // The connection must be driven while the exchange waits for it.
    let exchange = exchange(sender, request, key.to_owned(), host.to_owned());
    let (upgraded, _) = tokio::join!(exchange, connection.with_upgrades());
    let parts = upgraded?
        .downcast::<TokioIo<Transport>>()
        .map_err(|_| bad_handshake(host, "the connection was not handed back"))?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

async fn exchange(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    key: String,
    host: String,
) -> Result<Upgraded, ConnectError> {
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| bad_handshake(&host, error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let body = beginning(response.into_body()).await;
        return Err(ConnectError::Refused {
            status,
            text: printable(&body),
        });
    }
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accept.map(HeaderValue::as_bytes) != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(bad_handshake(&host, "Sec-WebSocket-Accept does not match"));
    }
    hyper::upgrade::on(response)
        .await
        .map_err(|error| bad_handshake(&host, error))
}

/// The first [`MAX_REFUSAL`] bytes of a body, or what came of it in time.
async fn beginning(mut body: Incoming) -> BytesMut {
    let mut beginning = BytesMut::new();
    let read = async {
        while beginning.len() < MAX_REFUSAL
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Ok(data) = frame.into_data() {
                let room = MAX_REFUSAL - beginning.len();
                beginning.extend_from_slice(data.get(..room).unwrap_or(&data));
            }
        }
    };
    let in_time = tokio::time::timeout(REFUSAL_TIMEOUT, read).await.is_ok();
    tracing::debug!(bytes = beginning.len(), in_time, "read a refusal");
    beginning
}

fn bad_handshake(host: &str, reason: impl ToString) -> ConnectError {
    ConnectError::Handshake {
        host: host.to_owned(),
        reason: reason.to_string(),
    }
}

fn text_frame(text: &str) -> Zeroizing<Vec<u8>> {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    let mut frame = Frame::message(payload, OpCode::Data(Data::Text), true);
    let mut mask = [0; 4];
    // Masking guards against confused proxies (RFC 6455, section 10.3), not against readers.
    if getrandom::fill(&mut mask).is_err() {
        mask = fastrand::u32(..).to_be_bytes();
    }
    frame.header_mut().mask = Some(mask);
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() + 14));
    // Writing to memory cannot fail.
    let _ = frame.format(&mut *bytes);
    bytes
}

fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect::<String>()
        .trim()
        .to_owned()
}

fn origin_form(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

pub(crate) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(crate) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or(443))
}
