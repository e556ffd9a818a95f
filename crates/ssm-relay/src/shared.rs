use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_forward::{ForwardEvent, PortForward, StreamId, StreamRead};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::clock::Clock;
use crate::error::End;
use crate::stats::Counters;

/// One session's state machine, shared by the driver task and the streams. Nothing awaits while
/// it is locked.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    clock: Arc<Clock>,
    counters: Arc<Counters>,
    freed: Notify,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) forward: PortForward,
    streams: BTreeMap<StreamId, Wakers>,
    driver: Option<Waker>,
    pub(crate) closing: bool,
    end: Option<End>,
    /// Connections that wait for the session's only one to end.
    waiting: usize,
}

#[derive(Debug, Default)]
struct Wakers {
    read: Option<Waker>,
    write: Option<Waker>,
}

/// How long a stream that was opened in process waits for its first bytes before the agent is told
/// of it without them.
const FIRST_WRITE: Duration = Duration::from_millis(1);

impl Shared {
    pub(crate) fn new(
        forward: PortForward,
        clock: Arc<Clock>,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let inner = Inner {
            forward,
            streams: BTreeMap::new(),
            driver: None,
            closing: false,
            end: None,
            waiting: 0,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            clock,
            counters,
            freed: Notify::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state machine does not panic halfway; a poisoned lock would only hide who did.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Has the driver look at everything again: the machine slept.
    pub(crate) fn wake(&self) {
        self.lock().wake_driver();
    }

    /// Opens a stream; `None` when the session takes none now. The agent is told with the first
    /// bytes, or once [`StreamHandle::poll_read`] finds nothing to read.
    pub(crate) fn open(self: &Arc<Self>) -> Option<StreamHandle> {
        let mut inner = self.lock();
        if inner.closing || inner.end.is_some() {
            return None;
        }
        let id = inner.forward.open()?;
        inner.streams.insert(id, Wakers::default());
        Some(StreamHandle {
            shared: self.clone(),
            id,
            announced: false,
            sent: 0,
            received: 0,
        })
    }

    /// Asks the driver to end the session.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closing = true;
        inner.wake_driver();
    }

    /// The session is over: every stream hears of it. The first reason counts.
    pub(crate) fn end(&self, end: End) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        inner.end = Some(end);
        for wakers in inner.streams.values_mut() {
            wakers.wake();
        }
        drop(inner);
        self.freed.notify_waiters();
    }

    /// Completes when the session may carry its next connection, or is over.
    pub(crate) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Counts a connection that waits until the session may carry it, until this is dropped.
    pub(crate) fn wait_in_line(&self) -> InLine<'_> {
        self.lock()
            .change_waiting(|waiting| waiting.saturating_add(1));
        InLine { shared: self }
    }

    /// The session's only connection is gone.
    pub(crate) fn free(&self) {
        self.freed.notify_waiters();
    }
}

/// A connection that waits for the session's only one to end.
pub(crate) struct InLine<'a> {
    shared: &'a Shared,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.change_waiting(|waiting| waiting.saturating_sub(1));
    }
}

