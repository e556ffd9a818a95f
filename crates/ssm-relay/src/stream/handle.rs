//! One stream of a session.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ssm_forward::{StreamId, StreamRead};
use ssm_session::{CallError, SessionGuard};

use super::channel::{ForwardChannel, State};
use crate::error::End;
use crate::stats::Counters;

/// How long a stream that was opened in process waits for its first bytes before the agent learns of
/// it without them.
const FIRST_WRITE: Duration = Duration::from_millis(1);

/// How a stream ended, when not in order.
#[derive(Debug, Clone)]
pub(crate) enum StreamError<A> {
    Refused,
    /// The agent may have passed on bytes twice.
    Doubled,
    Reset,
    Ended(End<A>),
}

impl<A: CallError> From<StreamError<A>> for io::Error {
    fn from(error: StreamError<A>) -> Self {
        match error {
            StreamError::Refused => io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the agent could not connect to the destination",
            ),
            StreamError::Doubled => io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the agent's own websocket broke, and the agent may have passed on bytes twice",
            ),
            StreamError::Reset => {
                io::Error::new(io::ErrorKind::ConnectionReset, "the stream was cut off")
            }
            StreamError::Ended(end) => io::Error::new(
                io::ErrorKind::ConnectionReset,
                format!("the session ended: {end}"),
            ),
        }
    }
}

/// One stream of a session. Dropping it sends what was written, then ends it.
#[derive(Debug)]
pub(crate) struct StreamHandle<A: CallError> {
    session: Arc<State<A>>,
    counters: Arc<Counters>,
    id: StreamId,
    /// The session knows of it.
    announced: bool,
    sent: u64,
    received: u64,
}

/// A connection that waits for the session's only one to end.
pub(crate) struct WaitingConnection<'a, A: CallError> {
    session: &'a State<A>,
}

impl<'a, A: CallError> WaitingConnection<'a, A> {
    /// Counts a connection that waits until the session may carry it, until this is dropped.
    pub(crate) fn new(session: &'a State<A>) -> Self {
        change_waiting(session, |waiting| waiting.saturating_add(1));
        Self { session }
    }
}

impl<A: CallError> Drop for WaitingConnection<'_, A> {
    fn drop(&mut self) {
        change_waiting(self.session, |waiting| waiting.saturating_sub(1));
    }
}

fn change_waiting<A: CallError>(session: &State<A>, change: impl FnOnce(usize) -> usize) {
    let mut channel = session.lock();
    channel.change_waiting(change);
    channel.wake();
}

impl<A: CallError> StreamHandle<A> {
    /// Opens a stream; `None` when the session takes none now. The agent is told with the first
    /// bytes, or once [`poll_read`](Self::poll_read) finds nothing to read.
    pub(crate) fn open(session: &Arc<State<A>>, counters: Arc<Counters>) -> Option<Self> {
        let mut channel = session.lock();
        if session.is_closing() || session.end().is_some() {
            return None;
        }
        let id = channel.open()?;
        drop(channel);
        Some(Self {
            session: session.clone(),
            counters,
            id,
            announced: false,
            sent: 0,
            received: 0,
        })
    }

    /// Lets the agent learn of the stream in a moment, whether it is used or not: the server may be the
    /// first to speak.
    pub(crate) fn announce_soon(&self) {
        let session = Arc::downgrade(&self.session);
        tokio::spawn(async move {
            tokio::time::sleep(FIRST_WRITE).await;
            if let Some(session) = session.upgrade() {
                session.lock().wake();
            }
        });
    }

    /// Bytes written and read so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// The next bytes as they came; `None` at the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamError<A>>> {
        let mut one = None;
        match self.poll_read_many(cx, 1, |data| one = Some(data)) {
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(one)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Hands over what there is until it is `max` bytes or more, under one lock, and returns how
    /// many that were: none at the end.
    pub(crate) fn poll_read_many(
        &mut self,
        cx: &Context<'_>,
        max: usize,
        mut take: impl FnMut(Bytes),
    ) -> Poll<Result<usize, StreamError<A>>> {
        let mut channel = self.session.lock();
        let paused = channel.forward.receive_paused();
        let mut taken = 0;
        let outcome = loop {
            match channel.forward.read(self.id) {
                StreamRead::Data(data) => {
                    taken += data.len();
                    take(data);
                    if taken >= max {
                        break Poll::Ready(Ok(taken));
                    }
                }
                // What there was comes first; the next call finds this again.
                _ if taken > 0 => break Poll::Ready(Ok(taken)),
                StreamRead::Finished => break Poll::Ready(Ok(0)),
                StreamRead::Refused => break Poll::Ready(Err(StreamError::Refused)),
                StreamRead::Doubled => break Poll::Ready(Err(StreamError::Doubled)),
                read => match (self.session.end(), read) {
                    (Some(end), _) => break Poll::Ready(Err(StreamError::Ended(end))),
                    (None, StreamRead::Blocked) => {
                        if !std::mem::replace(&mut self.announced, true) {
                            channel.wake();
                        }
                        channel.wake_on_read(self.id, cx);
                        break Poll::Pending;
                    }
                    (None, _) => break Poll::Ready(Err(StreamError::Reset)),
                },
            }
        };
        if paused && !channel.forward.receive_paused() {
            channel.wake();
        }
        drop(channel);
        self.received += taken as u64;
        self.counters.add_received(taken as u64);
        outcome
    }

    /// Bytes that [`write`](Self::write) takes now, at least one.
    pub(crate) fn poll_writable(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Result<usize, StreamError<A>>> {
        let mut channel = self.session.lock();
        if let Some(end) = self.session.end() {
            return Poll::Ready(Err(StreamError::Ended(end)));
        }
        match channel.forward.writable(self.id) {
            _ if self.session.is_closing() => Poll::Ready(Err(StreamError::Ended(End::Closed))),
            None if channel.forward.is_doubled(self.id) => Poll::Ready(Err(StreamError::Doubled)),
            None => Poll::Ready(Err(StreamError::Reset)),
            Some(0) => {
                channel.wake_on_write(self.id, cx);
                Poll::Pending
            }
            Some(room) => Poll::Ready(Ok(room)),
        }
    }

    /// Sends bytes, at most as many as [`poll_writable`](Self::poll_writable) returned.
    pub(crate) fn write(&mut self, data: Bytes) -> Result<(), StreamError<A>> {
        let length = data.len() as u64;
        let mut channel = self.session.lock();
        if self.session.is_closing() {
            return Err(StreamError::Ended(End::Closed));
        }
        channel
            .forward
            .write(self.id, data)
            .map_err(|_| StreamError::Reset)?;
        channel.wake();
        drop(channel);
        self.announced = true;
        self.sent += length;
        self.counters.add_sent(length);
        Ok(())
    }

    /// Local end-of-file: the answer may still come.
    pub(crate) fn finish(&mut self) {
        let now = self.session.now();
        self.with_channel(|channel, id| channel.forward.finish(id, now));
    }

    /// Ends the stream both ways at once.
    pub(crate) fn reset(&mut self) {
        self.with_channel(|channel, id| channel.forward.reset(id));
    }

    fn with_channel(&self, act: impl FnOnce(&mut SessionGuard<'_, ForwardChannel>, StreamId)) {
        let mut channel = self.session.lock();
        act(&mut channel, self.id);
        channel.wake();
    }
}

impl<A: CallError> Drop for StreamHandle<A> {
    fn drop(&mut self) {
        self.with_channel(|channel, id| channel.close(id));
    }
}
