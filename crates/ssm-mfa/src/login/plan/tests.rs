//! The decisions as a table: facts on the left, the plan on the right.

use std::time::UNIX_EPOCH;

use aws_credential_types::Credentials;

use super::*;
use crate::role::RoleSpec;
use crate::session::{SessionKind, SessionSource};

const NOW: SystemTime = UNIX_EPOCH;

/// A cached session with this many minutes left.
fn minutes(left: u64) -> Option<Session> {
    let expiry = NOW + Duration::from_secs(left * 60);
    Some(Session {
        credentials: Credentials::new("ASIAX", "secret", None, Some(expiry), "test"),
        kind: SessionKind::Mfa,
        account: None,
        arn: None,
        code_needed: Some(expiry),
        source: SessionSource::Cache,
    })
}

fn device(named_by: NamedBy) -> Option<Device> {
    let serial = "arn:aws:iam::123456789012:mfa/taro";
    Some(Device {
        serial: serial.parse().expect("a serial number"),
        named_by,
    })
}

fn role() -> RoleSpec {
    RoleSpec::new("arn:aws:iam::123456789012:role/dev")
}

/// A user with a device of their own.
fn user() -> Settings {
    Settings {
        device: device(NamedBy::Source),
        ..Settings::default()
    }
}

/// A role whose profile names the device.
fn with_role(strategy: Strategy) -> Settings {
    Settings {
        device: device(NamedBy::Role),
        roles: vec![role()],
        strategy,
        ..Settings::default()
    }
}

fn auto() -> Settings {
    with_role(Strategy::Auto)
}

fn long_role() -> Settings {
    Settings {
        roles: vec![role().duration(CHAINED_LIMIT + Duration::from_secs(1))],
        ..auto()
    }
}

/// A role whose source profile names the device.
fn inherited() -> Settings {
    Settings {
        device: device(NamedBy::Source),
        ..auto()
    }
}

fn nothing() -> Facts {
    Facts {
        now: NOW,
        source_is_temporary: false,
        role_wants_code: false,
        cached: Cached::default(),
    }
}

fn temporary() -> Facts {
    Facts {
        source_is_temporary: true,
        ..nothing()
    }
}

fn wants_code() -> Facts {
    Facts {
        role_wants_code: true,
        ..nothing()
    }
}

fn cached(cached: Cached) -> Facts {
    Facts {
        cached,
        ..nothing()
    }
}

fn cached_user(left: u64) -> Facts {
    cached(Cached {
        user: minutes(left),
        ..Cached::default()
    })
}

fn cached_role(left: u64) -> Facts {
    cached(Cached {
        last_role: minutes(left),
        ..Cached::default()
    })
}

/// Of a single role: the first and the last.
fn cached_role_with_code(left: u64) -> Facts {
    cached(Cached {
        first_role: minutes(left),
        last_role_with_code: minutes(left),
        ..Cached::default()
    })
}

fn cached_by_cli(user: Option<u64>) -> Facts {
    cached(Cached {
        aws_cli: minutes(30),
        user: user.and_then(minutes),
        ..Cached::default()
    })
}

const LOGIN: LoginRequest = LoginRequest {
    may_prompt: true,
    force_new: false,
};
const SILENT: LoginRequest = LoginRequest {
    may_prompt: false,
    ..LOGIN
};
const RENEW: LoginRequest = LoginRequest {
    force_new: true,
    ..LOGIN
};

fn told(plan: &Plan) -> String {
    let left = |session: &Session| {
        let expiry = session.credentials.expiry().expect("it ends");
        expiry.duration_since(NOW).expect("later").as_secs() / 60
    };
    match plan {
        Plan::Use(session) => format!("use {}", left(session)),
        Plan::WithoutMfa => "without MFA".to_owned(),
        Plan::AssumeFrom(code_use, session) => format!("from {code_use:?} {}", left(session)),
        Plan::AskForCode(code_use) => format!("ask for {code_use:?}"),
        Plan::Refuse(refusal) => format!("{refusal:?}"),
    }
}

