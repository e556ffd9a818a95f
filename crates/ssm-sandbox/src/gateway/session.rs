//! One session: its agent, its client's websocket, and the messages between them.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink as _, SinkExt as _, Stream as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use uuid::Uuid;

use super::connections::Connections;
use super::messages;
use crate::account::session_control::{Command, NewSession, WebSocket};
use crate::agent::{Agent, AgentConfig};
use crate::state::State;
use crate::state::faults::Wire;

/// Messages buffered for a client that is away or slow.
const RELAY_BUFFER: usize = 1024;
/// Messages handled before the websocket is flushed.
const BATCH: usize = 128;
const ROUNDS: usize = 16;
/// How long an agent is disconnected after its websocket broke.
const AGENT_AWAY: Duration = Duration::from_millis(100);
/// How long a closing websocket may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run(state: Arc<State>, session: NewSession) {
    let Some(commands) = session.control.take_receiver() else {
        return;
    };
    let id = session.id.clone();
    let mut task = GatewaySession::new(&state, session, commands);
    let output = poll_fn(|cx| task.poll(cx)).await;
    task.end(&output).await;
    state.ended(&id);
}

struct GatewaySession<'a> {
    state: &'a State,
    id: String,
    commands: mpsc::UnboundedReceiver<Command>,
    websocket: Option<Box<WebSocket>>,
    silent: bool,
    relayed: u64,
    /// The websocket carried its last message, and is cut when that has left.
    cut_due: bool,
    /// When the websocket is closed for its age.
    bye_at: Option<Instant>,
    to_agent: Wire,
    to_client: Wire,
    /// What the websocket has not taken yet.
    writing: VecDeque<Bytes>,
    random: fastrand::Rng,
    /// Messages delivered to the agent since its websocket last broke.
    delivered: u64,
    /// The agent's websocket breaks at the next port data.
    break_due: bool,
    /// The agent is disconnected until then.
    agent_back_at: Option<Instant>,
    /// Messages that the agent processed more than once.
    repeated: u64,
    connections: Connections,
    ending: Option<String>,
    sleep: Pin<Box<Sleep>>,
}

impl<'a> GatewaySession<'a> {
    fn new(
        state: &'a State,
        session: NewSession,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        let NewSession {
            id,
            instance,
            session_type,
            properties,
            control: _,
        } = session;
        let now = now();
        let faults = &state.faults;
        let mut random = fastrand::Rng::with_seed(faults.seed ^ 0x5e55_1011);
        let mut config = AgentConfig::new(&instance.agent_version, properties.clone());
        config.paced = instance.paced;
        config.handshake_held = instance.handshake_held;
        config.session_type = session_type;
        config.addresses = properties
            .value("host")
            .map(|host| instance.addresses(host))
            .unwrap_or_default();
        if let Some(timeout) = instance.handshake_timeout {
            config.handshake_timeout = timeout;
        }
        // Message ids of two sessions must differ, whatever the seed of the faults.
        let agent = Agent::new(config, fastrand::u64(..), now, state.clock.unix());
        let port = properties
            .value("portNumber")
            .and_then(|port| port.parse().ok())
            .unwrap_or(0);
        let destination = instance.resolve(properties.value("host"), port);
        let connections = Connections::new(agent, destination, instance.dial_delay);
        Self {
            state,
            id,
            commands,
            websocket: None,
            silent: false,
            relayed: 0,
            cut_due: false,
            bye_at: None,
            to_agent: Wire::new(faults.to_agent, faults.seed),
            to_client: Wire::new(faults.to_client, random.u64(..)),
            writing: VecDeque::new(),
            random,
            delivered: 0,
            break_due: false,
            agent_back_at: None,
            repeated: 0,
            connections,
            ending: None,
            sleep: Box::pin(tokio::time::sleep_until(now.into())),
        }
    }