impl Wakers {
    fn wake(&mut self) {
        for waker in [self.read.take(), self.write.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Inner {
    fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn change_waiting(&mut self, change: impl FnOnce(usize) -> usize) {
        self.waiting = change(self.waiting);
        self.forward.set_waiting(self.waiting);
        self.wake_driver();
    }

    /// The driver looked at everything and goes to sleep.
    pub(crate) fn park_driver(&mut self, cx: &Context<'_>) {
        self.driver = Some(cx.waker().clone());
    }

    pub(crate) fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Tells the streams that something happened to them.
    pub(crate) fn wake_streams(&mut self, events: &[ForwardEvent]) {
        for event in events {
            match event {
                // The peer's end also ends writing.
                ForwardEvent::Readable(id) => {
                    if let Some(wakers) = self.streams.get_mut(id) {
                        wakers.wake();
                    }
                }
                ForwardEvent::Writable(id) => {
                    if let Some(waker) = self.streams.get_mut(id).and_then(|w| w.write.take()) {
                        waker.wake();
                    }
                }
                _ => {}
            }
        }
    }
}

/// How a stream ended, when not in order.
#[derive(Debug, Clone)]
pub(crate) enum StreamError {
    Refused,
    /// The agent may have passed on bytes twice.
    Doubled,
    Reset,
    Ended(End),
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
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
pub(crate) struct StreamHandle {
    shared: Arc<Shared>,
    id: StreamId,
    /// The driver knows of it.
    announced: bool,
    sent: u64,
    received: u64,
}

impl StreamHandle {
    /// Lets the agent know of the stream in a moment, whether anybody uses it or not: a server that
    /// speaks first may have something to say.
    pub(crate) fn announce_soon(&self) {
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(FIRST_WRITE).await;
            if let Some(shared) = shared.upgrade() {
                shared.lock().wake_driver();
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
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
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
    ) -> Poll<Result<usize, StreamError>> {
        let mut inner = self.shared.lock();
        let paused = inner.forward.receive_paused();
        let mut taken = 0;
        let outcome = loop {
            match inner.forward.read(self.id) {
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
                StreamRead::Reset | StreamRead::Blocked if inner.end.is_some() => {
                    let end = inner.end.clone().unwrap_or(End::Closed);
                    break Poll::Ready(Err(StreamError::Ended(end)));
                }
                StreamRead::Blocked => {
                    if !std::mem::replace(&mut self.announced, true) {
                        inner.wake_driver();
                    }
                    inner.streams.entry(self.id).or_default().read = Some(cx.waker().clone());
                    break Poll::Pending;
                }
                _ => break Poll::Ready(Err(StreamError::Reset)),
            }
        };
        if paused && !inner.forward.receive_paused() {
            inner.wake_driver();
        }
        self.received += taken as u64;
        self.shared.counters.add_received(taken as u64);
        outcome
    }

    /// Bytes that [`write`](Self::write) takes now, at least one.
    pub(crate) fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<usize, StreamError>> {
        let mut inner = self.shared.lock();
        if let Some(end) = &inner.end {
            return Poll::Ready(Err(StreamError::Ended(end.clone())));
        }
        match inner.forward.writable(self.id) {
            _ if inner.closing => Poll::Ready(Err(StreamError::Ended(End::Closed))),
            None if inner.forward.is_doubled(self.id) => Poll::Ready(Err(StreamError::Doubled)),
            None => Poll::Ready(Err(StreamError::Reset)),
            Some(0) => {
                inner.streams.entry(self.id).or_default().write = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(room) => Poll::Ready(Ok(room)),
        }
    }

    /// Sends bytes, at most as many as [`poll_writable`](Self::poll_writable) said.
    pub(crate) fn write(&mut self, data: Bytes) -> Result<(), StreamError> {
        let length = data.len() as u64;
        let mut inner = self.shared.lock();
        if inner.closing {
            return Err(StreamError::Ended(End::Closed));
        }
        inner
            .forward
            .write(self.id, data)
            .map_err(|_| StreamError::Reset)?;
        inner.wake_driver();
        self.announced = true;
        self.sent += length;
        self.shared.counters.add_sent(length);
        Ok(())
    }

    /// Local end-of-file: the answer may still come.
    pub(crate) fn finish(&mut self) {
        let mut inner = self.shared.lock();
        inner.forward.finish(self.id, self.shared.now());
        inner.wake_driver();
    }

    /// Ends the stream both ways at once.
    pub(crate) fn reset(&mut self) {
        let mut inner = self.shared.lock();
        inner.forward.reset(self.id);
        inner.wake_driver();
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.forward.close(self.id);
        inner.streams.remove(&self.id);
        inner.wake_driver();
    }
}
