//! Another state machine than a port forward, carried by a session.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use ssm_protocol::payload::Token;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{SessionContext, SessionEvent, SessionHandle, SessionOptions};
use crate::api::{ApiError, BoxFuture, SessionApi, SessionConnection};
use crate::data_channel::{ChannelEvent, DataChannel};
use crate::end::End;
use crate::net::proxy::Proxy;
use crate::net::stream_url::StreamEndpoint;

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends every message back. "hello" makes it ready, "bye" ends the session, and what is not answered
/// when a websocket is lost is answered on the next one.
#[derive(Default)]
struct Echo {
    ready: bool,
    answers: VecDeque<Bytes>,
    events: VecDeque<ChannelEvent<Bytes>>,
    handled: u64,
    ended: Arc<Notify>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the echo cannot repeat this")]
struct NotEchoed;

impl DataChannel for Echo {
    type Event = Bytes;
    type Error = NotEchoed;

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(7)
    }

    fn connected(&mut self, _: Instant) {}

    fn disconnected(&mut self, _: Instant) -> Result<(), NotEchoed> {
        Ok(())
    }

    fn handle_message(&mut self, message: Bytes, _: Instant) -> Result<(), NotEchoed> {
        self.handled += 1;
        match &*message {
            b"hello" => self.ready = true,
            b"bye" => self.events.push_back(ChannelEvent::Closed {
                output: String::new(),
            }),
            b"silence" => return Err(NotEchoed),
            _ => {
                let event = ChannelEvent::Application(message.clone());
                self.events.push_back(event);
                self.answers.push_back(message);
            }
        }
        Ok(())
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<Bytes> {
        self.answers.pop_front()
    }

    fn poll_event(&mut self) -> Option<ChannelEvent<Bytes>> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) -> Result<(), NotEchoed> {
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn progress(&self) -> u64 {
        self.handled
    }

    fn receive_paused(&self) -> bool {
        false
    }

    fn acknowledgements_wait(&self) -> bool {
        false
    }

    fn is_drained(&self) -> bool {
        self.answers.is_empty()
    }

    fn terminate(&mut self, _: Instant) {
        self.answers.push_back(Bytes::from_static(b"terminated"));
    }

    fn ended(&mut self) {
        self.ended.notify_one();
    }
}

struct Api {
    url: String,
    resumed: AtomicUsize,
    terminated: AtomicUsize,
}

impl Api {
    fn connection(&self) -> SessionConnection {
        SessionConnection {
            session_id: "echo".to_owned(),
            stream_url: self.url.clone(),
            token: Token::new("token"),
        }
    }
}

impl SessionApi for Api {
    type Error = Arc<io::Error>;

    fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<Self::Error>>> {
        Box::pin(async { Ok(self.connection()) })
    }

    fn resume<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<Self::Error>>> {
        self.resumed.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Some(self.connection())) })
    }

    fn terminate<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
        self.terminated.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }
}

type Session = SessionHandle<Echo, Arc<io::Error>>;
type Events = Arc<Mutex<Vec<SessionEvent<Bytes>>>>;

/// A session that carries an echo, and the service that it connects to.
struct Service {
    listener: TcpListener,
    api: Arc<Api>,
    closing: CancellationToken,
    events: Events,
}

