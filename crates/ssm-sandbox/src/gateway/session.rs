//! One session: its agent, its client's websocket, and what lies between them.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink as _, Stream as _};
use ssm_protocol::payload::Flag;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

use super::control::Command;
use super::{NewSession, WebSocket, messages, payload};
use crate::agent::{Basic, Channel, Handler, MuxPort, Progress, Taken};
use crate::faults::Wire;
use crate::instance::Instance;
use crate::state::State;

/// Largest payload of an agent's message.
const MAX_PAYLOAD: usize = 1024;
/// The agent sleeps 1 ms after each message; with what the message itself takes, the real one was
/// measured at 0.83 MB/s.
const PACE: Duration = Duration::from_micros(1200);
/// What a timer that came late may be made up for.
const CATCH_UP: Duration = Duration::from_millis(5);
/// Messages buffered for a client that is away or slow.
const RELAY_BUFFER: usize = 1024;
/// Messages handled before the websocket is flushed.
const BATCH: usize = 128;
const ROUNDS: usize = 16;
/// How long a closing websocket may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The first client version that multiplexes.
const FIRST_MUX_CLIENT: [u32; 4] = [1, 1, 70, 0];
/// The last client version that wants smux keep-alives.
const LAST_KEEPALIVE_CLIENT: [u32; 4] = [1, 2, 331, 0];

pub(super) async fn run(state: Arc<State>, session: NewSession) {
    let Some(commands) = session.control.take_receiver() else {
        return;
    };
    let id = session.id.clone();
    let mut task = Session::new(&state, session, commands);
    let output = poll_fn(|cx| task.poll(cx)).await;
    task.end(&output).await;
    state.ended(&id);
}

struct Session<'a> {
    state: &'a State,
    id: String,
    instance: Instance,
    commands: mpsc::UnboundedReceiver<Command>,
    websocket: Option<Box<WebSocket>>,
    silent: bool,
    relayed: u64,
    to_agent: Wire,
    to_client: Wire,
    /// What the websocket has not taken yet.
    writing: VecDeque<Bytes>,
    random: fastrand::Rng,
    channel: Option<Channel>,
    port: Port,
    next_send: Instant,
    ending: Option<String>,
    sleep: Pin<Box<Sleep>>,
}

/// The agent's port plugin, chosen once the client's version is known.
enum Port {
    NotYet,
    Mux(MuxPort),
    Basic(Box<Basic>),
}

/// What the channel's handler sees of the session.
struct Plugin<'a> {
    port: &'a mut Port,
    terminated: &'a mut bool,
    now: Instant,
}

impl Handler for Plugin<'_> {
    fn output(&mut self, payload: Bytes) -> Taken {
        match self.port {
            Port::NotYet => Taken::NotReady,
            Port::Mux(mux) => mux.output(payload, self.now),
            Port::Basic(basic) => basic.output(payload),
        }
    }

    fn flag(&mut self, flag: Flag) -> Taken {
        match (flag, &mut *self.port) {
            (Flag::TerminateSession, _) => *self.terminated = true,
            (Flag::DisconnectToPort, Port::Basic(basic)) => return basic.disconnect(),
            _ => {}
        }
        Taken::Yes
    }
}

impl<'a> Session<'a> {
    fn new(
        state: &'a State,
        session: NewSession,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        let NewSession {
            id,
            instance,
            properties,
            control: _,
        } = session;
        let now = now();
        let faults = &state.faults;
        let mut random = fastrand::Rng::with_seed(faults.seed ^ 0x5e55_1011);
        let channel = Channel::new(
            &instance.agent_version,
            properties,
            instance.handshake_held,
            // Message ids of two sessions must differ, whatever the seed of the faults.
            fastrand::u64(..),
            now,
            state.clock.unix(),
        );
        Self {
            state,
            id,
            instance,
            commands,
            websocket: None,
            silent: false,
            relayed: 0,
            to_agent: Wire::new(faults.to_agent, faults.seed),
            to_client: Wire::new(faults.to_client, random.u64(..)),
            writing: VecDeque::new(),
            random,
            channel: Some(channel),
            port: Port::NotYet,
            next_send: now,
            ending: None,
            sleep: Box::pin(tokio::time::sleep_until(now.into())),
        }
    }

