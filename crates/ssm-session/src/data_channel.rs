//! What a session carries: the interface between this crate and a state machine.

use std::time::Instant;

use bytes::Bytes;
use uuid::Uuid;

/// State machine of a session's data channel: everything between the messages on the websocket and the
/// application. It does no I/O and reads no clock; a session drives it.
///
/// A session locks the state machine, never awaits meanwhile, and calls in this order:
///
/// 1. [`connected`](Self::connected) once a websocket is open and OpenDataChannel was sent;
/// 2. [`handle_message`](Self::handle_message) for each message, unless
///    [`receive_paused`](Self::receive_paused) or [`acknowledgements_wait`](Self::acknowledgements_wait)
///    say that the websocket is not to be read; then [`handle_timeout`](Self::handle_timeout);
/// 3. [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until they return
///    `None`, then a sleep until [`poll_timeout`](Self::poll_timeout), the next message, or
///    [`SessionGuard::wake`](crate::SessionGuard::wake);
/// 4. [`disconnected`](Self::disconnected) when the websocket is lost. Step 1 follows once the session
///    is resumed.
///
/// What the application does to the state machine beside that, under the same lock
/// ([`SessionState::lock`](crate::SessionState::lock)), is between the two.
pub trait DataChannel: Send + 'static {
    /// What the state machine reports to the application, through
    /// [`SessionEvent::Channel`](crate::SessionEvent::Channel).
    type Event: Send + 'static;
    /// Why it cannot go on. It ends the session as [`End::Protocol`](crate::End::Protocol).
    type Error: std::error::Error + Clone + Send + Sync + 'static;

    /// A message id or client id of the session's random source.
    fn uuid(&mut self) -> Uuid;

    /// A websocket is open.
    fn connected(&mut self, now: Instant);

    /// The websocket is lost; what is unacknowledged is to be sent again on the next one.
    ///
    /// # Errors
    /// When the state machine cannot go on.
    fn disconnected(&mut self, now: Instant) -> Result<(), Self::Error>;

    /// A message arrived: a binary frame of the websocket, or the bytes of a text frame.
    ///
    /// # Errors
    /// When the state machine cannot go on.
    fn handle_message(&mut self, message: Bytes, now: Instant) -> Result<(), Self::Error>;

    /// The next message to send. Call it until it returns `None`, after anything else was called.
    #[must_use = "a message that is not sent is lost"]
    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes>;

    /// What happened. Call it until it returns `None`, after anything else was called.
    #[must_use = "an event is reported once"]
    fn poll_event(&mut self) -> Option<ChannelEvent<Self::Event>>;

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. It changes with every other
    /// call.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Time has passed. A call too early does nothing.
    ///
    /// # Errors
    /// When a deadline of the peer has passed.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), Self::Error>;

    /// Whether the handshake is complete. It stays so.
    fn is_ready(&self) -> bool;

    /// Counts messages that got through for the first time, either way: a websocket on which it does
    /// not grow carried nothing.
    fn progress(&self) -> u64;

    /// Whether the application takes no more data for now, so that the websocket must not be read.
    fn receive_paused(&self) -> bool;

    /// Whether acknowledgements are queued up to their limit, so that the websocket must not be read
    /// until it took some.
    fn acknowledgements_wait(&self) -> bool;

    /// Whether everything that the application wrote was sent and acknowledged. A session that is
    /// closed waits for it, up to [`Timeouts::close`](crate::Timeouts::close).
    fn is_drained(&self) -> bool;

    /// Whether the session has served its purpose: it ends once everything is delivered. Once this
    /// returned `true`, it stays so. Default: never.
    fn is_done(&mut self) -> bool {
        false
    }

    /// Queues the message that announces the session's end to the agent, where there is one.
    fn terminate(&mut self, now: Instant);

    /// The session is over: wake every task that waits for the state machine. It finds the reason in
    /// [`SessionState::end`](crate::SessionState::end).
    fn ended(&mut self);
}

/// What [`DataChannel::poll_event`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelEvent<E> {
    /// The service ended the session (`channel_closed`).
    Closed {
        /// The service's text; may be empty.
        output: String,
    },
    /// For the application.
    Application(E),
}
