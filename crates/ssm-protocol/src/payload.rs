//! The bodies of messages: JSON texts and flags, one file each.

mod acknowledge;
mod channel_closed;
mod flag;
mod handshake;
mod open_data_channel;
mod properties;

pub use acknowledge::Acknowledge;
pub use channel_closed::ChannelClosed;
pub use flag::Flag;
pub use handshake::{
    ActionStatus, HandshakeComplete, HandshakeRequest, HandshakeResponse, ProcessedAction,
    RequestedAction,
};
pub use open_data_channel::{OpenDataChannel, Token};
pub use properties::SessionProperties;

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: Go writes an empty list or map so.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