    /// Runs until the session is over; the text is for the user.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..ROUNDS {
            let now = now();
            let mut busy = self.poll_commands(cx, now);
            busy |= self.poll_read(cx, now);
            self.deliver_to_agent(now);
            busy |= self.poll_port(cx, now);
            let wake = self.poll_channel(now);
            busy |= self.poll_write(cx, now);
            if let Some(output) = &self.ending {
                return Poll::Ready(output.clone());
            }
            if let Port::Mux(mux) = &self.port {
                mux.park(cx);
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
                    self.silent = false;
                    self.publish(true, now);
                }
                Command::Bye => {
                    if let Some(mut websocket) = self.websocket.take() {
                        tokio::spawn(async move {
                            let bye = CloseFrame {
                                code: CloseCode::Normal,
                                reason: "Bye".into(),
                            };
                            let _ = tokio::time::timeout(CLOSE_TIMEOUT, websocket.close(Some(bye)))
                                .await;
                        });
                        self.detach(now);
                    }
                }
                Command::Cut => {
                    self.websocket = None;
                    self.detach(now);
                }
                Command::Silent(silent) => self.silent = silent,
                Command::Terminate => self.ending = Some(String::new()),
                Command::Vanish => {
                    self.channel = None;
                    self.stop_port();
                    let pause = self.publication(false);
                    self.to_client.send(pause, now);
                }
                Command::SendRaw(bytes) => {
                    if let Some(channel) = &mut self.channel {
                        channel.send_output(&bytes, now);
                    }
                }
                Command::ReleaseHandshake => {
                    if let Some(channel) = &mut self.channel {
                        channel.release(now);
                    }
                }
            }
        }
        any
    }

    /// Tells both sides that the other is here, or tells the agent that the client is gone.
    fn publish(&mut self, start: bool, now: Instant) {
        let message = self.publication(start);
        if start && self.channel.is_some() {
            self.writing.push_front(message.clone());
        }
        if let Some(channel) = &mut self.channel {
            let mut terminated = false;
            let mut plugin = Plugin {
                port: &mut self.port,
                terminated: &mut terminated,
                now,
            };
            channel.handle(message, now, &mut plugin);
        }
    }

    fn publication(&mut self, start: bool) -> Bytes {
        let id = self.uuid();
        messages::publication(start, &self.id, id, self.unix())
    }

    /// The client is gone: what was on its way to it, beyond the gateway, is lost.
    fn detach(&mut self, now: Instant) {
        self.websocket = None;
        self.to_agent.cut();
        self.publish(false, now);
    }

    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes()).into_uuid()
    }

    fn unix(&self) -> Duration {
        self.state.clock.unix()
    }

    /// Reads the client's messages, unless the agent is busy: it reads none then either.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let blocked = match &self.port {
            Port::NotYet => false,
            Port::Mux(mux) => mux.is_blocked(),
            Port::Basic(basic) => basic.is_blocked(),
        };
        if self.silent || blocked || self.to_agent.is_full() {
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
                        self.count(now);
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

    /// Cuts the websocket when its time has come.
    fn count(&mut self, now: Instant) {
        self.relayed += 1;
        if self
            .state
            .faults
            .cut_after
            .is_some_and(|most| self.relayed >= most)
        {
            self.relayed = 0;
            self.detach(now);
        }
    }

    fn deliver_to_agent(&mut self, now: Instant) {
        let mut terminated = false;
        while let Some(message) = self.to_agent.arrived(now) {
            let Some(channel) = &mut self.channel else {
                continue;
            };
            let mut plugin = Plugin {
                port: &mut self.port,
                terminated: &mut terminated,
                now,
            };
            channel.handle(message, now, &mut plugin);
            if matches!(self.port, Port::NotYet) {
                self.start_port(now);
            }
        }
        if terminated {
            self.ending = Some(String::new());
        }
    }

    /// Once the handshake is complete the agent starts its port plugin.
    fn start_port(&mut self, now: Instant) {
        let Some(channel) = &self.channel else { return };
        let Some(client_version) = channel.client_version() else {
            return;
        };
        let client = parse_version(client_version);
        let agent = parse_version(channel.version());
        let properties = channel.properties();
        let host = properties.value("host");
        let port = properties
            .value("portNumber")
            .and_then(|port| port.parse().ok())
            .unwrap_or(0);
        if let Some(host) = host.filter(|host| is_forbidden(host)) {
            self.ending = Some(format!("Forwarding to IP address {host} is forbidden."));
            return;
        }
        let destination = self.instance.resolve(host, port);
        let delay = self.instance.dial_delay;
        let forwarding = properties.is_local_port_forwarding();
        self.port = if forwarding && agent > [3, 0, 196, 0] && client >= FIRST_MUX_CLIENT {
            let keepalive = client <= LAST_KEEPALIVE_CLIENT || agent <= [3, 1, 1511, 0];
            Port::Mux(MuxPort::start(destination, delay, keepalive, now))
        } else {
            Port::Basic(Box::new(Basic::start(destination, delay, !forwarding)))
        };
    }

    fn stop_port(&mut self) {
        if let Port::Mux(mux) = std::mem::replace(&mut self.port, Port::NotYet) {
            mux.stop();
        }
    }

    /// Moves the port's bytes to the channel, at the agent's pace.
    fn poll_port(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if matches!(self.port, Port::NotYet) {
            // Released by command rather than by a message.
            self.start_port(now);
        }
        let Some(channel) = &mut self.channel else {
            return false;
        };
        let mut progress = false;
        for _ in 0..BATCH {
            let may_send = channel.is_active()
                && now >= self.next_send
                && self.writing.len() < RELAY_BUFFER
                && !self.to_client.is_full();
            let sent = match &mut self.port {
                Port::NotYet => false,
                Port::Mux(mux) => {
                    while mux.take_refusal() {
                        channel.send_flag(Flag::ConnectToPortError, now);
                    }
                    if mux.is_dead() {
                        self.ending.get_or_insert_default();
                        return true;
                    }
                    let mut packet = BytesMut::new();
                    let read = if may_send {
                        mux.read(&mut packet, MAX_PAYLOAD)
                    } else {
                        0
                    };
                    if read > 0 {
                        channel.send_output(&packet, now);
                    }
                    read > 0
                }
                Port::Basic(basic) => {
                    let mut packet = [0; MAX_PAYLOAD];
                    match basic.poll(cx, may_send.then_some(&mut packet[..])) {
                        Poll::Pending => false,
                        Poll::Ready(Progress::Read(count)) => {
                            channel.send_output(packet.get(..count).unwrap_or_default(), now);
                            true
                        }
                        Poll::Ready(Progress::Ended(output)) => {
                            self.ending = Some(output);
                            return true;
                        }
                    }
                }
            };
            if !sent {
                return progress;
            }
            progress = true;
            if self.instance.paced {
                // Timers are coarser than the pace, so it is kept on average.
                let due = now
                    .checked_sub(CATCH_UP)
                    .map_or(self.next_send, |at| at.max(self.next_send));
                self.next_send = due + PACE;
            }
        }
        progress
    }

    /// The channel's timers and messages; returns when to wake up.
    fn poll_channel(&mut self, now: Instant) -> Instant {
        let mut wake = now + Duration::from_secs(3600);
        if let Some(channel) = &mut self.channel {
            channel.handle_timeout(now);
            if channel.has_timed_out(now) {
                self.ending = Some("The handshake timed out.".to_owned());
            }
            while let Some(message) = channel.poll_transmit() {
                self.to_client.send(message, now);
            }
            wake = wake.min(channel.poll_timeout());
        }
        if let Port::Mux(mux) = &self.port {
            mux.handle_timeout(now);
            wake = mux.poll_timeout().map_or(wake, |at| wake.min(at));
        }
        if self.next_send > now {
            wake = wake.min(self.next_send);
        }
        let arrivals = [self.to_agent.next_arrival(), self.to_client.next_arrival()];
        // A client that is away cannot be what is waited for.
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
        while !self.writing.is_empty() {
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
            self.count(now);
        }
        if let Some(websocket) = &mut self.websocket
            && let Poll::Ready(Err(_)) = Pin::new(&mut **websocket).poll_flush(cx)
        {
            self.detach(now);
            return true;
        }
        wrote
    }

    /// Says `channel_closed`, then closes.
    async fn end(mut self, output: &str) {
        self.stop_port();
        let id = self.uuid();
        let closed = messages::channel_closed(&self.id, output, id, self.unix());
        let Some(mut websocket) = self.websocket.take().filter(|_| !self.silent) else {
            return;
        };
        let last = self
            .writing
            .drain(..)
            .chain(std::iter::once(closed))
            .map(Message::Binary);
        let farewell = async {
            for message in last {
                futures_util::SinkExt::feed(&mut *websocket, message).await?;
            }
            futures_util::SinkExt::flush(&mut *websocket).await?;
            websocket.close(None).await
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Four numbers; what cannot be read counts as old.
fn parse_version(version: &str) -> [u32; 4] {
    let mut numbers = [0; 4];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        match part.parse() {
            Ok(parsed) => *number = parsed,
            Err(_) => return [0; 4],
        }
    }
    numbers
}

/// Metadata endpoints, and since 3.3.4851.0 loopback: hosts the agent does not forward to.
fn is_forbidden(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_link_local() || address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || bare == "fd00:ec2::254"
        }
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}
