//! Limits, and which of them cannot work.

use std::time::Duration;

use ssm_relay::Limits;

use crate::error::Error;

/// Limits as a builder gets them: a setter of one value counts, whether it is called before or after
/// the one that sets all.
#[derive(Debug, Clone, Default)]
pub(crate) struct LimitSettings {
    pub(crate) all: Option<Limits>,
    pub(crate) sessions: Option<usize>,
    pub(crate) keep_alive: Option<Duration>,
}

impl LimitSettings {
    /// The limits that result.
    ///
    /// # Errors
    /// When one of them would spin, or never get anything done.
    pub(crate) fn resolve(&self) -> Result<Limits, Error> {
        let mut limits = self.all.clone().unwrap_or_default();
        if let Some(sessions) = self.sessions {
            limits.sessions = sessions;
        }
        if self.keep_alive.is_some() {
            limits.keep_alive = self.keep_alive;
        }
        check(&limits)?;
        Ok(limits)
    }
}

fn check(limits: &Limits) -> Result<(), Error> {
    let zero = [
        ("max_unacknowledged", limits.tuning.max_unacknowledged == 0),
        (
            "session_receive_budget",
            limits.tuning.session_receive_budget == 0,
        ),
        ("stream_send_buffer", limits.tuning.stream_send_buffer == 0),
        ("max_connections", limits.max_connections == 0),
        ("sessions", limits.sessions == 0),
        ("max_sessions", limits.max_sessions == 0),
        (
            "handshake_timeout",
            limits.tuning.handshake_timeout.is_zero(),
        ),
        ("peer_timeout", limits.tuning.peer_timeout.is_zero()),
        (
            "keep_alive",
            limits.keep_alive.is_some_and(|every| every.is_zero()),
        ),
        ("ping_interval", limits.tuning.ping_interval.is_zero()),
        ("pong_timeout", limits.tuning.pong_timeout.is_zero()),
        ("connect_timeout", limits.connect_timeout.is_zero()),
        ("close_timeout", limits.close_timeout.is_zero()),
    ];
    if limits.tuning.max_payload < Limits::MIN_PAYLOAD {
        return Err(Error::Settings(format!(
            "the limit max_payload is {}: a message needs {} bytes or more, and carries 1024 by default",
            limits.tuning.max_payload,
            Limits::MIN_PAYLOAD
        )));
    }
    match zero.iter().find(|(_, is_zero)| *is_zero) {
        Some((name, _)) => Err(Error::Settings(format!(
            "the limit {name} is zero: give a value above it, or leave its default"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_limits_count_in_any_order() {
        let mut all = Limits::default();
        all.sessions = 2;
        all.keep_alive = Some(Duration::from_secs(9));
        let settings = LimitSettings {
            all: Some(all),
            sessions: Some(3),
            keep_alive: None,
        };
        let limits = settings.resolve().expect("valid");
        assert_eq!(limits.sessions, 3);
        assert_eq!(limits.keep_alive, Some(Duration::from_secs(9)));
    }

    #[test]
    fn zero_limits_are_refused_by_name() {
        let settings = LimitSettings {
            sessions: Some(0),
            ..LimitSettings::default()
        };
        let error = settings.resolve().expect_err("zero").to_string();
        assert!(error.contains("the limit sessions is zero"), "{error}");
    }
}
