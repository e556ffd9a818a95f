//! The relay against a service played by hand: what it says, and what becomes of the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_protocol::{Event, Session, SessionConfig};
use ssm_relay::{
    ApiError, BoxFuture, End, Relay, RelayConfig, SessionApi, StreamEndpoint, Ticket, Token,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

const PATIENCE: Duration = Duration::from_secs(60);

struct Api {
    url: String,
    starts_more: bool,
    started: AtomicUsize,
    terminated: AtomicUsize,
}

impl SessionApi for Api {
    fn start(&self) -> BoxFuture<'_, Result<Ticket, ApiError>> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            Ok(Ticket {
                session_id: format!("session-{number}"),
                stream_url: self.url.clone(),
                token: Token::new("token"),
            })
        })
    }

    fn resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Ticket>, ApiError>> {
        Box::pin(async { Ok(None) })
    }

    fn terminate<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        self.terminated.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }

    fn starts_more(&self) -> bool {
        self.starts_more
    }
}

async fn service(starts_more: bool) -> (TcpListener, Arc<Api>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let api = Api {
        url: format!("ws://{address}/v1/data-channel/s"),
        starts_more,
        started: AtomicUsize::new(0),
        terminated: AtomicUsize::new(0),
    };
    (listener, Arc::new(api))
}

async fn relay(api: Arc<Api>) -> Relay {
    let config = RelayConfig {
        endpoint: StreamEndpoint::aws().or_loopback(),
        ..RelayConfig::default()
    };
    Relay::open(config, api, None)
        .await
        .expect("StartSession answers")
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

/// An agent of this version on one websocket.
struct Agent {
    websocket: WebSocketStream<TcpStream>,
    session: Session,
}

impl Agent {
    async fn accept(listener: &TcpListener, version: &str) -> Self {
        let (tcp, _) = listener.accept().await.expect("a connection");
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
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let now = tokio::time::Instant::now().into_std();
        let request = HandshakeRequest::port(version, &properties);
        let unix = Duration::from_secs(1_795_000_000);
        let mut session = Session::agent(SessionConfig::default(), request, [1; 32], now, unix);
        session.connected(now);
        Self { websocket, session }
    }

    /// Runs until the agent has something to tell; `None` when the client is gone.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let now = tokio::time::Instant::now().into_std();
            while let Some(message) = self.session.poll_transmit(now) {
                self.websocket.send(Frame::Binary(message)).await.ok()?;
            }
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            match self.websocket.next().await?.ok()? {
                Frame::Binary(data) => self.session.handle_message(data, now).expect("sound"),
                Frame::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn ready(&mut self) {
        let event = soon("the handshake", self.event()).await;
        assert!(matches!(event, Some(Event::Ready(_))), "{event:?}");
    }

    fn send(&mut self, data: &[u8]) {
        let now = tokio::time::Instant::now().into_std();
        self.session.send(data, now).expect("the window is open");
    }
}

/// A service that does not close the websocket after its last word is not waited for.
#[tokio::test(start_paused = true)]
async fn channel_closed_ends_the_session_at_once() {
    let (listener, api) = service(true).await;
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    relay.ready().await.expect("ready");
    let started = tokio::time::Instant::now();
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
        payload: r#"{"Output":"idle for too long"}"#.into(),
    };
    agent
        .websocket
        .send(Frame::Binary(closed.encode()))
        .await
        .expect("taken");
    let ended = tokio::spawn(async move { relay.closed().await });
    // Answers the closing handshake.
    while agent.event().await.is_some() {}
    let end = soon("the end", ended).await.expect("no panic");
    assert!(
        matches!(&end, End::ByService { output } if output == "idle for too long"),
        "{end:?}"
    );
    // Virtual time: it passes only while everybody waits.
    assert_eq!(started.elapsed().as_secs(), 0);
    assert_eq!(
        api.terminated.load(Ordering::SeqCst),
        0,
        "the service said so itself"
    );
}

/// Where no further session can be started, an old agent's session serves one connection after
/// the other, and late bytes of one never reach the next.
#[tokio::test]
async fn a_session_that_must_be_reused_serves_one_connection_after_the_other() {
    let (listener, api) = service(false).await;
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.0.196.0").await;
    agent.ready().await;

    let mut first = soon("the first", relay.connect()).await.expect("opens");
    first.write_all(b"one").await.expect("taken");
    let event = soon("its data", agent.event()).await;
    assert!(matches!(event, Some(Event::Data(data)) if &data[..] == b"one"));
    let second = tokio::spawn(async move {
        let stream = relay.connect().await;
        (relay, stream)
    });
    drop(first);
    let event = soon("the disconnection", agent.event()).await;
    assert!(matches!(event, Some(Event::Flag(_))), "{event:?}");
    agent.send(b"late bytes of the first");
    let (relay, second) = soon("the second", second).await.expect("no panic");
    let mut second = second.expect("opens");
    second.write_all(b"two").await.expect("taken");
    let event = soon("its data", agent.event()).await;
    assert!(matches!(event, Some(Event::Data(data)) if &data[..] == b"two"));
    agent.send(b"answer");
    let serving = tokio::spawn(async move { while agent.event().await.is_some() {} });
    let mut answer = [0; 6];
    soon("the answer", second.read_exact(&mut answer))
        .await
        .expect("arrives");
    assert_eq!(&answer, b"answer");
    assert_eq!(api.started.load(Ordering::SeqCst), 1);
    drop(second);
    soon("the end", relay.close()).await;
    assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
    soon("the agent", serving).await.expect("no panic");
}
