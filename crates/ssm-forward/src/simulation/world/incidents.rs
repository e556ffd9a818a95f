//! Incidents: what breaks, and how it comes back.

use std::time::Duration;

use bytes::Bytes;
use ssm_protocol::wire::MessageType;

use super::messages::{channel_closed, publication};
use super::{Over, World};
use crate::simulation::plan::{Incident, Plan, Restart};

#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    Planned(Incident),
    ClientBack,
    AgentBack,
    Start,
    ReleaseHandshake,
}

impl World {
    pub(super) fn plan_happening(&mut self, after: Duration, happening: Happening) {
        self.count += 1;
        let key = (self.now + after, self.count);
        self.happenings.insert(key, happening);
    }

    /// Whether the client's websocket has carried its number of messages.
    pub(super) fn is_worn_out(&self) -> bool {
        let cuts = self.plan.cuts;
        self.connected && cuts.is_some_and(|(most, _)| self.carried >= most)
    }

    pub(super) fn happen(&mut self) -> bool {
        if self.is_worn_out()
            && let Some((_, long)) = self.plan.cuts
        {
            self.events.insert("cut by count");
            self.worn_out += 1;
            self.incident(Incident::CutClient(long));
            return true;
        }
        let Some(entry) = self.happenings.first_entry() else {
            return false;
        };
        if entry.key().0 > self.now {
            return false;
        }
        let now = self.now;
        match entry.remove() {
            Happening::Planned(incident) => self.incident(incident),
            Happening::ClientBack => self.client_back(),
            Happening::AgentBack => {
                if let Some(agent) = &mut self.agent {
                    agent.set_broken(false);
                    self.agent_connected = true;
                    let start = publication(MessageType::StartPublication);
                    self.gateway_to_agent.announce(start.clone(), now);
                    self.announce(start);
                    for message in std::mem::take(&mut self.waiting_for_agent) {
                        self.gateway_to_agent.announce(message, now);
                    }
                }
            }
            Happening::Start if self.agent_connected => {
                self.announce(publication(MessageType::StartPublication));
            }
            Happening::Start => {}
            Happening::ReleaseHandshake => {
                if let Some(agent) = &mut self.agent {
                    agent.release_handshake(now);
                }
            }
        }
        true
    }

    /// The service sends a message to the client, if it is connected.
    fn announce(&mut self, message: Bytes) {
        if self.connected {
            self.gateway_to_client.announce(message, self.now);
        }
    }

    fn incident(&mut self, incident: Incident) {
        let now = self.now;
        match incident {
            Incident::CutClient(long) if self.connected && self.over.is_none() => {
                self.events.insert("client cut");
                self.connected = false;
                if let Err(error) = self.forward.disconnected(now) {
                    self.over = Some(Over::Failed(error));
                }
                self.client_to_gateway.cut(now);
                self.gateway_to_client.cut(now);
                if self.agent_connected {
                    let pause = publication(MessageType::PausePublication);
                    self.gateway_to_agent.announce(pause, now);
                }
                self.plan_happening(long, Happening::ClientBack);
            }
            Incident::CutAgent(long) if self.agent_connected && self.agent.is_some() => {
                self.events.insert("agent cut");
                self.agent_connected = false;
                if let Some(agent) = &mut self.agent {
                    agent.set_broken(true);
                    for _ in 0..self.plan.read_at_break {
                        if let Some(message) = self.gateway_to_agent.take_next()
                            && !agent.is_blocked()
                        {
                            agent.handle(message, now);
                        }
                    }
                }
                self.agent_to_gateway.cut(now);
                self.gateway_to_agent.cut(now);
                self.announce(publication(MessageType::PausePublication));
                self.plan_happening(long, Happening::AgentBack);
            }
            Incident::Pause(long) => {
                self.announce(publication(MessageType::PausePublication));
                self.plan_happening(long, Happening::Start);
            }
            Incident::PauseWithoutStart => {
                self.events.insert("paused without a start");
                self.announce(publication(MessageType::PausePublication));
            }
            Incident::Silence(long) => {
                for leg in [
                    &mut self.client_to_gateway,
                    &mut self.gateway_to_agent,
                    &mut self.agent_to_gateway,
                    &mut self.gateway_to_client,
                ] {
                    leg.hold(now + long);
                }
            }
            Incident::AgentRestart(how) if self.agent.is_some() => {
                self.events.insert("agent restarted");
                self.agent_gone("restarted".to_owned());
                self.restarted_at = Some(now);
                self.agent_to_gateway.cut(now);
                self.gateway_to_agent.cut(now);
                match how {
                    Restart::Told => self.announce(channel_closed("the agent was restarted")),
                    Restart::Paused => self.announce(publication(MessageType::PausePublication)),
                    Restart::Silent => {}
                }
            }
            Incident::CutClient(_) | Incident::CutAgent(_) | Incident::AgentRestart(_) => {}
        }
    }

    pub(super) fn agent_gone(&mut self, why: String) {
        self.agent = None;
        self.agent_connected = false;
        self.agent_over = Some(why);
        for target in self.targets.values_mut() {
            target.kill();
        }
    }

    fn client_back(&mut self) {
        let now = self.now;
        if self.over.is_some() || self.closed {
            return;
        }
        let told = |plan: &Plan| {
            let silent = Incident::AgentRestart(Restart::Told);
            plan.incidents.iter().any(|incident| incident.1 == silent)
        };
        if self.agent.is_none() && (self.restarted_at.is_none() || told(&self.plan)) {
            self.over = Some(Over::Gone);
            self.wake_locals();
            return;
        }
        self.connected = true;
        self.carried = 0;
        self.resumed = true;
        self.forward.connected(now);
        if self.agent_connected {
            let start = publication(MessageType::StartPublication);
            self.gateway_to_agent.announce(start.clone(), now);
            self.gateway_to_client.announce(start, now);
        } else {
            let pause = publication(MessageType::PausePublication);
            self.gateway_to_client.announce(pause, now);
        }
        for message in std::mem::take(&mut self.waiting_for_client) {
            self.gateway_to_client.announce(message, now);
        }
    }
}
