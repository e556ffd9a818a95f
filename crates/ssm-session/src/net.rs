//! The way to an endpoint: which URLs, through which proxy, trusting which certificates, signed with
//! which credentials; and the websocket at the end of it.

pub(crate) mod dial;
pub(crate) mod error;
pub(crate) mod probe;
pub(crate) mod proxy;
pub(crate) mod signer;
pub(crate) mod stream_url;
pub(crate) mod tls;
mod url;
pub(crate) mod websocket;
