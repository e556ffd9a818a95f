//! Everything that a seed decides.

mod stream;

use std::time::Duration;

use ssm_netem::{Faults, happens, size, up_to};
use ssm_protocol::wire::PAYLOAD_OFFSET;

use crate::ForwardConfig;
pub(super) use stream::{Flow, LocalEnd, StreamPlan, TargetEnd};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// On both sides of every version at which agents behave differently.
const VERSIONS: [&str; 12] = [
    "2.3.672.0",
    "2.3.1205.0",
    "3.0.196.0",
    "3.0.197.0",
    "3.0.654.0",
    "3.0.655.0",
    "3.1.1511.0",
    "3.1.1512.0",
    "3.2.1040.0",
    "3.2.1041.0",
    "3.3.1142.0",
    "3.3.4851.0",
];

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) version: &'static str,
    /// The SSH document: one stream, and the session ends with it.
    pub(super) ssh: bool,
    pub(super) paced: bool,
    /// The agent's buffer for all streams.
    pub(super) agent_buffer: usize,
    /// HandshakeComplete is held back for this long.
    pub(super) handshake_held: Option<Duration>,
    /// The agent sends HandshakeComplete this long before it considers the handshake complete itself.
    pub(super) notices_after: Duration,
    pub(super) config: ForwardConfig,
    pub(super) to_agent: Faults,
    pub(super) to_client: Faults,
    /// The gateway keeps messages for a side that is away.
    pub(super) keeps: bool,
    /// When the agent's websocket breaks, this many more messages reach the agent, which cannot
    /// acknowledge them any more.
    pub(super) read_at_break: usize,
    pub(super) incidents: Vec<(Duration, Incident)>,
    /// The client's websocket breaks each time it has carried this many messages, both directions
    /// together, and is back after this long.
    pub(super) cuts: Option<(u32, Duration)>,
    pub(super) streams: Vec<StreamPlan>,
    /// A basic session carries several connections, one after the other.
    pub(super) reuse: bool,
    /// What goes wrong this long after each of them ends. Bytes of one connection and the first of the
    /// next are on their way together for a round trip at most, which other incidents would not hit.
    pub(super) between: Option<(Duration, Incident)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incident {
    /// The client's websocket breaks, and is back after this long.
    CutClient(Duration),
    /// The agent's websocket breaks, and is back after this long.
    CutAgent(Duration),
    /// The service announces a pause of publication, and its start after this long.
    Pause(Duration),
    /// The service announces a pause, and no start.
    PauseWithoutStart,
    /// Nothing arrives on either side for this long.
    Silence(Duration),
    /// The agent is gone, and its session with it.
    AgentRestart(Restart),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// The service sends channel_closed.
    Told,
    /// The service announces a pause of publication.
    Paused,
    /// The service sends nothing.
    Silent,
}

impl Plan {
    pub(super) fn new(dice: &mut fastrand::Rng) -> Self {
        let version = *dice.choice(&VERSIONS).expect("some");
        let ssh = happens(dice, 0.05);
        let basic = ssh || matches!(version, "2.3.672.0" | "2.3.1205.0" | "3.0.196.0");
        // Only the order of arrival tells successive connections apart.
        let reuse = basic && !ssh && happens(dice, 0.5);
        // channel_closed is not numbered, so it overtakes what is lost.
        let sound = ssh || reuse || happens(dice, 0.3);
        let faults = |dice: &mut fastrand::Rng| Faults {
            latency: up_to(dice, 80 * MS),
            // The header is not protected by the digest.
            undamaged: PAYLOAD_OFFSET,
            ..Faults::default()
        };
        let (mut to_agent, mut to_client) = (faults(dice), faults(dice));
        if !sound {
            for faults in [&mut to_agent, &mut to_client] {
                let worst = [0.02, 0.1, 0.2][dice.usize(..3)];
                if dice.bool() {
                    faults.drop = worst * dice.f64();
                }
                if dice.bool() {
                    faults.duplicate = worst * dice.f64();
                }
                if dice.bool() {
                    faults.jitter = up_to(dice, 40 * MS);
                }
                if dice.bool() {
                    faults.late = 0.03 * dice.f64();
                }
            }
            if happens(dice, 0.3) {
                // The agent does not check digests: damage on the way to it cannot be survived.
                to_client.damage = 0.1 * dice.f64();
            }
        }
        if happens(dice, 0.2) {
            to_agent.rate = Some(dice.u32(20_000..500_000));
        }
        let mut config = ForwardConfig::default();
        config.session.max_payload = size(dice, 64, 1025);
        config.session.max_window = size(dice, 2048, 262_144);
        config.session_receive_budget = size(dice, 1024, 65_536);
        config.stream_send_buffer = size(dice, 256, 65_536);
        config.half_close_quiet = 8 * SECOND + up_to(dice, 4 * SECOND);
        config.session.peer_timeout = 60 * SECOND + up_to(dice, 240 * SECOND);
        // Some runs damage one message in ten.
        config.session.max_bad_messages = 1000;
        if happens(dice, 0.1) {
            config.keep_alive = Some(SECOND + up_to(dice, 9 * SECOND));
        }
        let count = match (basic, reuse) {
            (true, false) => 1,
            (true, true) => dice.usize(1..4),
            (false, _) => dice.usize(1..7),
        };
        let mut streams: Vec<_> = (0..count)
            .map(|_| StreamPlan::new(dice, basic, ssh, &config))
            .collect();
        // These agents discard data until their port is connected. The client waits 250 ms.
        let connects_late = ["3.0.655.0", "3.1", "3.2", "3.3"];
        let throws_away = basic && !connects_late.iter().any(|new| version.starts_with(new));
        for stream in &mut streams {
            if throws_away {
                stream.dial = stream.dial.min(200 * MS);
            }
            // For a connection that is reset before anything was sent, the agent does not connect.
            if reuse && matches!(stream.local_end, LocalEnd::Reset(_)) {
                stream.local_end = LocalEnd::Close;
            }
        }
        let paced = dice.bool();
        let agent_buffer = [4 << 20, size(dice, 2048, 65_536)][dice.usize(..2)];
        let handshake_held = happens(dice, 0.1).then(|| up_to(dice, 3 * SECOND));
        // The client waits 25 ms.
        let notices_after = up_to(dice, 24 * MS);
        config.session.min_window = size(dice, 1024, 16_384);
        config.session.reorder_bytes = size(dice, 1500, 65_536);
        let mut plan = Self {
            version,
            ssh,
            paced,
            agent_buffer,
            handshake_held,
            notices_after,
            config,
            to_agent,
            to_client,
            keeps: dice.bool(),
            read_at_break: dice.usize(..4),
            incidents: Vec::new(),
            cuts: None,
            streams,
            reuse,
            between: None,
        };
        plan.add_incidents(dice);
        // With the SSH document channel_closed overtakes what a cut lost. Agents that acknowledge only
        // once have to answer sixteen inquiries first, for which such a websocket breaks too soon.
        let answers = matches!(version, "3.2.1041.0" | "3.3.1142.0" | "3.3.4851.0");
        if !ssh && answers && happens(dice, 0.5) {
            let long = [20 * MS, 500 * MS][dice.usize(..2)];
            plan.cuts = Some((dice.u32(20..101), up_to(dice, long)));
        }
        if reuse && dice.bool() {
            plan.add_between(dice);
        }
        plan
    }

