//! The simulated world: what is in it and how time passes.

mod agent;
mod checks;
mod client;
mod incidents;
mod messages;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_netem::{Faults, LossyLink};
use ssm_protocol::payload::SessionProperties;
use ssm_protocol::wire::{Message, MessageType};
use ssm_sandbox::agent::{Agent, AgentConfig, ConnectionId};

use super::local_stream::LocalStream;
use super::plan::Plan;
use super::target::Target;
use crate::{ForwardError, PortForward};
use incidents::Happening;
use messages::publication;

/// The maximum virtual time of a run.
const LONGEST: Duration = Duration::from_secs(3600);
/// Maximum rounds within one instant: more means that a state machine spins.
const MOST_ROUNDS: usize = 5000;
const UNIX_TIME: Duration = Duration::from_secs(1_800_000_000);

/// A client, a gateway, an agent and their connections, in virtual time.
#[derive(Debug)]
pub(super) struct World {
    plan: Plan,
    dice: fastrand::Rng,
    began: Instant,
    now: Instant,
    forward: PortForward,
    connected: bool,
    ready_at: Option<Instant>,
    /// How the client's session ended, if not in order.
    over: Option<Over>,
    closing: bool,
    closed: bool,
    locals: Vec<LocalStream>,
    /// Which of them were opened, in order.
    opened: Vec<usize>,
    client_to_gateway: LossyLink,
    gateway_to_agent: LossyLink,
    agent_to_gateway: LossyLink,
    gateway_to_client: LossyLink,
    waiting_for_client: VecDeque<Bytes>,
    waiting_for_agent: VecDeque<Bytes>,
    agent: Option<Agent>,
    agent_connected: bool,
    /// The text with which the agent ended, or how it was restarted.
    agent_over: Option<String>,
    restarted_at: Option<Instant>,
    targets: BTreeMap<ConnectionId, Target>,
    happenings: BTreeMap<(Instant, u64), Happening>,
    count: u64,
    /// Messages that went through the client's websocket, either way.
    carried: u32,
    /// How often it broke because it had carried its number.
    worn_out: usize,
    wakes: (Instant, usize),
    /// When the client learnt of a pause of publication, or last sent a message during it.
    paused: Option<Instant>,
    /// The next stream data sent must be the oldest unacknowledged message.
    resumed: bool,
    trace: bool,
    events: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Over {
    Failed(ForwardError),
    ByService(String),
    /// ResumeSession found nothing.
    Gone,
}

impl World {
    pub(super) fn new(plan: Plan, dice: fastrand::Rng, began: Instant) -> Self {
        let type_ = if plan.ssh { "" } else { "LocalPortForwarding" };
        let properties: SessionProperties = [("portNumber", "22"), ("type", type_)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let mut config = AgentConfig::new(plan.version, properties);
        config.paced = plan.paced;
        config.receive_buffer = plan.agent_buffer;
        config.handshake_held = plan.handshake_held.is_some();
        config.notices_after = plan.notices_after;
        let mut forward = PortForward::new(plan.config.clone(), [7; 32], began, UNIX_TIME);
        forward.connected(began);
        let leg = |faults: &Faults| LossyLink::new(faults.clone(), began);
        let mut world = Self {
            forward,
            connected: true,
            ready_at: None,
            over: None,
            closing: false,
            closed: false,
            locals: (0..)
                .zip(&plan.streams)
                .map(|(number, stream)| LocalStream::new(number, stream.clone(), began))
                .collect(),
            opened: Vec::new(),
            client_to_gateway: leg(&plan.to_agent),
            gateway_to_agent: leg(&plan.to_agent),
            agent_to_gateway: leg(&plan.to_client),
            gateway_to_client: leg(&plan.to_client),
            waiting_for_client: VecDeque::new(),
            waiting_for_agent: VecDeque::new(),
            agent: Some(Agent::new(config, 9, began, UNIX_TIME)),
            agent_connected: true,
            agent_over: None,
            restarted_at: None,
            targets: BTreeMap::new(),
            happenings: BTreeMap::new(),
            count: 0,
            carried: 0,
            worn_out: 0,
            wakes: (began, 0),
            paused: None,
            resumed: false,
            trace: std::env::var_os("SSM_SIM_TRACE").is_some(),
            events: BTreeSet::new(),
            dice,
            began,
            now: began,
            plan,
        };
        for (after, incident) in world.plan.incidents.clone() {
            world.plan_happening(after, Happening::Planned(incident));
        }
        if let Some(after) = world.plan.handshake_held {
            world.plan_happening(after, Happening::ReleaseHandshake);
        }
        let start = publication(MessageType::StartPublication);
        world.gateway_to_client.announce(start, began);
        world
    }

    /// Runs to the end and returns what happened.
    pub(super) fn run(mut self) -> BTreeSet<&'static str> {
        loop {
            let mut rounds = 0;
            while self.act() {
                rounds += 1;
                assert!(rounds < MOST_ROUNDS, "spins\n{}", self.state());
                self.check();
            }
            if self.closed || (self.over.is_some() && self.all_ended()) {
                break;
            }
            let next = self
                .wake()
                .unwrap_or_else(|| panic!("nothing will ever happen again\n{}", self.state()));
            assert!(next > self.now, "a wake in the past\n{}", self.state());
            self.now = next;
            assert!(self.now - self.began < LONGEST, "no end\n{}", self.state());
        }
        self.check_end();
        self.events
    }