impl Service {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let api = Arc::new(Api {
            url: format!("ws://{address}/v1/data-channel/echo"),
            resumed: AtomicUsize::new(0),
            terminated: AtomicUsize::new(0),
        });
        Self {
            listener,
            api,
            closing: CancellationToken::new(),
            events: Events::default(),
        }
    }

    async fn session(&self) -> Session {
        let options = SessionOptions {
            endpoint: StreamEndpoint::aws().or_loopback(),
            proxy: Proxy::none(),
            ..SessionOptions::default()
        };
        let context = SessionContext::new(self.api.clone() as Arc<_>, options);
        let started = context.start().await.expect("StartSession answers");
        let events = self.events.clone();
        started.run(Echo::default(), self.closing.child_token(), move |event| {
            events.lock().expect("unpoisoned").push(event);
        })
    }

    /// The session's next websocket, OpenDataChannel read.
    async fn accept(&self) -> WebSocketStream<TcpStream> {
        let (tcp, _) = soon(self.listener.accept()).await.expect("a connection");
        let mut websocket = tokio_tungstenite::accept_async(tcp)
            .await
            .expect("an upgrade");
        let first = next(&mut websocket).await;
        assert!(String::from_utf8_lossy(&first).contains("\"TokenValue\":\"token\""));
        websocket
    }

    fn terminated(&self) -> usize {
        self.api.terminated.load(Ordering::SeqCst)
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

async fn send(websocket: &mut WebSocketStream<TcpStream>, text: &'static str) {
    let message = Message::binary(text.as_bytes());
    websocket.send(message).await.expect("taken");
}

/// The next message with data.
async fn next(websocket: &mut WebSocketStream<TcpStream>) -> Bytes {
    loop {
        let message = soon(websocket.next()).await.expect("one").expect("sound");
        match message {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message.into_data(),
        }
    }
}

#[tokio::test]
async fn any_state_machine_is_carried_and_closed_in_order() {
    let service = Service::new().await;
    let session = service.session().await;
    let mut websocket = service.accept().await;
    send(&mut websocket, "hello").await;
    soon(session.ready()).await.expect("ready");
    send(&mut websocket, "marco").await;
    assert_eq!(next(&mut websocket).await, "marco");
    let events = service.events.lock().expect("unpoisoned").clone();
    assert_eq!(
        events,
        [SessionEvent::Channel(Bytes::from_static(b"marco"))]
    );

    service.closing.cancel();
    assert_eq!(next(&mut websocket).await, "terminated");
    assert!(matches!(soon(session.ended()).await, End::Closed));
    assert_eq!(service.terminated(), 1);
}

#[tokio::test]
async fn a_lost_websocket_is_resumed_for_any_state_machine() {
    let service = Service::new().await;
    let session = service.session().await;
    let mut websocket = service.accept().await;
    send(&mut websocket, "hello").await;
    soon(session.ready()).await.expect("ready");
    drop(websocket);

    let mut websocket = service.accept().await;
    send(&mut websocket, "marco").await;
    assert_eq!(next(&mut websocket).await, "marco");
    assert_eq!(service.api.resumed.load(Ordering::SeqCst), 1);
    let events = service.events.lock().expect("unpoisoned").clone();
    assert!(
        matches!(
            &*events,
            [
                SessionEvent::Interrupted { .. },
                SessionEvent::Resumed { .. },
                SessionEvent::Channel(_)
            ]
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn the_state_machine_learns_of_the_end_and_reads_its_reason() {
    let service = Service::new().await;
    let session = service.session().await;
    let ended = session.state().lock().ended.clone();
    let mut websocket = service.accept().await;
    send(&mut websocket, "hello").await;
    send(&mut websocket, "bye").await;
    soon(ended.notified()).await;
    let end = session.state().end().expect("it ended");
    assert!(matches!(end, End::ByService { .. }), "{end:?}");
    assert!(matches!(soon(session.ended()).await, End::ByService { .. }));
    assert_eq!(service.terminated(), 0, "the service ended it itself");
}

#[tokio::test]
async fn a_state_machines_error_keeps_its_type_and_ends_the_session() {
    let service = Service::new().await;
    let session = service.session().await;
    let mut websocket = service.accept().await;
    send(&mut websocket, "silence").await;
    match soon(session.ended()).await {
        End::Protocol(error) => assert_eq!(error, NotEchoed),
        other => panic!("{other:?}"),
    }
    assert_eq!(service.terminated(), 1);
}

#[tokio::test]
async fn a_session_started_under_a_cancelled_token_is_terminated() {
    let service = Service::new().await;
    service.closing.cancel();
    let session = service.session().await;
    assert!(matches!(soon(session.ended()).await, End::Closed));
    assert_eq!(service.terminated(), 1);
}
