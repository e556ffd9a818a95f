//! The AWS CLI's cache of role sessions.

pub(crate) mod entry;
pub(crate) mod role_session;
