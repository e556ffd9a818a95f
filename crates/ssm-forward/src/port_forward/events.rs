//! From the events of the layers below to the port forward's own.

use std::time::Instant;

use ssm_protocol::payload::Flag;
use ssm_protocol::{Ready, SessionEvent};
use ssm_smux::MuxEvent;

use super::PortForward;
use super::channel::Channel;
use crate::{ForwardError, ForwardEvent};

impl PortForward {
    /// Handles the events of the session, and of what it carries.
    pub(super) fn drain(&mut self, now: Instant) -> Result<(), ForwardError> {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Ready(ready) => self.become_ready(ready, now),
                SessionEvent::Data(data) => match &mut self.channel {
                    Channel::Mux(mux) => {
                        mux.handle(data, now)?;
                        self.drain_mux();
                    }
                    Channel::Basic(basic) => self.events.extend(basic.handle(data, now)),
                    Channel::Pending => {}
                },
                SessionEvent::Flag(Flag::ConnectToPortError) => {
                    self.refusals.handle_flag();
                    self.events.push_back(ForwardEvent::Refused);
                }
                SessionEvent::ChannelClosed { output } => {
                    if output.is_empty()
                        && self.ends_with_connection()
                        && self.session.stats().reordering == 0
                        && let Channel::Basic(basic) = &mut self.channel
                    {
                        self.events.extend(basic.end_of_session());
                    }
                    self.events
                        .push_back(ForwardEvent::ChannelClosed { output });
                }
                SessionEvent::Paused => {
                    self.agent_away();
                    self.events.push_back(ForwardEvent::Paused(true));
                }
                SessionEvent::Started => self.events.push_back(ForwardEvent::Paused(false)),
                other => tracing::debug!(event = ?other, "ignored"),
            }
        }
        Ok(())
    }

    /// The agent's websocket broke. The agent processes again what it had processed and not
    /// acknowledged: messages of smux are built for that, but bytes of a basic session arrive twice.
    fn agent_away(&mut self) {
        if self.session.is_delivered() {
            return;
        }
        if let Channel::Basic(basic) = &mut self.channel {
            self.events.extend(basic.may_be_doubled());
        }
    }

    /// Whether the end of the session is the end of its connection. With the SSH document the agent
    /// ends the session when its port closes; with others, an end without a text is an idle time-out
    /// or a TerminateSession call.
    fn ends_with_connection(&self) -> bool {
        self.ready
            .as_ref()
            .is_some_and(|ready| !ready.properties.is_local_port_forwarding())
    }

    fn become_ready(&mut self, ready: Ready, now: Instant) {
        self.channel = Channel::new(&ready, &self.config, now);
        self.half_close.became_ready(&mut self.channel, now);
        self.ready = Some(ready);
        self.events.push_back(ForwardEvent::Ready);
    }

    pub(super) fn drain_mux(&mut self) {
        let Channel::Mux(mux) = &mut self.channel else {
            return;
        };
        while let Some(id) = mux.poll_unserved() {
            self.refusals.unserved(id, mux.is_open(id));
        }
        while let Some(event) = mux.poll_event() {
            match event {
                MuxEvent::Readable(id) | MuxEvent::Finished(id) => {
                    self.events.push_back(ForwardEvent::Readable(id));
                }
                MuxEvent::Writable(id) => self.events.push_back(ForwardEvent::Writable(id)),
                MuxEvent::Opened(id) => {
                    tracing::debug!(stream = %id, "the agent opened a stream, which only the client may do: reset");
                    mux.reset(id);
                }
                other => tracing::debug!(event = ?other, "ignored"),
            }
        }
    }
}
