//! Decides how to log in. Pure: everything that a decision goes by is an argument.

use std::time::{Duration, SystemTime};

use crate::session::Session;
use crate::settings::{Device, LoginRequest, NamedBy, Settings, Strategy};

/// Longest session of a role that is assumed with a session's credentials (AWS STS, role chaining).
pub(super) const CHAINED_LIMIT: Duration = Duration::from_secs(3600);

/// What a code is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeUse {
    /// GetSessionToken: a session of the user, from which all roles are assumed.
    User,
    /// AssumeRole of the first role, from which the others are assumed.
    FirstRole,
}

/// What is known when a login begins.
pub(super) struct Facts {
    pub(super) now: SystemTime,
    /// The source credentials are those of a session.
    pub(super) source_is_temporary: bool,
    /// This provider's first role refused an MFA session before.
    pub(super) role_wants_code: bool,
    pub(super) cached: Cached,
}

/// The sessions that memory and the stores hold, expired or not.
#[derive(Default)]
pub(super) struct Cached {
    /// What a code was spent on: the user's session.
    pub(super) user: Option<Session>,
    /// What a code was spent on: the first role's session.
    pub(super) first_role: Option<Session>,
    /// The last role's session, assumed from the user's session.
    pub(super) last_role: Option<Session>,
    /// The last role's session, assumed from the first role's, or that itself.
    pub(super) last_role_with_code: Option<Session>,
    /// The last role's session in the AWS CLI's cache.
    pub(super) aws_cli: Option<Session>,
}

/// How to get to the session that is handed out.
pub(super) enum Plan {
    /// Hand out this one.
    Use(Session),
    /// Assume the roles from the source credentials, without a code.
    WithoutMfa,
    /// Assume the remaining roles from this session, for which a code was spent before.
    AssumeFrom(CodeUse, Session),
    /// Ask for a code and spend it, then assume the remaining roles.
    AskForCode(CodeUse),
    /// Fail.
    Refuse(Refusal),
}

/// Why there is no way to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It takes a code, and none may be asked for.
    LoginRequired,
    /// An MFA session takes long-term keys.
    SourceIsTemporary,
}

/// The way to a session.
pub(super) fn plan(settings: &Settings, request: LoginRequest, facts: &Facts) -> Plan {
    let Some(device) = &settings.device else {
        return Plan::WithoutMfa;
    };
    // A session's keys beside the device of their user: used as they are, as the AWS CLI does. They
    // may be under MFA already.
    if facts.source_is_temporary
        && device.named_by == NamedBy::Source
        && settings.strategy == Strategy::Auto
        && !request.force_new
    {
        return Plan::WithoutMfa;
    }
    if !request.force_new
        && let Some(session) = usable(settings, facts)
    {
        return Plan::Use(session.clone());
    }
    let code_use = match code_use(settings, device, facts) {
        Ok(code_use) => code_use,
        Err(refusal) => return Plan::Refuse(refusal),
    };
    let kept = match code_use {
        CodeUse::User => &facts.cached.user,
        CodeUse::FirstRole => &facts.cached.first_role,
    };
    match kept {
        // One that is about to end is better than none.
        Some(session)
            if !request.force_new
                && session.is_valid(facts.now)
                && (session.is_fresh(facts.now) || !request.may_prompt) =>
        {
            Plan::AssumeFrom(code_use, session.clone())
        }
        _ if request.may_prompt => Plan::AskForCode(code_use),
        _ => Plan::Refuse(Refusal::LoginRequired),
    }
}

/// The cached session that can be handed out as it is.
pub(super) fn usable<'a>(settings: &Settings, facts: &'a Facts) -> Option<&'a Session> {
    let fresh = |session: &'a Option<Session>| {
        let session = session.as_ref();
        session.filter(|session| session.is_fresh(facts.now))
    };
    let device = settings.device.as_ref()?;
    let cached = &facts.cached;
    if settings.roles.is_empty() {
        return fresh(&cached.user);
    }
    let from_user = fresh(&cached.last_role).filter(|_| settings.strategy != Strategy::Direct);
    let with_code = || {
        let session = fresh(&cached.last_role_with_code);
        session.filter(|_| settings.strategy != Strategy::Session)
    };
    // The AWS CLI's ends with the hour; from a session of the user the role can be assumed again and
    // again.
    let from_cli = || {
        let code_use = code_use(settings, device, facts);
        let renewable = code_use == Ok(CodeUse::User) && fresh(&cached.user).is_some();
        let wanted = settings.strategy != Strategy::Session && !renewable;
        fresh(&cached.aws_cli).filter(|_| wanted)
    };
    from_user.or_else(with_code).or_else(from_cli)
}

/// Whether a role that denied an MFA session gets a code of its own, perhaps because it wants a
/// recent one (`aws:MultiFactorAuthAge`). `denied_before`: one denial is enough.
pub(super) fn asks_after_denial(
    settings: &Settings,
    request: LoginRequest,
    denied_before: bool,
) -> bool {
    let device = settings.device.as_ref();
    settings.strategy == Strategy::Auto
        && device.is_some_and(|device| device.named_by == NamedBy::Role)
        && request.may_prompt
        && !denied_before
}

fn code_use(settings: &Settings, device: &Device, facts: &Facts) -> Result<CodeUse, Refusal> {
    let temporary = facts.source_is_temporary;
    let Some(first) = settings.roles.first() else {
        return if temporary {
            Err(Refusal::SourceIsTemporary)
        } else {
            Ok(CodeUse::User)
        };
    };
    let long = first.duration.is_some_and(|asked| asked > CHAINED_LIMIT);
    // A role that was assumed with a code once will not do without one now.
    let wants_code = facts.role_wants_code || facts.cached.last_role_with_code.is_some();
    match settings.strategy {
        Strategy::Direct => Ok(CodeUse::FirstRole),
        Strategy::Session if temporary => Err(Refusal::SourceIsTemporary),
        Strategy::Session => Ok(CodeUse::User),
        // STS says whether that works.
        Strategy::Auto if temporary => Ok(CodeUse::FirstRole),
        Strategy::Auto if device.named_by == NamedBy::Role && (long || wants_code) => {
            Ok(CodeUse::FirstRole)
        }
        Strategy::Auto => Ok(CodeUse::User),
    }
}

#[cfg(test)]
mod tests;
