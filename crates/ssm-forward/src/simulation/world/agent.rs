//! The gateway, the agent behind it and the agent's destinations.

use ssm_sandbox::agent::Agent;

use super::World;
use super::messages::channel_closed;
use crate::simulation::target::Target;

/// Messages that the gateway buffers for a client that does not read.
const GATEWAY_BUFFER: usize = 1024;

impl World {
    /// The gateway relays between its two sides.
    pub(super) fn relay(&mut self) -> bool {
        let now = self.now;
        let mut any = false;
        while !self.is_worn_out()
            && let Some(message) = self.client_to_gateway.arrived(now)
        {
            any = true;
            self.carried += 1;
            if self.agent_connected {
                self.gateway_to_agent.send(message, now, &mut self.dice);
            } else if self.plan.keeps {
                self.waiting_for_agent.push_back(message);
            }
        }
        while let Some(message) = self.agent_to_gateway.arrived(now) {
            any = true;
            let last_word = message.get(4..18) == Some(b"channel_closed");
            if !self.connected {
                if self.plan.keeps {
                    self.waiting_for_client.push_back(message);
                }
            } else if last_word {
                self.gateway_to_client.announce(message, now);
            } else {
                self.gateway_to_client.send(message, now, &mut self.dice);
            }
        }
        any
    }

    pub(super) fn act_agent(&mut self) -> bool {
        let now = self.now;
        // Taken out so that the rest of the world can be borrowed meanwhile.
        let Some(mut agent) = self.agent.take() else {
            while self.gateway_to_agent.arrived(now).is_some() {}
            return false;
        };
        let any = self.drive_agent(&mut agent);
        if let Some(output) = agent.ended() {
            let output = output.to_owned();
            let last = channel_closed(&output);
            self.agent_gone(output);
            self.agent_to_gateway.announce(last, now);
            return true;
        }
        self.agent = Some(agent);
        any
    }

    fn drive_agent(&mut self, agent: &mut Agent) -> bool {
        let now = self.now;
        let mut any = false;
        while !agent.is_blocked()
            && let Some(message) = self.gateway_to_agent.arrived(now)
        {
            any = true;
            self.trace("to agent", &message);
            agent.handle(message, now);
        }
        if agent.is_blocked() {
            self.events.insert("agent blocked");
        }
        if agent.poll_timeout(now) <= now {
            any = true;
            agent.handle_timeout(now);
        }
        if agent.repeated() > 0 {
            self.events.insert("processed again");
        }
        if agent.ended().is_some() {
            return true;
        }
        while let Some(id) = agent.poll_dial() {
            any = true;
            let number = match &self.plan {
                plan if plan.streams.len() == 1 => Some(0),
                plan if plan.reuse => usize::try_from(id.0).ok().map(|id| id - 1),
                _ => {
                    let nth = (id.0 as usize - 3) / 2;
                    self.opened.get(nth).copied()
                }
            };
            let number = number
                .filter(|number| *number < self.plan.streams.len())
                .expect("only our streams are dialled");
            let stream = self.plan.streams[number].clone();
            self.targets
                .insert(id, Target::new(number as u64, id, stream, now));
        }
        while agent.poll_ready().is_some() {}
        for target in self.targets.values_mut() {
            any |= target.act(agent, now);
        }
        loop {
            let more = self.agent_connected
                && self.agent_to_gateway.len() + self.gateway_to_client.len() < GATEWAY_BUFFER;
            let Some(message) = agent.poll_transmit(now, more) else {
                break;
            };
            any = true;
            self.trace("from agent", &message);
            if self.agent_connected {
                self.agent_to_gateway.send(message, now, &mut self.dice);
            }
        }
        any
    }
}