    /// Prints a message if `SSM_SIM_TRACE` is set.
    #[expect(clippy::print_stderr, reason = "a trace is printed")]
    fn trace(&self, place: &str, message: &Bytes) {
        if !self.trace {
            return;
        }
        let after = self.now - self.began;
        match Message::decode_unverified(message.clone()) {
            Ok(Message { header, payload }) => eprintln!(
                "{after:?} {place}: {} {} {:?}, {} bytes {}",
                header.message_type,
                header.sequence_number,
                header.payload_type,
                payload.len(),
                String::from_utf8_lossy(payload.get(..120).unwrap_or(&payload)).escape_debug(),
            ),
            Err(error) => eprintln!("{after:?} {place}: {error}"),
        }
    }

    fn state(&self) -> String {
        let stats = self.forward.stats();
        let locals: Vec<_> = self
            .locals
            .iter()
            .map(|local| {
                format!(
                    "{:?} up {} down {}",
                    local.phase, local.upload.written, local.download.read
                )
            })
            .collect();
        let targets: Vec<_> = self
            .targets
            .iter()
            .map(|(id, target)| {
                format!(
                    "{} {:?} up {} down {}",
                    id.0, target.phase, target.upload.read, target.download.written
                )
            })
            .collect();
        format!(
            "after {:?}: {:?}\nconnected {} {}, over {:?}, agent over {:?}, closing {}\n\
             locals {locals:#?}\ntargets {targets:#?}\nopened {:?}",
            self.now - self.began,
            stats,
            self.connected,
            self.agent_connected,
            self.over,
            self.agent_over,
            self.closing,
            self.opened,
        )
    }

    fn all_ended(&self) -> bool {
        self.locals.iter().all(|local| local.ending().is_some())
    }

    /// Takes every step that is possible at this instant; whether there was any.
    fn act(&mut self) -> bool {
        let mut any = self.happen();
        any |= self.act_client();
        any |= self.act_locals();
        any |= self.relay();
        any |= self.act_agent();
        any | self.close()
    }

    /// Once every connection has ended, the session is ended in order.
    fn close(&mut self) -> bool {
        let now = self.now;
        if self.closed || self.over.is_some() {
            return false;
        }
        if let Some(restarted_at) = self.restarted_at
            && now > restarted_at + self.give_up_after()
        {
            let stats = self.forward.stats();
            // Each new websocket restarts the agent's time-out; a shell limits the number of those over
            // which nothing gets through.
            let resumes = self.plan.cuts.is_some() || !self.connected;
            assert!(
                stats.unacknowledged == 0 || resumes || self.forward.receive_paused(),
                "waits for an agent that is gone\n{}",
                self.state()
            );
            for local in &mut self.locals {
                local.give_up(&mut self.forward);
            }
            self.closed = true;
            return true;
        }
        if !self.all_ended() || !self.connected {
            return false;
        }
        let began_closing = !self.closing;
        self.closing = true;
        if !self.forward.is_drained() {
            return began_closing;
        }
        self.check_uploads();
        self.forward.terminate(now);
        self.closed = true;
        true
    }

    fn give_up_after(&self) -> Duration {
        // A half-closed stream may wait for the five minutes of a pause without a start.
        Duration::from_secs(600) + 5 * self.plan.config.session.peer_timeout
    }

    /// The next instant at which something happens.
    fn wake(&self) -> Option<Instant> {
        let now = self.now;
        let mut wakes: Vec<Instant> = Vec::new();
        wakes.extend(self.happenings.keys().next().map(|(at, _)| *at));
        if self.connected && self.over.is_none() {
            wakes.extend(self.forward.poll_timeout());
        }
        wakes.extend(self.client_to_gateway.next_arrival());
        wakes.extend(self.agent_to_gateway.next_arrival());
        // Messages that are not read now are no reason to wake.
        let read_later = [&self.gateway_to_client, &self.gateway_to_agent];
        let later = read_later.into_iter().filter_map(|leg| leg.next_arrival());
        wakes.extend(later.filter(|at| *at > now));
        if let Some(agent) = &self.agent {
            wakes.push(agent.poll_timeout(now));
        }
        wakes.extend(self.locals.iter().filter_map(|local| local.wake(now)));
        wakes.extend(self.targets.values().filter_map(|target| target.wake(now)));
        if let Some(ready_at) = self.ready_at {
            let opens = self.locals.iter().map(|local| ready_at + local.plan.at);
            wakes.extend(opens.filter(|at| *at > now));
        }
        if let Some(restarted_at) = self.restarted_at {
            let give_up = restarted_at + self.give_up_after() + Duration::from_millis(1);
            wakes.extend([give_up].into_iter().filter(|at| *at > now));
        }
        wakes.into_iter().min()
    }
}
