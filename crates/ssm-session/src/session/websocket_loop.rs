//! The loop of one websocket, from its opening to its loss.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::WaitForCancellationFuture;

use super::context::{SessionEvent, SessionTask};
use crate::api::CallError;
use crate::clock::after;
use crate::data_channel::{ChannelEvent, DataChannel};
use crate::end::End;
use crate::net::websocket::{WRITE_BUFFER, WebSocket};

/// Messages of any kind, and their bytes, read before the state machine gets them.
const READ_BATCH: usize = 128;
const READ_BYTES: usize = 128 << 10;
/// Bytes read from the connection before other tasks run: about 65,000 empty frames.
const READ_QUOTA: usize = 128 << 10;
/// Bytes taken from the state machine before they are flushed: one read of a busy local socket, 64
/// messages of 1 KiB with their headers. Flushed one by one, each would wake the peer.
const WRITE_BATCH: usize = 80 << 10;
/// Also with the message that fills it, of up to 8 KiB.
const _: () = assert!(WRITE_BATCH + (9 << 10) < WRITE_BUFFER);
/// Rounds before other tasks run.
const ROUNDS: usize = 16;
/// Shortest time between two pings.
const SHORTEST_PING_INTERVAL: Duration = Duration::from_millis(1);
/// The payload of the reference client's pings.
const PING: &[u8] = b"keepalive";
/// Time allowed for the first pong after a sleep, which most websockets do not survive.
const WAKING: Duration = Duration::from_secs(5);

/// Why the loop ended.
pub(super) enum WebsocketEnd<P, A> {
    /// The websocket is gone, the session is not.
    Lost(String),
    /// The session is over.
    Session(End<P, A>),
}

enum Round {
    /// There may be more to do.
    Again,
    /// Nothing to do until woken.
    Wait,
    /// The session's last message is written.
    Over,
}

pub(super) struct WebsocketLoop<'a, C: DataChannel, A, H> {
    task: &'a SessionTask<C, A>,
    websocket: WebSocket,
    /// Called whenever the service is heard.
    heard: H,
    /// [`Clock::wakes`](crate::Clock::wakes) when it was last checked.
    wakes: u64,
    inbound: Vec<Bytes>,
    outbound: VecDeque<Message>,
    flushed: bool,
    /// Bytes that the connection had taken when this was last checked.
    written: u64,
    /// The application is behind.
    receive_paused: bool,
    /// Acknowledgements pile up: the connection does not take them.
    acknowledgements_wait: bool,
    ping_at: Instant,
    /// A ping is queued that the system has not taken yet.
    ping_queued: bool,
    /// When a pong is due, and how much time was allowed for it.
    pong_until: Option<(Instant, Duration)>,
    /// The system took a ping whose pong is due: a later ping does not extend the time for it.
    pong_owed: bool,
    /// Closing: when to stop waiting for queued data.
    drain_until: Option<Instant>,
    /// The session's end, once the last message is written or this time has come.
    ending: Option<(End<C::Error, A>, Instant)>,
    /// The last message is queued.
    said_all: bool,
    sleep: Pin<Box<Sleep>>,
    /// Until the session is to be closed.
    cancelled: Option<Pin<Box<WaitForCancellationFuture<'a>>>>,
}

impl<'a, C: DataChannel, A: CallError, H: FnMut() + Unpin> WebsocketLoop<'a, C, A, H> {
    pub(super) fn new(task: &'a SessionTask<C, A>, websocket: WebSocket, heard: H) -> Self {
        let clock = task.state.clock();
        let started = clock.now();
        task.state.lock().connected(started);
        Self {
            task,
            websocket,
            heard,
            wakes: clock.wakes(),
            inbound: Vec::with_capacity(READ_BATCH),
            outbound: VecDeque::new(),
            flushed: true,
            written: 0,
            receive_paused: false,
            acknowledgements_wait: false,
            // The first pong shows that the service accepted the token.
            ping_at: started,
            ping_queued: false,
            pong_until: None,
            pong_owed: false,
            drain_until: None,
            ending: None,
            said_all: false,
            sleep: Box::pin(tokio::time::sleep_until(clock.alarm(started))),
            cancelled: Some(Box::pin(task.closing().cancelled())),
        }
    }

    /// Runs until the websocket or the session ends. A session's end leaves the websocket open.
    pub(super) async fn run(mut self) -> (WebsocketEnd<C::Error, A>, WebSocket) {
        loop {
            if let Some(end) = poll_fn(|cx| self.poll(cx)).await {
                return (end, self.websocket);
            }
            // Unlike a task that wakes itself, this lets timers and signals run too.
            tokio::task::yield_now().await;
        }
    }

