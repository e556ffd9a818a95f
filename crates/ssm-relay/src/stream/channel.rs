//! A port forward and its streams' wakers: what a session of the relay carries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::Bytes;
use ssm_forward::{ForwardError, ForwardEvent, PortForward, StreamId};
use ssm_session::{ChannelEvent, DataChannel, SessionHandle, SessionState};
use tokio::sync::Notify;
use uuid::Uuid;

/// One session of a tunnel.
pub(crate) type Session<A> = SessionHandle<ForwardChannel, A>;
/// Its state.
pub(crate) type State<A> = SessionState<ForwardChannel, A>;

/// What a session reports, for the tunnel's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForwardReport {
    /// The handshake is complete.
    Ready {
        agent_version: String,
        multiplexed: bool,
        message: String,
    },
    /// The agent could not connect a stream to the destination.
    Refused,
}

/// A port forward, and who waits for its streams.
#[derive(Debug)]
pub(crate) struct ForwardChannel {
    pub(crate) forward: PortForward,
    streams: BTreeMap<StreamId, Wakers>,
    /// A basic session ends with its connection where another can be started for the next one.
    one_connection: bool,
    /// It had that connection.
    done: bool,
    /// Connections that wait for the session's only one to end.
    waiting: usize,
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Wakers {
    read: Option<Waker>,
    write: Option<Waker>,
}

impl Wakers {
    fn wake(&mut self) {
        for waker in [self.read.take(), self.write.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl ForwardChannel {
    pub(crate) fn new(forward: PortForward, one_connection: bool) -> Self {
        Self {
            forward,
            streams: BTreeMap::new(),
            one_connection,
            done: false,
            waiting: 0,
            freed: Arc::default(),
        }
    }

    /// Notified when the session may carry its next connection, and when it ended.
    pub(crate) fn freed(&self) -> Arc<Notify> {
        self.freed.clone()
    }

    /// Changes how many connections wait until the session may carry them.
    pub(super) fn change_waiting(&mut self, change: impl FnOnce(usize) -> usize) {
        self.waiting = change(self.waiting);
        self.forward.set_waiting(self.waiting);
    }

    pub(super) fn open(&mut self) -> Option<StreamId> {
        if self.done {
            return None;
        }
        let id = self.forward.open()?;
        self.streams.insert(id, Wakers::default());
        Some(id)
    }

    pub(super) fn close(&mut self, id: StreamId) {
        self.forward.close(id);
        self.streams.remove(&id);
    }

    pub(super) fn wake_on_read(&mut self, id: StreamId, cx: &Context<'_>) {
        self.streams.entry(id).or_default().read = Some(cx.waker().clone());
    }

    pub(super) fn wake_on_write(&mut self, id: StreamId, cx: &Context<'_>) {
        self.streams.entry(id).or_default().write = Some(cx.waker().clone());
    }

    /// Whether a basic session had a connection and has none now.
    fn is_spent(&self) -> bool {
        self.forward.is_spent() && self.streams.is_empty()
    }

    fn report(&mut self, event: ForwardEvent) -> Option<ChannelEvent<ForwardReport>> {
        match event {
            ForwardEvent::Ready => {
                let ready = self.forward.ready()?;
                return Some(ChannelEvent::Application(ForwardReport::Ready {
                    agent_version: ready.peer_version.clone(),
                    multiplexed: self.forward.is_multiplexed(),
                    message: ready.customer_message.clone(),
                }));
            }
            ForwardEvent::Refused => {
                return Some(ChannelEvent::Application(ForwardReport::Refused));
            }
            ForwardEvent::ChannelClosed { output } => {
                return Some(ChannelEvent::Closed { output });
            }
            // The peer's end also ends writing.
            ForwardEvent::Readable(id) => {
                if let Some(wakers) = self.streams.get_mut(&id) {
                    wakers.wake();
                }
            }
            ForwardEvent::Writable(id) => {
                if let Some(waker) = self.streams.get_mut(&id).and_then(|w| w.write.take()) {
                    waker.wake();
                }
            }
            ForwardEvent::Paused(paused) => tracing::debug!(paused, "publication"),
            other => tracing::debug!(event = ?other, "ignored"),
        }
        None
    }
}

impl DataChannel for ForwardChannel {
    type Event = ForwardReport;
    type Error = ForwardError;

    fn uuid(&mut self) -> Uuid {
        self.forward.uuid()
    }

    fn connected(&mut self, now: Instant) {
        self.forward.connected(now);
    }

    fn disconnected(&mut self, now: Instant) -> Result<(), ForwardError> {
        self.forward.disconnected(now)
    }

    fn handle_message(&mut self, message: Bytes, now: Instant) -> Result<(), ForwardError> {
        self.forward.handle_message(message, now)
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.forward.poll_transmit(now)
    }

    fn poll_event(&mut self) -> Option<ChannelEvent<ForwardReport>> {
        while let Some(event) = self.forward.poll_event() {
            let report = self.report(event);
            if report.is_some() {
                return report;
            }
        }
        if self.is_spent() {
            self.freed.notify_waiters();
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.forward.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), ForwardError> {
        self.forward.handle_timeout(now)
    }

    fn is_ready(&self) -> bool {
        self.forward.ready().is_some()
    }

    fn progress(&self) -> u64 {
        self.forward.progress()
    }

    fn receive_paused(&self) -> bool {
        self.forward.receive_paused()
    }

    fn acknowledgements_wait(&self) -> bool {
        self.forward.acknowledgements_wait()
    }

    fn is_drained(&self) -> bool {
        self.forward.is_drained()
    }

    fn is_done(&mut self) -> bool {
        self.done |= self.one_connection && self.is_spent();
        self.done
    }

    fn terminate(&mut self, now: Instant) {
        self.forward.terminate(now);
    }

    fn ended(&mut self) {
        for wakers in self.streams.values_mut() {
            wakers.wake();
        }
        self.freed.notify_waiters();
    }
}
