//! The data channel's websocket: the signed request, the upgrade, and OpenDataChannel.

mod quota;
#[cfg(test)]
mod tests;

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
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;
use zeroize::Zeroizing;

use super::dial::{self, Connection};
use super::error::ConnectError;
use super::proxy::Proxy;
use super::signer::Signer;
use super::stream_url::{StreamEndpoint, is_presigned};
use super::tls::CaBundle;
use super::url::{host_and_port, host_header};
use quota::Quota;

/// Longest refusal text taken from a service's HTTP answer.
const MAX_REFUSAL: usize = 4096;
/// Time allowed for that text: the status matters more, and must not be lost to the time-out of the
/// whole attempt because a body stalls.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum message size. The agent's messages are 1024 bytes, and a service text is short.
const MAX_MESSAGE: usize = 1 << 20;
/// Bytes written to the websocket at which it writes to the socket unasked. Less is written in one piece
/// when it is flushed.
pub(crate) const WRITE_BUFFER: usize = 96 << 10;

/// Maximum bytes that wait for the socket: beyond it pongs do not pile up, since the latest replaces the
/// one before. It leaves room for other messages.
const MAX_WRITE_BUFFER: usize = 4 * WRITE_BUFFER;

pub(crate) type WebSocket = WebSocketStream<Quota<Connection>>;

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

    /// Whether the URL contains its own signature.
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
            Some(signer) => signer.headers(url, &host_header(url)).await?,
            None => Default::default(),
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

/// The opening handshake of RFC 6455, section 4.1. Returns the connection and the bytes read beyond
/// the answer.
async fn upgrade(
    io: Connection,
    request: Request<Empty<Bytes>>,
    key: &str,
    host: &str,
) -> Result<(Connection, Bytes), ConnectError> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| bad_handshake(host, error))?;
    // The connection must be driven while the exchange waits for it.
    let exchange = exchange(sender, request, key.to_owned(), host.to_owned());
    let (upgraded, _) = tokio::join!(exchange, connection.with_upgrades());
    let parts = upgraded?
        .downcast::<TokioIo<Connection>>()
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

/// The first [`MAX_REFUSAL`] bytes of a body, or what arrived in time.
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
