//! What the fuzzers and the property tests share: one module a target, each with `run`, which
//! takes any bytes and panics where a promise is broken, and `seeds`, where a search begins.
//!
//! | target | what it drives | what it holds |
//! |---|---|---|
//! | [`frame`] | `wire::Message` | what is read writes itself back; damage is an error |
//! | [`payload`] | JSON bodies, flags, versions | read, written and read again is the same |
//! | [`session`] | one `Session`, a peer that does anything | order, bounds, acknowledgements, numbers |
//! | [`session_pair`] | two `Session`s, a network that does anything | everything arrives, once, in order |
//! | [`smux_frames`] | one `Mux`, any bytes | the same however they are cut; errors where due |
//! | [`smux_peer`] | one `Mux`, frames in any order | each stream's bytes, both ways; bounds |
//! | [`smux_pair`] | two `Mux`es, a pipe that cuts anywhere | everything arrives, in order |
//! | [`texts`] | stream URLs, MFA serial numbers and codes | the right hosts only; no secret shown |
#![allow(clippy::missing_panics_doc, reason = "a panic is how a target reports")]

#[cfg(not(test))] // `stream_url.rs` names these by their crate.
extern crate self as ssm_aws;
#[cfg(not(test))]
pub use sources::{Partition, is_loopback_host};

pub mod frame;
pub mod payload;
mod recorded;
pub mod session;
pub mod session_pair;
pub mod smux_frames;
pub mod smux_pair;
pub mod smux_peer;
#[cfg(not(test))]
mod sources;
pub mod texts;
#[cfg(test)]
mod sources {
    pub(super) use ssm_mfa::{MfaCode, MfaSerial};
    pub(super) use ssm_relay::StreamEndpoint;
}
mod start;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the fuzzer and of its corpus.
    pub name: &'static str,
    /// Its body.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "frame",
        run: frame::run,
        seeds: frame::seeds,
    },
    Target {
        name: "payload",
        run: payload::run,
        seeds: payload::seeds,
    },
    Target {
        name: "session",
        run: session::run,
        seeds: session::seeds,
    },
    Target {
        name: "session_pair",
        run: session_pair::run,
        seeds: session_pair::seeds,
    },
    Target {
        name: "smux_frames",
        run: smux_frames::run,
        seeds: smux_frames::seeds,
    },
    Target {
        name: "smux_pair",
        run: smux_pair::run,
        seeds: smux_pair::seeds,
    },
    Target {
        name: "smux_peer",
        run: smux_peer::run,
        seeds: smux_peer::seeds,
    },
    Target {
        name: "texts",
        run: texts::run,
        seeds: texts::seeds,
    },
];
