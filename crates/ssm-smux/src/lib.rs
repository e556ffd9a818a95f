//! State machine of smux version 1 as the AWS Systems Manager agent speaks it; no I/O.
