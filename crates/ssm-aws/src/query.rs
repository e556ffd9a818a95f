//! Calls to services whose SDK would be many times larger than the call: signed here, sent through
//! the HTTP client of the SDK's configuration.

#[cfg(feature = "config")]
mod call;
mod sign;
#[cfg(feature = "config")]
mod xml;

#[cfg(feature = "config")]
pub use call::{QueryCall, QueryError, QueryReply};
pub use sign::{RequestToSign, SignError, SignedHeaders, sign};