    /// Ready without an end when there is more to do and other tasks must run first.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<WebsocketEnd<C::Error, A>>> {
        self.websocket.get_mut().renew(READ_QUOTA);
        for _ in 0..ROUNDS {
            let lost = match self.round(cx) {
                Ok(Round::Again) => continue,
                Ok(Round::Wait) if self.websocket.get_ref().is_used_up() => break,
                Ok(Round::Wait) => return Poll::Pending,
                Ok(Round::Over) => "closed".to_owned(),
                Err(reason) => reason,
            };
            return Poll::Ready(Some(match self.ending.take() {
                Some((end, _)) => WebsocketEnd::Session(end),
                None => WebsocketEnd::Lost(lost),
            }));
        }
        Poll::Ready(None)
    }

    /// Reads, drives the state machine and writes, once. `Err` is why the websocket is lost.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<Round, String> {
        self.check_sleep();
        let read = self.read(cx);
        let paused = self.is_paused();
        let deadline = self.step(cx);
        // The socket does not wake the task for data that arrived while it was not read.
        let read_more = paused && !self.is_paused();
        let read_more = read? || read_more;
        let wrote = self.write(cx)?;
        self.check_progress();
        if let Some((_, give_up)) = &self.ending
            && ((self.said_all && self.flushed) || self.now() >= *give_up)
        {
            return Ok(Round::Over);
        }
        self.check_silence()?;
        let last_words = self.ending.is_some() && !self.said_all && self.outbound.is_empty();
        if read_more || wrote || last_words {
            return Ok(Round::Again);
        }
        let alarm = self.task.state.clock().alarm(deadline);
        if self.sleep.deadline() != alarm {
            self.sleep.as_mut().reset(alarm);
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            return Ok(Round::Again);
        }
        Ok(Round::Wait)
    }

    fn now(&self) -> Instant {
        self.task.state.now()
    }

    /// After the machine slept, asks at once whether the websocket still works.
    fn check_sleep(&mut self) {
        let time = self.now();
        let wakes = self.task.state.clock().wakes();
        if self.wakes != wakes {
            self.wakes = wakes;
            self.ping_at = time;
            let patience = WAKING.min(self.task.context.timeouts.pong);
            self.pong_until = Some((after(time, patience), patience));
        }
    }

    /// Whether the websocket is not to be read for now.
    fn is_paused(&self) -> bool {
        self.receive_paused || self.acknowledgements_wait
    }

    /// Reads one batch, and returns whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, String> {
        if self.receive_paused {
            // No pong can be read meanwhile.
            self.forget_pong();
        }
        if self.is_paused() {
            return Ok(false);
        }
        let mut bytes = 0;
        for _ in 0..READ_BATCH {
            let message = match Pin::new(&mut self.websocket).poll_next(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(None) => return Err("the websocket was closed".to_owned()),
                Poll::Ready(Some(Err(error))) => return Err(lost(&error)),
                Poll::Ready(Some(Ok(message))) => message,
            };
            if !matches!(message, Message::Close(_)) {
                (self.heard)();
            }
            bytes += message.len();
            match message {
                // A copy, so that a payload that is kept does not keep the websocket's read buffer alive.
                Message::Binary(data) => self.inbound.push(Bytes::copy_from_slice(&data)),
                Message::Text(text) => self.inbound.push(Bytes::copy_from_slice(text.as_bytes())),
                Message::Pong(_) => self.forget_pong(),
                Message::Close(Some(frame)) => {
                    return Err(format!(
                        "the service closed the websocket with {} {}",
                        u16::from(frame.code),
                        frame.reason
                    ));
                }
                Message::Close(None) => return Err("the service closed the websocket".to_owned()),
                Message::Ping(_) | Message::Frame(_) => {}
            }
            if self.ping_queued && !self.pong_owed {
                // It waits behind an upload that the peer takes slowly, if at all: any data from the peer
                // shows that it is alive.
                self.restart_pong_timeout();
            }
            if bytes >= READ_BYTES {
                break;
            }
        }
        Ok(true)
    }

    fn forget_pong(&mut self) {
        self.pong_until = None;
        self.pong_owed = false;
    }

    /// Restarts the time for the pong, if one is due.
    fn restart_pong_timeout(&mut self) {
        let time = self.now();
        if let Some((until, patience)) = &mut self.pong_until {
            *until = after(time, *patience);
        }
    }

    /// While the websocket is not read because the peer does not take our acknowledgements, no pong
    /// can be read: then the peer counts as alive as long as it takes anything.
    fn check_progress(&mut self) {
        let written = self.websocket.get_ref().written();
        let progress = std::mem::replace(&mut self.written, written) != written;
        if progress && self.acknowledgements_wait {
            self.restart_pong_timeout();
        }
    }

    /// Gives the state machine what arrived, takes what it has to send, and returns when to wake it.
    fn step(&mut self, cx: &mut Context<'_>) -> Instant {
        let time = self.now();
        let task = self.task;
        // Before the state machine is used: a cancellation from now on wakes this task.
        self.poll_cancelled(cx);
        let mut channel = task.state.lock();
        let mut outcome = Ok(());
        if self.ending.is_none() {
            for message in self.inbound.drain(..) {
                outcome = outcome.and_then(|()| channel.handle_message(message, time));
            }
            outcome = outcome.and_then(|()| channel.handle_timeout(time));
        }
        self.inbound.clear();

        let give_up = after(time, task.context.timeouts.close);
        // A session that is done still delivers over the next websocket what this one may lose.
        if channel.is_done() || task.state.is_closing() {
            let drain_until = *self.drain_until.get_or_insert(give_up);
            if self.ending.is_none() && (channel.is_drained() || time >= drain_until) {
                channel.terminate(time);
                self.ending = Some((End::Closed, give_up));
            }
        }
        if let Err(error) = outcome {
            self.ending = Some((End::Protocol(error), give_up));
        }
        // Even when it failed: its last messages tell the agent.
        if self.outbound.is_empty() {
            let mut bytes = 0;
            while bytes < WRITE_BATCH
                && let Some(message) = channel.poll_transmit(time)
            {
                bytes += message.len();
                self.outbound.push_back(Message::Binary(message));
            }
            self.said_all = self.ending.is_some() && bytes < WRITE_BATCH;
        }
        while let Some(event) = channel.poll_event() {
            match event {
                ChannelEvent::Application(event) => task.report(SessionEvent::Channel(event)),
                ChannelEvent::Closed { output } => {
                    self.ending = Some((End::ByService { output }, give_up));
                }
            }
        }
        task.update_stage(channel.is_ready());
        self.receive_paused = channel.receive_paused();
        self.acknowledgements_wait = channel.acknowledgements_wait();
        let wake = channel.poll_timeout();
        channel.park(cx);
        drop(channel);

        let pong = self.pong_until.map(|(at, _)| at);
        let ending = self.ending.as_ref().map(|(_, give_up)| *give_up);
        let drain = self.drain_until.filter(|_| ending.is_none());
        let wake = wake.filter(|_| ending.is_none());
        [wake, pong, drain, ending]
            .into_iter()
            .flatten()
            .fold(self.ping_at, Instant::min)
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) {
        if let Some(cancelled) = &mut self.cancelled
            && cancelled.as_mut().poll(cx).is_ready()
        {
            self.cancelled = None;
        }
    }

    /// Writes what is queued as far as the socket takes it, and returns whether anything was written.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, String> {
        let time = self.now();
        if time >= self.ping_at {
            let timeouts = &self.task.context.timeouts;
            self.ping_at = after(time, timeouts.ping_interval.max(SHORTEST_PING_INTERVAL));
            if !self.receive_paused {
                let patience = timeouts.pong;
                self.pong_until
                    .get_or_insert((after(time, patience), patience));
            }
            // A ping that still waits for the socket is enough.
            if !self.ping_queued {
                self.ping_queued = true;
                self.outbound
                    .push_back(Message::Ping(Bytes::from_static(PING)));
            }
        }
        let mut wrote = false;
        while !self.outbound.is_empty() {
            match Pin::new(&mut self.websocket).poll_ready(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(outcome) => outcome.map_err(|error| lost(&error))?,
            }
            let Some(message) = self.outbound.pop_front() else {
                break;
            };
            self.flushed = false;
            match Pin::new(&mut self.websocket).start_send(message) {
                Ok(()) => wrote = true,
                // Pongs fill the buffer that the peer does not empty.
                Err(WsError::WriteBufferFull(message)) => {
                    self.outbound.push_front(*message);
                    break;
                }
                Err(error) => return Err(lost(&error)),
            }
        }
        match Pin::new(&mut self.websocket).poll_flush(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(outcome) => {
                outcome.map_err(|error| lost(&error))?;
                self.flushed = self.outbound.is_empty();
                if self.flushed && std::mem::take(&mut self.ping_queued) && !self.pong_owed {
                    self.restart_pong_timeout();
                    self.pong_owed = self.pong_until.is_some();
                }
                Ok(wrote || !self.flushed)
            }
        }
    }

    fn check_silence(&self) -> Result<(), String> {
        match self.pong_until {
            Some((until, limit)) if self.now() >= until => Err(format!(
                "the service did not answer a ping within {limit:?}"
            )),
            _ => Ok(()),
        }
    }
}

fn lost(error: &WsError) -> String {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => "the websocket was closed".to_owned(),
        other => format!("the websocket failed: {other}"),
    }
}
