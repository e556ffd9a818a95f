//! MFA session credentials for the AWS SDK for Rust: one prompt, however many callers.