#[test]
fn plan_follows_from_settings_request_and_facts() {
    let session = || with_role(Strategy::Session);
    let direct = || with_role(Strategy::Direct);
    for (row, settings, request, facts, expected) in [
        // Without a device.
        (1, Settings::default(), LOGIN, nothing(), "without MFA"),
        (2, Settings::default(), RENEW, nothing(), "without MFA"),
        // A user.
        (10, user(), LOGIN, nothing(), "ask for User"),
        (11, user(), LOGIN, cached_user(60), "use 60"),
        (12, user(), LOGIN, cached_user(4), "ask for User"),
        (13, user(), RENEW, cached_user(60), "ask for User"),
        (14, user(), SILENT, nothing(), "LoginRequired"),
        (15, user(), SILENT, cached_user(4), "from User 4"),
        (16, user(), SILENT, cached_user(0), "LoginRequired"),
        (17, user(), LOGIN, temporary(), "without MFA"),
        (18, user(), RENEW, temporary(), "SourceIsTemporary"),
        // A role, assumed from the user's session.
        (20, auto(), LOGIN, nothing(), "ask for User"),
        (21, auto(), LOGIN, cached_user(60), "from User 60"),
        (22, auto(), LOGIN, cached_user(4), "ask for User"),
        (23, auto(), SILENT, cached_user(4), "from User 4"),
        (24, auto(), LOGIN, cached_role(30), "use 30"),
        (25, auto(), LOGIN, cached_role(4), "ask for User"),
        (26, auto(), RENEW, cached_role(30), "ask for User"),
        (27, auto(), SILENT, nothing(), "LoginRequired"),
        (28, inherited(), LOGIN, nothing(), "ask for User"),
        (29, inherited(), LOGIN, temporary(), "without MFA"),
        // A role that takes the code itself.
        (30, long_role(), LOGIN, nothing(), "ask for FirstRole"),
        (31, long_role(), LOGIN, cached_user(60), "ask for FirstRole"),
        (32, auto(), LOGIN, wants_code(), "ask for FirstRole"),
        (33, inherited(), LOGIN, wants_code(), "ask for User"),
        (34, auto(), LOGIN, temporary(), "ask for FirstRole"),
        (35, auto(), LOGIN, cached_role_with_code(30), "use 30"),
        (
            36,
            auto(),
            LOGIN,
            cached_role_with_code(4),
            "ask for FirstRole",
        ),
        (
            37,
            auto(),
            SILENT,
            cached_role_with_code(4),
            "from FirstRole 4",
        ),
        (38, auto(), RENEW, wants_code(), "ask for FirstRole"),
        // Strategies.
        (40, direct(), LOGIN, nothing(), "ask for FirstRole"),
        (41, direct(), LOGIN, cached_role(30), "ask for FirstRole"),
        (42, direct(), LOGIN, cached_role_with_code(30), "use 30"),
        (
            43,
            session(),
            LOGIN,
            cached_role_with_code(30),
            "ask for User",
        ),
        (44, session(), LOGIN, wants_code(), "ask for User"),
        (45, session(), LOGIN, temporary(), "SourceIsTemporary"),
        (46, direct(), LOGIN, temporary(), "ask for FirstRole"),
        // The AWS CLI's session, unless the role can be assumed again and again without it.
        (50, auto(), LOGIN, cached_by_cli(None), "use 30"),
        (51, auto(), LOGIN, cached_by_cli(Some(4)), "use 30"),
        (52, auto(), LOGIN, cached_by_cli(Some(60)), "from User 60"),
        (53, long_role(), LOGIN, cached_by_cli(Some(60)), "use 30"),
        (54, direct(), LOGIN, cached_by_cli(Some(60)), "use 30"),
        (55, session(), LOGIN, cached_by_cli(None), "ask for User"),
        (56, auto(), RENEW, cached_by_cli(None), "ask for User"),
    ] {
        // A new session leaves out what there is.
        let facts = if request.force_new {
            Facts {
                cached: Cached::default(),
                ..facts
            }
        } else {
            facts
        };
        let plan = plan(&settings, request, &facts);
        assert_eq!(told(&plan), expected, "row {row}");
    }
}

#[test]
fn denied_role_gets_a_code_once_if_it_names_the_device() {
    let asks = |settings: &Settings, request, before| asks_after_denial(settings, request, before);
    assert!(asks(&auto(), LOGIN, false));
    assert!(!asks(&auto(), LOGIN, true));
    assert!(!asks(&auto(), SILENT, false));
    assert!(!asks(&inherited(), LOGIN, false));
    assert!(!asks(&with_role(Strategy::Session), LOGIN, false));
    assert!(!asks(&Settings::default(), LOGIN, false));
}
