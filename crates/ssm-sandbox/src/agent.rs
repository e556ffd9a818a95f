//! The agent, by what `aws/amazon-ssm-agent` does: its own reliability, not our client's turned
//! round.

mod basic;
mod channel;
mod mux;
#[cfg(test)]
mod tests;

pub(crate) use basic::{Basic, Progress};
pub(crate) use channel::{Channel, Handler, Taken};
pub(crate) use mux::MuxPort;
