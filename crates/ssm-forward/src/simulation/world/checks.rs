//! What must hold.

use ssm_sandbox::agent::{Agent, ConnectionId};

use super::{Over, World};
use crate::simulation::local_stream::Ending;
use crate::simulation::plan::{LocalEnd, TargetEnd};
use crate::simulation::target::{Phase as TargetPhase, Target};

impl World {
    /// What holds at every moment.
    pub(super) fn check(&self) {
        let stats = self.forward.stats();
        let plan = &self.plan;
        let payload = plan.config.session.max_payload;
        // The handshake and the flags do not wait for the window.
        let window = plan.config.session.max_window.max(2 * payload) + payload + 1024;
        assert!(stats.unacknowledged <= window, "window\n{}", self.state());
        assert!(
            stats.reordering <= plan.config.session.reorder_bytes,
            "reorder buffer\n{}",
            self.state()
        );
    }

    /// Everything written before an orderly end has reached its destination.
    pub(super) fn check_uploads(&self) {
        if self.plan.may_double() {
            // A connection that may carry bytes twice is reset even if its local program has closed.
            return;
        }
        let unwritten = self.agent.as_ref().map_or(0, Agent::unwritten);
        for (number, local) in self.locals.iter().enumerate() {
            let wrote_all = matches!(local.ending(), Some(Ending::Closed | Ending::EndOfFile))
                && local.upload.is_done();
            let Some(target) = self.target(number).filter(|_| wrote_all) else {
                continue;
            };
            let took_all = !matches!(target.phase, TargetPhase::Closed | TargetPhase::Refused);
            assert!(
                !took_all || target.upload.read + unwritten >= local.upload.written,
                "upload of {number} cut off\n{}",
                self.state()
            );
        }
    }

    fn target(&self, number: usize) -> Option<&Target> {
        let nth = self.opened.iter().position(|opened| *opened == number)?;
        let id = if self.is_multiplexed() {
            3 + 2 * nth
        } else {
            1 + nth
        };
        let id = ConnectionId(u32::try_from(id).expect("small"));
        self.targets.get(&id)
    }

    fn is_multiplexed(&self) -> bool {
        self.forward.is_multiplexed()
    }

    /// Every local program learnt how its stream really ended.
    pub(super) fn check_end(&self) {
        let any_refused = self.plan.streams.iter().any(|stream| stream.refused);
        for (number, local) in self.locals.iter().enumerate() {
            let ending = local.ending();
            let target = self.target(number);
            let fail = |what: &str| panic!("stream {number}: {what}\n{}", self.state());
            match ending {
                None => fail("no end"),
                Some(Ending::CutOff) if self.over.is_none() => fail("cut off without a cause"),
                Some(Ending::Refused) => {
                    // The agent's flag names no stream: two that received nothing can be confused.
                    if !any_refused || local.download.read > 0 {
                        fail("refused, but was not");
                    }
                }
                Some(Ending::EndOfFile) => match target {
                    Some(target)
                        if target.phase == TargetPhase::Refused && self.locals.len() == 1 =>
                    {
                        fail("refused, and was told that it ended");
                    }
                    _ if any_refused && local.download.read == 0 => {}
                    None => fail("an end without a beginning"),
                    Some(target) => {
                        // Nothing shows that an agent has vanished.
                        let one = !self.is_multiplexed();
                        let vanished = one && target.phase == TargetPhase::Killed;
                        if !vanished && local.download.read != target.download.written {
                            fail("end-of-file before everything was delivered");
                        }
                        let waits = local.plan.target_end == TargetEnd::Wait;
                        let basic = !self.is_multiplexed() && !self.plan.ssh;
                        if (waits || basic) && !vanished && !target.download.is_done() {
                            fail("given up before the answer was complete");
                        }
                        let by_itself = target.phase == TargetPhase::Closed;
                        if !waits && !basic && !by_itself && !vanished {
                            fail("ended while the answer was on its way");
                        }
                    }
                },
                Some(Ending::Doubled) if !self.plan.may_double() => fail("nothing was doubled"),
                Some(Ending::Doubled | Ending::CutOff | Ending::Closed | Ending::Reset) => {}
            }
            let refused = target.is_some_and(|target| target.phase == TargetPhase::Refused);
            let reads = matches!(ending, Some(Ending::EndOfFile | Ending::Refused));
            let leaves = matches!(
                local.plan.local_end,
                LocalEnd::Close | LocalEnd::Reset(_) | LocalEnd::CloseWhenAnswered
            );
            if refused && self.over.is_none() && !reads && !leaves && self.restarted_at.is_none() {
                fail("its refusal was not reported");
            }
        }
        self.check_cuts();
        if let Some(over) = &self.over {
            assert!(self.may_end(over), "the session ended\n{}", self.state());
        }
    }

    /// Where websockets break after a number of messages, enough of these got through for the first
    /// time.
    fn check_cuts(&self) {
        let sound = [&self.plan.to_agent, &self.plan.to_client]
            .iter()
            .all(|faults| faults.lose_nothing());
        let Some((most, _)) = self
            .plan
            .cuts
            .filter(|_| sound && self.restarted_at.is_none())
        else {
            return;
        };
        let stats = self.forward.stats();
        let through = stats.received + stats.acknowledged;
        let carried = self.worn_out as u64 * u64::from(most);
        assert!(
            carried <= 40 * (through + u64::from(most)),
            "{} websockets of {most} messages for {through}\n{}",
            self.worn_out,
            self.state()
        );
    }

    /// Whether the session had to end.
    fn may_end(&self, over: &Over) -> bool {
        let Some(text) = &self.agent_over else {
            return false;
        };
        match over {
            Over::Failed(_) if self.restarted_at.is_none() => false,
            // The old agents' smux hangs up after 30 s without a message. Several outages can add up to
            // that, and so can a lost message: keep-alives wait behind it until acknowledgements are
            // read.
            Over::ByService(_) | Over::Gone if text.is_empty() => {
                let disturbed = self.plan.is_disturbed() || self.plan.to_agent.drop > 0.0;
                self.plan.ssh || (self.plan.hangs_up() && disturbed)
            }
            Over::ByService(_) | Over::Gone if text.starts_with("Unable") => {
                self.plan.streams.iter().any(|stream| stream.refused)
            }
            Over::ByService(_) | Over::Gone if text.starts_with("The handshake") => {
                self.plan.is_disturbed()
            }
            _ => self.plan.restarts(),
        }
    }
}
