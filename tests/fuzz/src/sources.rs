//! Files of crates that bring the AWS SDK, alone: without it the fuzzers are built in a minute. The
//! property tests take the crates themselves.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each file is made for its own crate"
)]

#[path = "../../../crates/ssm-mfa/src/code/mfa_code.rs"]
mod code;
#[path = "../../../crates/ssm-aws/src/endpoint/url.rs"]
mod endpoint_url;
#[path = "../../../crates/ssm-aws/src/endpoint/partition.rs"]
mod partition;
#[path = "../../../crates/ssm-mfa/src/serial.rs"]
mod serial;
#[path = "../../../crates/ssm-session/src/net/stream_url.rs"]
mod stream_url;

pub use code::MfaCode;
pub use endpoint_url::is_loopback_host;
pub use partition::Partition;
pub use serial::MfaSerial;
pub use stream_url::StreamEndpoint;