    /// Runs until the session is over; the text is for the user.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..ROUNDS {
            let now = now();
            let mut busy = self.poll_commands(cx, now);
            if self.bye_at.is_some_and(|at| at <= now) {
                self.bye(now);
            }
            if self.agent_back_at.is_some_and(|at| at <= now) {
                self.agent_back(now);
            }
            busy |= self.poll_read(cx, now);
            self.deliver_to_agent(now);
            let wake = self.poll_agent(cx, now);
            busy |= self.poll_write(cx, now);
            if let Some(output) = &self.ending {
                return Poll::Ready(output.clone());
            }
            if self.sleep.deadline().into_std() != wake {
                self.sleep.as_mut().reset(wake.into());
            }
            busy |= self.sleep.as_mut().poll(cx).is_ready();
            if !busy {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            any = true;
            match command {
                Command::Attach(websocket) => {
                    self.detach(now);
                    self.websocket = Some(websocket);
                    self.state.set_connected(&self.id, true);
                    self.silent = false;
                    let age = self.state.faults.bye_after;
                    self.bye_at = age.and_then(|age| now.checked_add(age));
                    self.publish(true, now);
                }
                Command::Bye => self.bye(now),
                Command::Cut => self.detach(now),
                Command::Silent(silent) => self.silent = silent,
                Command::Terminate => self.ending = Some(String::new()),
                Command::Vanish => {
                    self.connections.stop();
                    let pause = self.publication(false);
                    self.to_client.send(pause, now);
                }
                Command::BreakAgent => self.break_due = true,
                Command::SendRaw(bytes) => {
                    if let Some(agent) = &mut self.connections.lock().agent {
                        agent.send_raw(&bytes, now);
                    }
                }
                Command::ReleaseHandshake => {
                    if let Some(agent) = &mut self.connections.lock().agent {
                        agent.release_handshake(now);
                    }
                }
            }
        }
        any
    }

    /// Sends start_publication to both sides, or pause_publication to the agent of a client that is gone.
    fn publish(&mut self, start: bool, now: Instant) {
        let here = self.agent_back_at.is_none();
        let message = self.publication(start);
        let for_client = self.publication(here);
        let mut inner = self.connections.lock();
        if let Some(agent) = &mut inner.agent {
            if start {
                self.writing.push_front(for_client);
            }
            if here {
                agent.handle(message, now);
            }
        }
    }

    /// The agent's websocket broke: messages in flight to it are lost, and the client gets a
    /// pause_publication.
    fn agent_away(&mut self, now: Instant) {
        self.delivered = 0;
        self.break_due = false;
        self.agent_back_at = now.checked_add(AGENT_AWAY);
        self.to_agent.cut();
        let pause = self.publication(false);
        self.writing.push_back(pause);
    }

    /// The agent has a new websocket.
    fn agent_back(&mut self, now: Instant) {
        self.agent_back_at = None;
        let for_agent = self.publication(self.websocket.is_some());
        let for_client = self.publication(true);
        let mut inner = self.connections.lock();
        if let Some(agent) = &mut inner.agent {
            agent.set_broken(false);
            agent.handle(for_agent, now);
            // A client that is away reads this after the pause, if that is still to be written.
            self.writing.push_back(for_client);
        }
    }

    fn publication(&mut self, start: bool) -> Bytes {
        let id = self.uuid();
        messages::publication(start, &self.id, id, self.unix())
    }

    /// Closes the websocket, as the service does about once an hour.
    fn bye(&mut self, now: Instant) {
        self.bye_at = None;
        if let Some(mut websocket) = self.websocket.take() {
            tokio::spawn(async move {
                let bye = CloseFrame {
                    code: CloseCode::Normal,
                    reason: "Bye".into(),
                };
                let _ =
                    tokio::time::timeout(CLOSE_TIMEOUT, websocket.as_mut().close(Some(bye))).await;
            });
            self.detach(now);
        }
    }

    /// The client is gone: messages that had left the gateway are lost.
    fn detach(&mut self, now: Instant) {
        self.websocket = None;
        self.cut_due = false;
        self.state.set_connected(&self.id, false);
        self.bye_at = None;
        self.to_agent.cut();
        self.publish(false, now);
    }

    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes()).into_uuid()
    }

    fn unix(&self) -> Duration {
        self.state.clock.unix()
    }

    /// Reads the client's messages, unless the agent is busy, which does not read then either.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let blocked = {
            let inner = self.connections.lock();
            inner.agent.as_ref().is_some_and(Agent::is_blocked)
        };
        if self.silent || self.cut_due || blocked || self.to_agent.is_full() {
            return false;
        }
        for _ in 0..BATCH {
            let Some(websocket) = &mut self.websocket else {
                return false;
            };
            match Pin::new(&mut **websocket).poll_next(cx) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(message) = payload(message) {
                        self.to_agent.send(message, now);
                        self.count();
                        if self.cut_due {
                            return true;
                        }
                    }
                }
                Poll::Ready(None | Some(Err(_))) => {
                    self.detach(now);
                    return true;
                }
            }
        }
        true
    }

    /// Counts a message that the websocket carried; returns whether it was its last one.
    fn count(&mut self) {
        self.relayed += 1;
        let most = self.state.faults.cut_after;
        self.cut_due = most.is_some_and(|most| self.relayed >= most);
    }

    /// Cuts the websocket once everything written to it has left.
    fn cut(&mut self, now: Instant) {
        self.relayed = 0;
        self.detach(now);
    }

    fn deliver_to_agent(&mut self, now: Instant) {
        while let Some(message) = self.to_agent.arrived(now) {
            if self.agent_back_at.is_some() {
                continue;
            }
            self.delivered += 1;
            let most = self.state.faults.agent_breaks_after;
            self.break_due |= most.is_some_and(|most| self.delivered > most.max(1));
            let mut breaks = false;
            let mut inner = self.connections.lock();
            if let Some(agent) = &mut inner.agent {
                if self.break_due && agent.processes(&message, now) {
                    breaks = true;
                    agent.set_broken(true);
                }
                agent.handle(message, now);
                let repeated = agent.repeated();
                let more = repeated - std::mem::replace(&mut self.repeated, repeated);
                self.state.repeated.fetch_add(more, Ordering::Relaxed);
            }
            drop(inner);
            if breaks {
                self.agent_away(now);
            }
        }
    }

    /// The agent's timers and messages; returns when to wake up.
    fn poll_agent(&mut self, cx: &Context<'_>, now: Instant) -> Instant {
        let mut wake = now + Duration::from_secs(3600);
        let mut inner = self.connections.lock();
        if let Some(agent) = &mut inner.agent {
            agent.handle_timeout(now);
            for _ in 0..BATCH {
                let more = self.writing.len() < RELAY_BUFFER && !self.to_client.is_full();
                match agent.poll_transmit(now, more) {
                    Some(message) => self.to_client.send(message, now),
                    None => break,
                }
            }
            wake = wake.min(agent.poll_timeout(now));
            self.ending = self.ending.take().or(agent.ended().map(str::to_owned));
        }
        drop(inner);
        self.connections.dispatch(cx);
        let arrivals = [
            self.to_agent.next_arrival(),
            self.to_client.next_arrival(),
            self.bye_at,
            self.agent_back_at,
        ];
        // Nothing waits for a client that is away.
        let arrivals = arrivals.into_iter().flatten().filter(|at| *at > now);
        arrivals.fold(wake, Instant::min)
    }

    /// Writes to the client what has arrived for it.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.silent {
            return false;
        }
        let mut wrote = false;
        while self.writing.len() < RELAY_BUFFER
            && let Some(message) = self.to_client.arrived(now)
        {
            self.writing.push_back(message);
        }
        while !self.writing.is_empty() && !self.cut_due {
            let Some(websocket) = &mut self.websocket else {
                return wrote;
            };
            let mut websocket = Pin::new(&mut **websocket);
            match websocket.as_mut().poll_ready(cx) {
                Poll::Pending => return wrote,
                Poll::Ready(Err(_)) => {
                    self.detach(now);
                    return true;
                }
                Poll::Ready(Ok(())) => {}
            }
            let Some(message) = self.writing.pop_front() else {
                break;
            };
            wrote = true;
            if websocket.start_send(Message::Binary(message)).is_err() {
                self.detach(now);
                return true;
            }
            self.count();
        }
        if let Some(websocket) = &mut self.websocket {
            match Pin::new(&mut **websocket).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => {
                    self.detach(now);
                    return true;
                }
                Poll::Ready(Ok(())) if self.cut_due => {
                    self.cut(now);
                    return true;
                }
                Poll::Ready(Ok(())) => {}
            }
        }
        wrote
    }

    /// Delivers the messages in flight, sends `channel_closed`, then closes.
    async fn end(mut self, output: &str) {
        self.connections.stop();
        let id = self.uuid();
        let closed = messages::channel_closed(&self.id, output, id, self.unix());
        let Some(mut websocket) = self.websocket.take().filter(|_| !self.silent) else {
            return;
        };
        let now = now();
        let mut last: Vec<_> = self
            .writing
            .drain(..)
            .map(|message| (now, message))
            .collect();
        last.extend(self.to_client.drain(now));
        let end = last.last().map_or(now, |(at, _)| now.max(*at));
        last.push((end, closed));
        let farewell = async {
            for (at, message) in last {
                if at > self::now() {
                    websocket.flush().await?;
                    tokio::time::sleep_until(at.into()).await;
                }
                websocket.feed(Message::Binary(message)).await?;
            }
            websocket.flush().await?;
            websocket.as_mut().close(None).await?;
            // A socket dropped with unread acknowledgements is reset, which destroys what the client
            // has not read yet.
            while websocket.next().await.transpose()?.is_some() {}
            Ok::<_, WsError>(())
        };
        let _ = tokio::time::timeout_at((end + CLOSE_TIMEOUT).into(), farewell).await;
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Bytes of one binary or text message.
fn payload(message: Message) -> Option<Bytes> {
    match message {
        Message::Binary(data) => Some(data),
        Message::Text(text) => Some(text.into()),
        _ => None,
    }
}
