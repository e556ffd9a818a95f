//! The client: the state machine, driven as a shell drives it.

use std::time::Duration;

use super::incidents::Happening;
use super::messages::{is_question, sequence_number};
use super::{Over, World};
use crate::ForwardEvent;
use crate::simulation::local_stream::{LocalStream, Phase};

/// Messages read from the websocket in one batch.
const READ_BATCH: usize = 128;
/// The capacity of the client's socket, in bytes.
const SOCKET: usize = 64 << 10;
/// During a pause the client sends at most one message in this time.
const PROBES: Duration = Duration::from_secs(1);
/// Maximum wakes of the client's timer per second: more means that it spins.
const MOST_WAKES_A_SECOND: usize = 500;

impl World {
    /// What a shell does with an open websocket.
    pub(super) fn act_client(&mut self) -> bool {
        if self.over.is_some() || !self.connected || self.closed {
            // Without a websocket only the streams call the state machine.
            return false;
        }
        let now = self.now;
        let mut any = false;
        let mut outcome = Ok(());
        if !self.forward.receive_paused() {
            let mut most = self.plan.config.session_receive_budget;
            most += self.forward.stats().reordering;
            for _ in 0..READ_BATCH {
                if self.is_worn_out() {
                    break;
                }
                let Some(message) = self.gateway_to_client.arrived(now) else {
                    break;
                };
                any = true;
                self.carried += 1;
                self.trace("to client", &message);
                most += message.len();
                outcome = outcome.and_then(|()| self.forward.handle_message(message, now));
            }
            // The budget, one batch of messages, and those that the batch put in order.
            assert!(
                self.forward.buffered() <= most,
                "receive budget\n{}",
                self.state()
            );
        } else {
            self.events.insert("receiving paused");
        }
        if self.forward.poll_timeout().is_some_and(|at| at <= now) {
            any = true;
            if self.now - self.wakes.0 > Duration::from_secs(1) {
                self.wakes = (self.now, 0);
            }
            self.wakes.1 += 1;
            assert!(
                self.wakes.1 < MOST_WAKES_A_SECOND,
                "its timer spins\n{}",
                self.state()
            );
        }
        // As a shell does in each round.
        outcome = outcome.and_then(|()| self.forward.handle_timeout(now));
        any |= self.client_events();
        any |= self.transmit();
        if let Err(error) = outcome {
            self.over = Some(Over::Failed(error));
        }
        any |= self.client_events();
        if self.over.is_some() {
            any = true;
            self.wake_locals();
        }
        any
    }

    fn transmit(&mut self) -> bool {
        let mut any = false;
        while self.client_to_gateway.bytes() < SOCKET {
            let stats = self.forward.stats();
            let message = self.forward.poll_transmit(self.now);
            let number = message.as_ref().and_then(sequence_number);
            if number.is_some()
                && let Some(since) = self.paused
            {
                assert!(
                    self.now - since >= PROBES,
                    "sends during a pause\n{}",
                    self.state()
                );
                self.paused = Some(self.now);
            }
            let waits = self.resumed
                && stats.unacknowledged > 0
                && self.paused.is_none()
                && self.over.is_none();
            if waits && message.is_none() || number.is_some() {
                let oldest = i64::try_from(stats.confirmed).ok();
                assert!(
                    !waits || number == oldest,
                    "does not begin with what is unacknowledged\n{}",
                    self.state()
                );
                self.resumed = false;
            }
            let Some(message) = message else {
                break;
            };
            any = true;
            if is_question(&message) {
                self.events.insert("asked");
            }
            self.trace("from client", &message);
            self.client_to_gateway
                .send(message, self.now, &mut self.dice);
        }
        any
    }

    fn client_events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.forward.poll_event() {
            any = true;
            match event {
                ForwardEvent::Ready => self.ready_at = Some(self.now),
                ForwardEvent::Readable(id) => {
                    if let Some(local) = self.local(id) {
                        local.wake_reader();
                    }
                }
                ForwardEvent::Writable(id) => {
                    if let Some(local) = self.local(id) {
                        local.wake_writer();
                    }
                }
                ForwardEvent::Refused => {
                    self.events.insert("refused");
                }
                ForwardEvent::ChannelClosed { output } => self.over = Some(Over::ByService(output)),
                ForwardEvent::Paused(paused) => {
                    self.paused = paused.then_some(self.now);
                    self.events.insert("paused");
                }
            }
        }
        any
    }

    fn local(&mut self, id: ssm_smux::StreamId) -> Option<&mut LocalStream> {
        self.locals.iter_mut().find(|local| local.id() == Some(id))
    }

    pub(super) fn wake_locals(&mut self) {
        for local in &mut self.locals {
            local.wake_reader();
        }
    }

    pub(super) fn act_locals(&mut self) -> bool {
        let now = self.now;
        let over = self.over.is_some();
        let mut any = false;
        let mut before_ended = true;
        let mut ended = false;
        for (number, local) in self.locals.iter_mut().enumerate() {
            if let Some(ready_at) = self.ready_at
                && local.phase == Phase::NotYet
                && ready_at + local.plan.at <= now
                && !over
                && (before_ended || !self.plan.reuse)
                && let Some(id) = self.forward.open()
            {
                local.opened(id, now);
                self.opened.push(number);
                any = true;
            }
            let had_ended = local.ending().is_some();
            any |= local.act(&mut self.forward, now, over);
            before_ended = local.ending().is_some();
            ended |= before_ended && !had_ended;
        }
        if ended && let Some((after, incident)) = self.plan.between {
            self.events.insert("cut between connections");
            self.plan_happening(after, Happening::Planned(incident));
        }
        any
    }
}
