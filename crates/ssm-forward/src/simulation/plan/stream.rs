//! What a seed decides about one stream.

use std::time::Duration;

use ssm_netem::{happens, size, up_to};

use crate::ForwardConfig;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// One local connection and its destination.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct StreamPlan {
    /// When the local program connects, after the session is ready or later.
    pub(in crate::simulation) at: Duration,
    pub(in crate::simulation) upload: Flow,
    pub(in crate::simulation) download: Flow,
    /// The destination waits for the whole upload before it answers.
    pub(in crate::simulation) answers_last: bool,
    /// How long the destination takes before its first byte.
    pub(in crate::simulation) think: Duration,
    pub(in crate::simulation) dial: Duration,
    pub(in crate::simulation) refused: bool,
    pub(in crate::simulation) local_end: LocalEnd,
    pub(in crate::simulation) target_end: TargetEnd,
}

/// Bytes from a writer to a reader.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Flow {
    pub(in crate::simulation) bytes: usize,
    /// Maximum bytes of one write.
    pub(in crate::simulation) chunk: usize,
    pub(in crate::simulation) write_gap: Duration,
    pub(in crate::simulation) read_gap: Duration,
    /// After this many bytes the reader stops for this long.
    pub(in crate::simulation) stall: Option<(usize, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulation) enum LocalEnd {
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
pub(in crate::simulation) enum TargetEnd {
    /// Closes once it has received the whole upload and sent its answer.
    CloseWhenDone,
    /// Closes after its answer, whatever the client still sends.
    CloseWhenAnswered,
    /// Waits for the client to close.
    Wait,
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
    pub(in crate::simulation) fn new(
        dice: &mut fastrand::Rng,
        basic: bool,
        ssh: bool,
        config: &ForwardConfig,
    ) -> Self {
        // A local reader may be as slow as it likes. A destination that does not read keeps the agent
        // from sending anything, and a half-closed stream would be given up meanwhile.
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
            // The agent would connect again for the rest.
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
