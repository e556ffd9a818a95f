//! The destination of a stream.

use std::time::Instant;

use ssm_sandbox::agent::{Agent, ConnectionId, ToDestination};

use super::flow::{Reader, Writer};
use super::plan::{StreamPlan, TargetEnd};

/// A destination that the agent connects to.
#[derive(Debug)]
pub(super) struct Target {
    id: ConnectionId,
    plan: StreamPlan,
    pub(super) phase: Phase,
    pub(super) upload: Reader,
    /// The agent has taken what is written.
    pub(super) download: Writer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dialling(Instant),
    Refused,
    Open,
    /// It closed.
    Closed,
    /// The agent closed, because the client did.
    ClosedByClient,
    /// The agent is gone.
    Killed,
}

impl Target {
    pub(super) fn new(number: u64, id: ConnectionId, plan: StreamPlan, now: Instant) -> Self {
        let first = now + plan.dial + plan.think;
        Self {
            id,
            phase: Phase::Dialling(now + plan.dial),
            upload: Reader::new(2 * number, plan.upload.clone(), now),
            download: Writer::new(2 * number + 1, plan.download.clone(), first),
            plan,
        }
    }

    /// Whether it did anything.
    pub(super) fn act(&mut self, agent: &mut Agent, now: Instant) -> bool {
        let mut any = false;
        if let Phase::Dialling(at) = self.phase {
            if at > now {
                return false;
            }
            any = true;
            if self.plan.refused {
                agent.dialled(self.id, Err("connection refused".to_owned()), now);
                self.phase = Phase::Refused;
                return true;
            }
            agent.dialled(self.id, Ok(()), now);
            self.phase = Phase::Open;
        }
        if self.phase != Phase::Open {
            return any;
        }
        while self.upload.next <= now {
            match agent.next_for_destination(self.id) {
                ToDestination::Data(data) => self.upload.take(&data, now),
                ToDestination::Nothing => break,
                ToDestination::Close => {
                    agent.closed(self.id);
                    self.phase = Phase::ClosedByClient;
                    return true;
                }
            }
            any = true;
        }
        while self.download.next <= now
            && !self.download.is_done()
            && (self.upload.is_done() || !self.plan.answers_last)
        {
            let Some(room) = agent.room(self.id).filter(|room| *room > 0) else {
                break;
            };
            let data = self.download.write(room, usize::MAX, now);
            agent.destination_sent(self.id, &data);
            any = true;
        }
        let answered = self.download.is_done();
        let done = match self.plan.target_end {
            TargetEnd::CloseWhenDone => answered && self.upload.is_done(),
            TargetEnd::CloseWhenAnswered => answered,
            TargetEnd::Wait => false,
        };
        if done {
            agent.closed(self.id);
            self.phase = Phase::Closed;
        }
        any || done
    }

    pub(super) fn kill(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::Dialling(_)) {
            self.phase = Phase::Killed;
        }
    }

    /// When it goes on by itself.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let wakes = match self.phase {
            Phase::Dialling(at) => [Some(at), None],
            Phase::Open => [Some(self.upload.next), Some(self.download.next)],
            _ => return None,
        };
        wakes.into_iter().flatten().filter(|at| *at > now).min()
    }
}
