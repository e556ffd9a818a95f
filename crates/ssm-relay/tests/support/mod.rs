//! A hand-played service: its API as functions, its gateway as a listener, its agent as our own
//! state machine in the agent's role.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_protocol::{Session, SessionConfig, SessionEvent};
use ssm_relay::{
    ApiError, BoxFuture, Events, RelayConfig, SessionApi, SessionConnection, StreamEndpoint, Token,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const AGENT: &str = "3.3.4851.0";

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFailed(&'static str);

impl From<&'static str> for CallFailed {
    fn from(why: &'static str) -> Self {
        Self(why)
    }
}

impl std::fmt::Display for CallFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for CallFailed {}

/// A relay whose calls fail with [`CallFailed`].
pub(crate) type Relay = ssm_relay::Relay<CallFailed>;

/// ResumeSession's answer to the call with this number, from 0.
pub(crate) type Resume = fn(usize) -> BoxFuture<'static, Answer>;
/// A new connection, none, or an error.
pub(crate) type Answer = Result<bool, ApiError<CallFailed>>;

pub(crate) struct Api {
    pub(crate) url: String,
    /// The URL in ResumeSession's answer, where it is another one.
    pub(crate) resume_url: std::sync::Mutex<Option<String>>,
    pub(crate) can_start_more: bool,
    pub(crate) resume: Resume,
    /// Whether StartSession waits for `allowed`.
    pub(crate) start_held: AtomicBool,
    pub(crate) allowed: tokio::sync::Notify,
    /// Whether TerminateSession never answers.
    pub(crate) terminate_hangs: AtomicBool,
    pub(crate) started: AtomicUsize,
    pub(crate) resumed: AtomicUsize,
    pub(crate) terminated: AtomicUsize,
    /// The names of the threads that called TerminateSession.
    pub(crate) terminated_on: std::sync::Mutex<Vec<Option<String>>>,
}

impl Api {
    fn connection(&self, number: usize) -> SessionConnection {
        SessionConnection {
            session_id: format!("session-{number}"),
            stream_url: self.url.clone(),
            token: Token::new("token"),
        }
    }
}

impl SessionApi for Api {
    type Error = CallFailed;

    fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<CallFailed>>> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if self.start_held.load(Ordering::SeqCst) {
                self.allowed.notified().await;
            }
            Ok(self.connection(number))
        })
    }

    fn resume<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<CallFailed>>> {
        let number = self.resumed.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let mut connection = self.connection(0);
            if let Some(url) = self.resume_url.lock().expect("no panic").clone() {
                connection.stream_url = url;
            }
            Ok((self.resume)(number).await?.then_some(connection))
        })
    }

    fn terminate<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ApiError<CallFailed>>> {
        self.terminated.fetch_add(1, Ordering::SeqCst);
        let thread = std::thread::current().name().map(str::to_owned);
        self.terminated_on.lock().expect("unpoisoned").push(thread);
        Box::pin(async {
            if self.terminate_hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }

    fn can_start_more(&self) -> bool {
        self.can_start_more
    }
}

pub(crate) fn gone(_: usize) -> BoxFuture<'static, Answer> {
    Box::pin(async { Ok(false) })
}

pub(crate) fn works(_: usize) -> BoxFuture<'static, Answer> {
    Box::pin(async { Ok(true) })
}

pub(crate) async fn service(can_start_more: bool) -> (TcpListener, Arc<Api>) {
    let (listener, api) = service_with(gone).await;
    let api = Api {
        can_start_more,
        ..api
    };
    (listener, Arc::new(api))
}

pub(crate) async fn service_with(resume: Resume) -> (TcpListener, Api) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let api = Api {
        url: format!("ws://{address}/v1/data-channel/s"),
        resume_url: std::sync::Mutex::new(None),
        can_start_more: true,
        resume,
        start_held: AtomicBool::new(false),
        allowed: tokio::sync::Notify::new(),
        terminate_hangs: AtomicBool::new(false),
        started: AtomicUsize::new(0),
        resumed: AtomicUsize::new(0),
        terminated: AtomicUsize::new(0),
        terminated_on: Default::default(),
    };
    (listener, api)
}

pub(crate) fn config() -> RelayConfig {
    let mut config = RelayConfig::default();
    config.endpoint = StreamEndpoint::aws().or_loopback();
    config
}

pub(crate) async fn relay(api: Arc<Api>) -> Relay {
    relay_with(config(), api).await
}

pub(crate) async fn relay_with(config: RelayConfig, api: Arc<Api>) -> Relay {
    Relay::open(config, api, None)
        .await
        .expect("StartSession answers")
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(PATIENCE, what, future).await
}

pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