    /// Whether the agent ends a session on which it hears nothing for 30 s.
    pub(super) fn hangs_up(&self) -> bool {
        let old = ["3.0.197.0", "3.0.654.0", "3.0.655.0", "3.1.1511.0"];
        old.contains(&self.version)
    }

    /// The longest outage that a session survives.
    fn longest(&self) -> Duration {
        if self.hangs_up() {
            // The agent hangs up when it has heard nothing for 30 s.
            27 * SECOND
        } else {
            40 * SECOND
        }
    }

    fn add_incidents(&mut self, dice: &mut fastrand::Rng) {
        if happens(dice, 0.25) {
            return;
        }
        let within = [2 * SECOND, 10 * SECOND, 60 * SECOND][dice.usize(..3)];
        for _ in 0..dice.usize(1..7) {
            let at = up_to(dice, within);
            let long = if happens(dice, 0.2) {
                up_to(dice, self.longest())
            } else {
                up_to(dice, 2 * SECOND)
            };
            // With the SSH document channel_closed overtakes what a cut lost.
            let first = if self.ssh { 7 } else { 0 };
            let incident = match dice.usize(first..10) {
                0..4 => Incident::CutClient(long),
                4..7 => Incident::CutAgent(long),
                7 => Incident::Pause(long),
                8 => Incident::PauseWithoutStart,
                // Silence is not announced, so a longer one may end a half-closed stream.
                _ => Incident::Silence(long.min(self.config.half_close_quiet / 3)),
            };
            self.incidents.push((at, incident));
        }
        if happens(dice, 0.08) {
            let how = [Restart::Told, Restart::Paused, Restart::Silent][dice.usize(..3)];
            let restart = Incident::AgentRestart(how);
            self.incidents.push((up_to(dice, 10 * SECOND), restart));
        }
    }

    fn add_between(&mut self, dice: &mut fastrand::Rng) {
        // Each direction has two links, to the gateway and from it.
        let round_trip = 2 * (self.to_agent.latency + self.to_client.latency);
        let long = up_to(dice, 2 * SECOND);
        let cut = [Incident::CutClient(long), Incident::CutAgent(long)][dice.usize(..2)];
        self.between = Some((up_to(dice, round_trip), cut));
        for stream in &mut self.streams {
            // The next connection already waits, and the answer arrives while the local side closes.
            stream.at = Duration::ZERO;
            stream.answers_last = false;
        }
    }

    /// Whether the agent processes a message again when its websocket breaks before it is acknowledged.
    fn processes_first(&self) -> bool {
        let acknowledge_first = ["2.3", "3.0.196.0", "3.0.197.0", "3.0.654.0"];
        !acknowledge_first
            .iter()
            .any(|old| self.version.starts_with(old))
    }

    /// Whether a destination without protection of its own may receive bytes twice.
    pub(super) fn may_double(&self) -> bool {
        let paused = |incident: &(_, Incident)| {
            matches!(
                incident.1,
                Incident::Pause(_) | Incident::PauseWithoutStart | Incident::CutAgent(_)
            )
        };
        self.ssh && self.processes_first() && self.incidents.iter().any(paused)
    }

    /// Whether a websocket breaks, or the service falls silent.
    pub(super) fn is_disturbed(&self) -> bool {
        !self.incidents.is_empty() || self.cuts.is_some()
    }

    pub(super) fn restarts(&self) -> bool {
        let restart = |incident: &(_, Incident)| matches!(incident.1, Incident::AgentRestart(_));
        self.incidents.iter().any(restart)
    }
}
