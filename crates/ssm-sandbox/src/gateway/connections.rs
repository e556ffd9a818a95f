//! The agent's connections, as sockets.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::agent::{Agent, ConnectionId, ToDestination};

/// What `io.Copy` reads at once.
const COPY: usize = 32 << 10;

/// An agent and the tasks that carry its connections, which end when this is dropped.
pub(super) struct Connections {
    shared: Arc<Mutex<Shared>>,
    tasks: JoinSet<()>,
    destination: SocketAddr,
    dial_delay: Duration,
}

pub(super) struct Shared {
    /// `None` once it is gone.
    pub(super) agent: Option<Agent>,
    readers: BTreeMap<ConnectionId, Waker>,
    writers: BTreeMap<ConnectionId, Waker>,
    session: Option<Waker>,
}

impl Connections {
    pub(super) fn new(agent: Agent, destination: SocketAddr, dial_delay: Duration) -> Self {
        let shared = Shared {
            agent: Some(agent),
            readers: BTreeMap::new(),
            writers: BTreeMap::new(),
            session: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            tasks: JoinSet::new(),
            destination,
            dial_delay,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// To be called after every change of the agent: makes its connections and wakes those that it
    /// has something for. `cx` is woken when a connection changed the agent.
    pub(super) fn dispatch(&mut self, cx: &Context<'_>) {
        while self.tasks.try_join_next().is_some() {}
        let mut shared = lock(&self.shared);
        shared.session = Some(cx.waker().clone());
        let shared = &mut *shared;
        let Some(agent) = &mut shared.agent else {
            return;
        };
        while let Some(id) = agent.poll_dial() {
            let task = connection(self.shared.clone(), id, self.destination, self.dial_delay);
            self.tasks.spawn(task);
        }
        while let Some(id) = agent.poll_ready() {
            if let Some(waker) = shared.readers.remove(&id) {
                waker.wake();
            }
        }
        // All connections share one buffer. They are woken once half of it is free, not each time.
        let room = |id: &ConnectionId| agent.room(*id) != Some(0);
        if shared.writers.keys().next().is_some_and(room) {
            for waker in std::mem::take(&mut shared.writers).into_values() {
                waker.wake();
            }
        }
    }

    /// The agent is gone, and its connections with it.
    pub(super) fn stop(&mut self) {
        self.lock().agent = None;
        self.tasks.abort_all();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wake_session(&mut self) {
        if let Some(waker) = self.session.take() {
            waker.wake();
        }
    }
}

/// Makes one connection and copies both ways until either side ends, which ends both.
async fn connection(
    shared: Arc<Mutex<Shared>>,
    id: ConnectionId,
    destination: SocketAddr,
    delay: Duration,
) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let connected = TcpStream::connect(destination).await;
    {
        let mut shared = lock(&shared);
        let outcome = connected.as_ref().map(drop).map_err(ToString::to_string);
        let now = tokio::time::Instant::now().into_std();
        if let Some(agent) = &mut shared.agent {
            agent.dialled(id, outcome, now);
        }
        shared.wake_session();
    }
    let mut tcp = match connected {
        Ok(tcp) => tcp,
        Err(error) => {
            tracing::debug!(%error, %destination, "the agent cannot connect");
            return;
        }
    };
    let _ = tcp.set_nodelay(true);
    let mut writing = Bytes::new();
    let copied = poll_fn(|cx| {
        if let Poll::Ready(done) = poll_to_tcp(&shared, id, &mut tcp, &mut writing, cx) {
            return Poll::Ready(done);
        }
        poll_from_tcp(&shared, id, &mut tcp, cx)
    })
    .await;
    if let Err(error) = copied {
        tracing::debug!(%error, connection = id.0, "the agent's connection failed");
    }
    drop(tcp);
    let mut shared = lock(&shared);
    shared.readers.remove(&id);
    shared.writers.remove(&id);
    if let Some(agent) = &mut shared.agent {
        agent.closed(id);
    }
    shared.wake_session();
}

fn poll_to_tcp(
    shared: &Mutex<Shared>,
    id: ConnectionId,
    tcp: &mut TcpStream,
    writing: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        while !writing.is_empty() {
            match Pin::new(&mut *tcp).poll_write(cx, writing) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => writing.advance(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        let mut shared = lock(shared);
        let Some(agent) = &mut shared.agent else {
            return Poll::Ready(Ok(()));
        };
        let blocked = agent.is_blocked();
        let next = agent.next_for_destination(id);
        if blocked && !agent.is_blocked() {
            shared.wake_session();
        }
        match next {
            ToDestination::Data(data) => *writing = data,
            ToDestination::Nothing => {
                shared.readers.insert(id, cx.waker().clone());
                return Poll::Pending;
            }
            ToDestination::Close => return Poll::Ready(Ok(())),
        }
    }
}

fn poll_from_tcp(
    shared: &Mutex<Shared>,
    id: ConnectionId,
    tcp: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let room = {
            let mut shared = lock(shared);
            match shared.agent.as_ref().and_then(|agent| agent.room(id)) {
                Some(0) => {
                    shared.writers.insert(id, cx.waker().clone());
                    return Poll::Pending;
                }
                Some(room) => room.min(COPY),
                None => return Poll::Pending,
            }
        };
        let mut buffer = BytesMut::zeroed(room);
        let mut read = ReadBuf::new(&mut buffer);
        match Pin::new(&mut *tcp).poll_read(cx, &mut read) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let length = read.filled().len();
        if length == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut shared = lock(shared);
        if let Some(agent) = &mut shared.agent {
            agent.destination_sent(id, buffer.get(..length).unwrap_or_default());
        }
        shared.wake_session();
    }
}
