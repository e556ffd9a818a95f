//! The shared configuration by botocore's rules, without I/O: files and environment to settings.

pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod keys;
pub(crate) mod resolve;
pub(crate) mod shared_config;
pub(crate) mod value;
