//! The agent's multiplexed port: smux streams to TCP connections
//! (`agent/session/plugins/port/port_mux.go` @1c217c89).

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use ssm_smux::{Event, Keepalive, Mux, Read, Role, StreamId};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::channel::Taken;

/// What `io.Copy` reads at once.
const COPY: usize = 32 << 10;

/// All streams of one session.
#[derive(Debug, Clone)]
pub(crate) struct MuxPort {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    mux: Mux,
    wakers: BTreeMap<StreamId, [Option<Waker>; 2]>,
    session: Option<Waker>,
    accepted: mpsc::UnboundedSender<StreamId>,
    /// ConnectToPortError flags to be sent before the streams' FINs.
    refusals: u32,
    dead: bool,
}

impl MuxPort {
    pub(crate) fn start(
        destination: SocketAddr,
        dial_delay: Duration,
        keepalive: bool,
        now: Instant,
    ) -> Self {
        let mut config = ssm_smux::Config::default();
        config.keepalive = keepalive.then(Keepalive::default);
        let (accepted, to_dial) = mpsc::unbounded_channel();
        let shared = Shared {
            mux: Mux::new(Role::Server, config, now),
            wakers: BTreeMap::new(),
            session: None,
            accepted,
            refusals: 0,
            dead: false,
        };
        let port = Self {
            shared: Arc::new(Mutex::new(shared)),
        };
        tokio::spawn(dial(port.clone(), to_dial, destination, dial_delay));
        port
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The 4 MiB for all streams are used up: the agent stops reading.
    pub(crate) fn is_blocked(&self) -> bool {
        self.lock().mux.receive_paused()
    }

    pub(crate) fn output(&self, payload: Bytes, now: Instant) -> Taken {
        let mut shared = self.lock();
        if let Err(error) = shared.mux.handle(payload, now) {
            tracing::debug!(%error, "the client does not speak smux");
            shared.dead = true;
        }
        shared.dispatch();
        Taken::Yes
    }

    /// A flag that is due.
    pub(crate) fn take_refusal(&self) -> bool {
        let mut shared = self.lock();
        let due = shared.refusals > 0;
        shared.refusals = shared.refusals.saturating_sub(1);
        due
    }

    /// Appends up to `max` bytes for the client.
    pub(crate) fn read(&self, to: &mut BytesMut, max: usize) -> usize {
        let mut shared = self.lock();
        let read = shared.mux.poll_transmit(to, max);
        shared.dispatch();
        read
    }

    pub(crate) fn park(&self, cx: &Context<'_>) {
        self.lock().session = Some(cx.waker().clone());
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lock().mux.poll_timeout().map(|(at, _)| at)
    }

    pub(crate) fn handle_timeout(&self, now: Instant) {
        let mut shared = self.lock();
        if shared.mux.handle_timeout(now).is_err() {
            shared.dead = true;
        }
        shared.dispatch();
    }

    /// The smux session failed, and with it the agent's session.
    pub(crate) fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// The agent's session ends: every connection is closed.
    pub(crate) fn stop(&self) {
        let mut shared = self.lock();
        shared.dead = true;
        for waker in shared
            .wakers
            .values_mut()
            .flatten()
            .filter_map(Option::take)
        {
            waker.wake();
        }
        shared.accepted = mpsc::unbounded_channel().0;
    }
}

impl Shared {
    fn dispatch(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            let (id, which) = match event {
                Event::Opened(id) => {
                    let _ = self.mux.accept();
                    let _ = self.accepted.send(id);
                    continue;
                }
                Event::Readable(id) | Event::Finished(id) => (id, 0),
                Event::Writable(id) => (id, 1),
                _ => continue,
            };
            let wakers = self
                .wakers
                .get_mut(&id)
                .and_then(|wakers| wakers.get_mut(which));
            if let Some(waker) = wakers.and_then(Option::take) {
                waker.wake();
            }
        }
    }

    fn wake_session(&mut self) {
        if let Some(waker) = self.session.take() {
            waker.wake();
        }
    }
}

/// Connects to the destination for each stream, one after the other, in line.
async fn dial(
    port: MuxPort,
    mut accepted: mpsc::UnboundedReceiver<StreamId>,
    destination: SocketAddr,
    delay: Duration,
) {
    let mut connections = JoinSet::new();
    while let Some(id) = accepted.recv().await {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match TcpStream::connect(destination).await {
            Ok(tcp) => {
                let _ = tcp.set_nodelay(true);
                connections.spawn(serve(port.clone(), id, tcp));
            }
            Err(error) => {
                tracing::debug!(%error, %destination, "the agent cannot connect");
                let mut shared = port.lock();
                shared.refusals += 1;
                shared.mux.close(id);
                shared.wake_session();
            }
        }
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
}

/// Copies both ways until either side ends, which ends both.
async fn serve(port: MuxPort, id: StreamId, mut tcp: TcpStream) {
    let mut writing = Bytes::new();
    let mut finished = false;
    let copied = poll_fn(|cx| {
        if let Poll::Ready(done) = poll_to_tcp(&port, id, &mut tcp, &mut writing, &mut finished, cx)
        {
            return Poll::Ready(done);
        }
        poll_from_tcp(&port, id, &mut tcp, cx)
    })
    .await;
    if let Err(error) = copied {
        tracing::debug!(%error, stream = %id, "the agent's connection failed");
    }
    let mut shared = port.lock();
    shared.mux.close(id);
    shared.wakers.remove(&id);
    shared.wake_session();
}

fn poll_to_tcp(
    port: &MuxPort,
    id: StreamId,
    tcp: &mut TcpStream,
    writing: &mut Bytes,
    finished: &mut bool,
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
        if *finished {
            return Poll::Ready(Ok(()));
        }
        let mut shared = port.lock();
        if shared.dead {
            return Poll::Ready(Ok(()));
        }
        let blocked = shared.mux.receive_paused();
        match shared.mux.read(id) {
            Read::Data(data) => *writing = data,
            Read::Blocked => {
                shared.wakers.entry(id).or_default()[0] = Some(cx.waker().clone());
                return Poll::Pending;
            }
            _ => *finished = true,
        }
        if blocked && !shared.mux.receive_paused() {
            shared.wake_session();
        }
    }
}

fn poll_from_tcp(
    port: &MuxPort,
    id: StreamId,
    tcp: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let room = {
            let mut shared = port.lock();
            match shared.mux.writable(id) {
                Some(0) => {
                    shared.wakers.entry(id).or_default()[1] = Some(cx.waker().clone());
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
        buffer.truncate(length);
        let mut shared = port.lock();
        let _ = shared.mux.write(id, buffer.freeze());
        shared.wake_session();
    }
}