/// The first event that `wanted` picks; earlier ones are skipped.
pub(crate) async fn event<T>(
    events: &mut Events,
    what: &str,
    wanted: impl Fn(&ssm_relay::Event) -> Option<T>,
) -> T {
    soon(what, async {
        while let Some(event) = events.next().await {
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        panic!("the events ended before {what}");
    })
    .await
}

/// An agent of a given version, on one websocket after the other.
pub(crate) struct Agent {
    pub(crate) websocket: WebSocketStream<TcpStream>,
    pub(crate) session: Session,
}

impl Agent {
    pub(crate) async fn accept(listener: &TcpListener, version: &str) -> Self {
        let websocket = accept(listener).await;
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let now = tokio::time::Instant::now().into_std();
        let request = HandshakeRequest::port(version, &properties);
        let unix = Duration::from_secs(1_795_000_000);
        let mut session = Session::agent(SessionConfig::default(), request, [1; 32], now, unix);
        session.connected(now);
        Self { websocket, session }
    }

    /// The client comes back.
    pub(crate) async fn accept_again(&mut self, listener: &TcpListener) {
        self.accept_again_within(listener, PATIENCE).await;
    }

    /// The client comes back after no longer than this.
    pub(crate) async fn accept_again_within(&mut self, listener: &TcpListener, limit: Duration) {
        self.session.disconnected();
        self.websocket = accept_within(listener, limit).await;
        self.session
            .connected(tokio::time::Instant::now().into_std());
    }

    /// Runs until the agent reports an event; `None` when the client is gone.
    pub(crate) async fn event(&mut self) -> Option<SessionEvent> {
        loop {
            self.transmit().await?;
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            self.listen().await?;
        }
    }

    /// Runs until everything that was sent is acknowledged.
    pub(crate) async fn acknowledged(&mut self) {
        while !self.session.is_delivered() {
            let heard = async { self.transmit().await.and(self.listen().await) };
            heard.await.expect("the client is there");
        }
    }

    async fn transmit(&mut self) -> Option<()> {
        let now = tokio::time::Instant::now().into_std();
        while let Some(message) = self.session.poll_transmit(now) {
            self.websocket.send(Frame::Binary(message)).await.ok()?;
        }
        Some(())
    }

    async fn listen(&mut self) -> Option<()> {
        let message = self.websocket.next().await?.ok()?;
        let now = tokio::time::Instant::now().into_std();
        match message {
            Frame::Binary(data) => self.session.handle_message(data, now).expect("sound"),
            Frame::Close(_) => return None,
            _ => {}
        }
        Some(())
    }

    /// Runs until the client's data is here, or it is gone.
    pub(crate) async fn data(&mut self) -> Option<bytes::Bytes> {
        loop {
            if let SessionEvent::Data(data) = self.event().await? {
                return Some(data);
            }
        }
    }

    /// Runs until a message with these bytes arrived.
    pub(crate) async fn received(&mut self, bytes: &[u8]) {
        soon("the data", async {
            while let Some(data) = self.data().await {
                if data.windows(bytes.len()).any(|at| at == bytes) {
                    return;
                }
            }
            panic!("the client is gone");
        })
        .await;
    }

    /// Runs until the client is gone.
    pub(crate) async fn serve(&mut self) {
        while self.event().await.is_some() {}
    }

    /// Reads to the end: whether the client sent a close frame.
    pub(crate) async fn told_of_the_close(&mut self) -> bool {
        while let Some(Ok(frame)) = self.websocket.next().await {
            if matches!(frame, Frame::Close(_)) {
                return true;
            }
        }
        false
    }

    pub(crate) async fn ready(&mut self) {
        let event = soon("the handshake", self.event()).await;
        assert!(matches!(event, Some(SessionEvent::Ready(_))), "{event:?}");
    }

    pub(crate) fn send(&mut self, data: &[u8]) {
        let now = tokio::time::Instant::now().into_std();
        self.session.send(data, now).expect("the window is open");
    }

    /// The service ends the session with this text.
    pub(crate) async fn close_channel(&mut self, output: &str) {
        let closed = Message {
            header: Header {
                message_type: MessageType::ChannelClosed,
                schema_version: 1,
                created_date: Duration::from_secs(1),
                sequence_number: SequenceNumber(0),
                flags: Flags::NONE,
                message_id: MessageId::default(),
                payload_type: PayloadType::None,
            },
            payload: format!(r#"{{"Output":"{output}"}}"#).into_bytes().into(),
        };
        let sent = self.websocket.send(Frame::Binary(closed.encode())).await;
        sent.expect("taken");
    }
}

/// A client's websocket, its first message read.
pub(crate) async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    accept_within(listener, PATIENCE).await
}

async fn accept_within(listener: &TcpListener, limit: Duration) -> WebSocketStream<TcpStream> {
    let (tcp, _) = within(limit, "a client", listener.accept())
        .await
        .expect("a connection");
    // Data that the system holds back is late in virtual time.
    tcp.set_nodelay(true).expect("a TCP socket");
    let mut websocket = tokio_tungstenite::accept_async(tcp)
        .await
        .expect("an upgrade");
    let first = websocket.next().await.expect("a message").expect("sound");
    assert!(
        first
            .to_text()
            .expect("text")
            .contains("\"TokenValue\":\"token\"")
    );
    websocket
}
