//! State machine of the AWS Systems Manager Session Manager data channel: frames, handshake, reliability; no I/O.
