use std::time::Duration;

use ssm_netem::{Faults, happens, up_to};
use ssm_protocol::wire::PAYLOAD_OFFSET;

use crate::ForwardConfig;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// On either side of every limit that versions decide by.
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
    /// The agent says that the handshake is complete before it knows so itself.
    pub(super) notices_after: Duration,
    pub(super) config: ForwardConfig,
    pub(super) to_agent: Faults,
    pub(super) to_client: Faults,
    /// The gateway keeps messages for a side that is away.
    pub(super) keeps: bool,
    /// So many more messages reach the agent when its websocket breaks: it reads them, and cannot
    /// write any acknowledgement.
    pub(super) read_at_break: usize,
    pub(super) incidents: Vec<(Duration, Incident)>,
    /// The client's websocket breaks each time that it carried so many messages, both ways together,
    /// and is back after this long.
    pub(super) cuts: Option<(u32, Duration)>,
    pub(super) streams: Vec<StreamPlan>,
    /// Where a basic session carries several connections, one after the other.
    pub(super) reuse: bool,
    /// What goes wrong so long after each of them ends: bytes of the one and the first of the next
    /// are on their way together for no longer than a round trip, which nothing else hits.
    pub(super) between: Option<(Duration, Incident)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incident {
    /// The client's websocket breaks, and is back after this long.
    CutClient(Duration),
    /// The agent's.
    CutAgent(Duration),
    /// The service says that publication is paused, and says again that it goes on after this long.
    Pause(Duration),
    /// The same, and nobody says that it goes on.
    PauseWithoutStart,
    /// Nothing arrives anywhere for this long.
    Silence(Duration),
    /// The agent is gone, and its session with it.
    AgentRestart(Restart),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// The service says that the channel is closed.
    Told,
    /// It says that publication is paused.
    Paused,
    /// It says nothing.
    Silent,
}

/// One local connection and its destination.
#[derive(Debug, Clone)]
pub(super) struct StreamPlan {
    /// When the local program connects, after the session is ready or later.
    pub(super) at: Duration,
    pub(super) upload: Flow,
    pub(super) download: Flow,
    /// The destination waits for the whole upload before it answers.
    pub(super) answers_last: bool,
    /// Before the destination's first byte.
    pub(super) think: Duration,
    pub(super) dial: Duration,
    pub(super) refused: bool,
    pub(super) local_end: LocalEnd,
    pub(super) target_end: TargetEnd,
}

/// Bytes from a writer to a reader.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) bytes: usize,
    /// Most bytes of one write.
    pub(super) chunk: usize,
    pub(super) write_gap: Duration,
    pub(super) read_gap: Duration,
    /// The reader stops after so many bytes for so long.
    pub(super) stall: Option<(usize, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocalEnd {
    /// Shuts down writing after the upload, reads to the end.
    HalfClose,
    /// Closes after the upload and the whole answer.
    CloseWhenAnswered,
    /// Closes right after the upload.
    Close,
    /// Resets after so many bytes of the upload.
    Reset(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetEnd {
    /// Closes once it got the whole upload and sent its answer.
    CloseWhenDone,
    /// Closes after its answer, whatever the client still sends.
    CloseWhenAnswered,
    /// Waits for the client to close.
    Wait,
}

/// A size whose logarithm is spread evenly.
fn size(dice: &mut fastrand::Rng, least: usize, most: usize) -> usize {
    let (least, most) = (least as f64, most as f64);
    (least * (most / least).powf(dice.f64())) as usize
}

impl Plan {
    pub(super) fn new(dice: &mut fastrand::Rng) -> Self {
        let version = *dice.choice(&VERSIONS).expect("some");
        let ssh = happens(dice, 0.05);
        let basic = ssh || matches!(version, "2.3.672.0" | "2.3.1205.0" | "3.0.196.0");
        // Several connections in turn are told apart by the order of what arrives.
        let reuse = basic && !ssh && happens(dice, 0.5);
        // The service's last word overtakes what is lost, where something is.
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
        // Until their port is connected these throw data away. The client waits 250 ms.
        let connects_late = ["3.0.655.0", "3.1", "3.2", "3.3"];
        let throws_away = basic && !connects_late.iter().any(|new| version.starts_with(new));
        for stream in &mut streams {
            if throws_away {
                stream.dial = stream.dial.min(200 * MS);
            }
            // What was reset before it was sent dials nothing.
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
        // The SSH document's session ends with a word that overtakes what a cut lost. Agents that say
        // nothing of what they have already answer sixteen inquiries first, which no websocket sees
        // that breaks so soon.
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

    /// How long an outage may be that everything survives.
    fn longest(&self) -> Duration {
        if self.hangs_up() {
            // The agent itself hangs up after 30 s without a word.
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
            // The SSH document's session ends with a word that overtakes what a cut lost.
            let first = if self.ssh { 7 } else { 0 };
            let incident = match dice.usize(first..10) {
                0..4 => Incident::CutClient(long),
                4..7 => Incident::CutAgent(long),
                7 => Incident::Pause(long),
                8 => Incident::PauseWithoutStart,
                // As long as nobody can know, a quiet stream may be given up.
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
        // Each way leads over the gateway.
        let round_trip = 2 * (self.to_agent.latency + self.to_client.latency);
        let long = up_to(dice, 2 * SECOND);
        let cut = [Incident::CutClient(long), Incident::CutAgent(long)][dice.usize(..2)];
        self.between = Some((up_to(dice, round_trip), cut));
        for stream in &mut self.streams {
            // The next one waits already, and the answer comes while the local side leaves.
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

    /// Whether bytes may come twice at a destination that has no other protection.
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

impl Flow {
    fn new(dice: &mut fastrand::Rng, most: usize, longest_stall: Duration) -> Self {
        let bytes = if happens(dice, 0.15) {
            0
        } else {
            size(dice, 1, most)
        };
        let gap = |dice: &mut fastrand::Rng| {
            if happens(dice, 0.7) {
                Duration::ZERO
            } else {
                up_to(dice, 20 * MS)
            }
        };
        Self {
            bytes,
            // So that the gaps do not add up to minutes.
            chunk: size(dice, 1, 8192).max(bytes / 50),
            write_gap: gap(dice),
            read_gap: gap(dice),
            stall: happens(dice, 0.15)
                .then(|| (dice.usize(..bytes + 1), up_to(dice, longest_stall))),
        }
    }
}

impl StreamPlan {
    fn new(dice: &mut fastrand::Rng, basic: bool, ssh: bool, config: &ForwardConfig) -> Self {
        // A local reader may take all the time it wants; a destination that does not read keeps the
        // agent from saying anything, and a half-closed stream cannot know what it waits for.
        let local_stall = if happens(dice, 0.2) {
            config.session.peer_timeout * 2
        } else {
            5 * SECOND
        };
        let mut upload = Flow::new(dice, 40_000, config.half_close_quiet / 4);
        let mut download = Flow::new(dice, 40_000, local_stall);
        if basic {
            upload.bytes = upload.bytes.max(1);
            download.bytes = download.bytes.max(1);
        }
        let local_end = match dice.usize(..10) {
            0..3 => LocalEnd::HalfClose,
            3..6 => LocalEnd::CloseWhenAnswered,
            6..8 => LocalEnd::Close,
            _ => LocalEnd::Reset(dice.usize(..upload.bytes + 1)),
        };
        let mut target_end = match dice.usize(..10) {
            0..4 => TargetEnd::CloseWhenDone,
            4..6 => TargetEnd::CloseWhenAnswered,
            _ => TargetEnd::Wait,
        };
        if basic && target_end == TargetEnd::CloseWhenAnswered {
            // The agent would dial again for the rest.
            target_end = TargetEnd::CloseWhenDone;
        }
        if ssh {
            target_end = TargetEnd::CloseWhenDone;
        }
        let at = [SECOND / 10, 10 * SECOND][dice.usize(..2)];
        let think = [50 * MS, 2 * SECOND][dice.usize(..2)];
        let dial = [5 * MS, 2 * SECOND][dice.usize(..2)];
        Self {
            at: up_to(dice, at),
            upload,
            download,
            answers_last: dice.bool(),
            think: up_to(dice, think),
            dial: up_to(dice, dial),
            refused: happens(dice, if basic { 0.04 } else { 0.1 }),
            local_end,
            target_end,
        }
    }
}
