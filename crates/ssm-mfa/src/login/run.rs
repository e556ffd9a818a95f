//! How a session comes to be: from the store, from another session, or with a code.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_types::region::Region;
use aws_types::sdk_config::SharedTimeSource;

use crate::cache::cache_key::Identity;
use crate::cache::session_cache::SessionCache;
use crate::cache::store::SessionStore;
use crate::code::source::{MfaCodeSource, Reason};
use crate::error::MfaError;
use crate::login::single_flight::Flight;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
use crate::session::{Session, SessionInfo, SessionKind, SessionSource};
use crate::settings::{Interaction, LoginRequest, NamedBy, Strategy};
use crate::sts::{SourceCredentials, Sts};

/// A role taken on over another session lasts this long at most (AWS STS, role chaining).
pub(super) const CHAINED: Duration = Duration::from_secs(3600);

pub(crate) struct Inner {
    #[cfg(feature = "cli-cache")]
    pub(crate) cli: Option<crate::cache::cli_cache::Place>,
    pub(crate) sts: Sts,
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<Region>,
    pub(crate) serial: Option<(MfaSerial, NamedBy)>,
    /// The profile whose device or role the environment's keys go before.
    pub(crate) passed_over: Option<String>,
    /// In the order in which they are taken on.
    pub(crate) roles: Vec<RoleSpec>,
    pub(crate) strategy: Strategy,
    pub(crate) duration: Duration,
    pub(crate) source: Arc<dyn MfaCodeSource>,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) interaction: Interaction,
    pub(crate) prompt_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) clock: SharedTimeSource,
    pub(crate) state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// What is handed out.
    pub(crate) session: Option<Session>,
    /// What a code was spent on last, and what for.
    pub(super) root: Option<(CodeUse, Session)>,
    pub(crate) flight: Option<Flight>,
    /// The role turned an MFA session down.
    pub(super) wants_code: bool,
}

/// What a code is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeUse {
    /// GetSessionToken.
    User,
    /// AssumeRole of the first role.
    Role,
}

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(crate) fn cache(&self) -> SessionCache {
        SessionCache::new(self.store.clone())
    }

    pub(crate) fn identity(&self, base: &SourceCredentials) -> Identity {
        Identity {
            endpoint: self.sts.endpoint().map(str::to_owned),
            access_key_id: base.credentials.access_key_id().to_owned(),
            serial: self.serial.as_ref().map(|(serial, _)| serial.clone()),
        }
    }

    /// The whole way to the credentials that are handed out.
    pub(crate) async fn obtain(&self, request: LoginRequest) -> Result<Session, MfaError> {
        let base = self.sts.base().await?;
        let Some((serial, of)) = &self.serial else {
            return self.without_mfa(&base).await;
        };
        // Keys of a session beside a device that is for their user: used as they are, as the AWS
        // CLI does. They may be under MFA already.
        let as_they_are = base.temporary
            && *of == NamedBy::Source
            && self.strategy == Strategy::Auto
            && !request.force_new;
        if as_they_are {
            return self.without_mfa(&base).await;
        }
        let identity = self.identity(&base);
        if !request.force_new
            && let Some(found) = self.find(&identity).await
        {
            return Ok(found);
        }
        let root = self.root(&base, serial)?;
        self.over(root, &base, &identity, request, Reason::NoSession)
            .await
    }

    /// What is said of a session.
    pub(crate) fn told(&self, session: &Session) -> SessionInfo {
        SessionInfo {
            passed_over: self.passed_over.clone(),
            ..session.info()
        }
    }

    /// What is handed out, if the store has it.
    pub(crate) async fn find(&self, identity: &Identity) -> Option<Session> {
        let now = self.now();
        let Some(role) = self.roles.last() else {
            let key = identity.session(self.duration);
            let found = self.cache().load(key, SessionKind::Mfa, None).await?;
            return found.is_fresh(now).then_some(found);
        };
        for (with_code, kind) in [
            (false, SessionKind::Role),
            (true, SessionKind::RoleWithCode),
        ] {
            let unwanted = if with_code {
                Strategy::Session
            } else {
                Strategy::Direct
            };
            if self.strategy == unwanted {
                continue;
            }
            let key = identity.roles(with_code, &self.roles);
            let found = self.cache().load(key, kind, Some(role)).await;
            if let Some(found) = found {
                if found.is_fresh(now) {
                    return Some(found);
                }
                // It was taken on with a code before: the session will not do now either.
                self.lock().wants_code |= with_code;
            }
        }
        #[cfg(feature = "cli-cache")]
        if let Some(place) = &self.cli
            && self.strategy != Strategy::Session
            && !self.has_session(identity).await
        {
            return place.load().await.filter(|found| found.is_fresh(now));
        }
        None
    }

    /// Whether the role can be taken on without a code, and again and again.
    #[cfg(feature = "cli-cache")]
    async fn has_session(&self, identity: &Identity) -> bool {
        let kept = self.kept(CodeUse::User, identity).await;
        kept.is_some_and(|session| session.is_fresh(self.now()))
    }

    /// What another program logged in to since, if a code is needed later than `needed` with it.
    pub(crate) async fn newer(&self, needed: Option<SystemTime>) -> Option<SessionInfo> {
        self.serial.as_ref()?;
        let base = self.sts.base().await.ok()?;
        let identity = self.identity(&base);
        let root = {
            let state = self.lock();
            state.root.as_ref().map(|(root, _)| *root)
        };
        let (key, kind, role) = self.entry(root.unwrap_or(CodeUse::User), &identity);
        let found = self.cache().load(key, kind, role).await?;
        let later = found.is_valid(self.now()) && found.code_needed > needed;
        later.then(|| found.info())
    }

    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.session = None;
        state.root = None;
        state.wants_code = false;
    }

    /// Every key under which this provider may have kept something.
    pub(crate) fn keys(&self, identity: &Identity) -> Vec<String> {
        let mut keys = vec![identity.session(self.duration)];
        for count in 1..=self.roles.len() {
            let roles = self.roles.get(..count).unwrap_or_default();
            keys.push(identity.roles(false, roles));
            keys.push(identity.roles(true, roles));
        }
        keys
    }

    fn root(&self, base: &SourceCredentials, serial: &MfaSerial) -> Result<CodeUse, MfaError> {
        let Some(first) = self.roles.first() else {
            return if base.temporary {
                Err(self.temporary(serial))
            } else {
                Ok(CodeUse::User)
            };
        };
        let of_role = matches!(self.serial, Some((_, NamedBy::Role)));
        let long = first.duration.is_some_and(|asked| asked > CHAINED);
        Ok(match self.strategy {
            Strategy::Direct => CodeUse::Role,
            Strategy::Session if base.temporary => return Err(self.temporary(serial)),
            Strategy::Session => CodeUse::User,
            // Let STS say whether that works.
            Strategy::Auto if base.temporary => CodeUse::Role,
            Strategy::Auto if of_role && (long || self.lock().wants_code) => CodeUse::Role,
            Strategy::Auto => CodeUse::User,
        })
    }

    fn temporary(&self, serial: &MfaSerial) -> MfaError {
        MfaError::BaseIsTemporary {
            context: self.sts.context(Some(serial)),
        }
    }

    /// From what the code is spent on to the last role.
    pub(super) async fn over(
        &self,
        root: CodeUse,
        base: &SourceCredentials,
        identity: &Identity,
        request: LoginRequest,
        reason: Reason,
    ) -> Result<Session, MfaError> {
        let session = self.rooted(root, base, identity, request, reason).await?;
        let (roles, kind) = match root {
            CodeUse::User => (self.roles.as_slice(), SessionKind::Role),
            CodeUse::Role => (
                self.roles.get(1..).unwrap_or_default(),
                SessionKind::RoleWithCode,
            ),
        };
        if roles.is_empty() {
            return Ok(session);
        }
        let kept = session.source != SessionSource::Fresh;
        let (taken, outcome) = self.take_on(session, roles, kind).await;
        match outcome {
            Ok(session) => {
                let key = identity.roles(root == CodeUse::Role, &self.roles);
                self.cache().save(key, &session).await;
                Ok(session)
            }
            // AWS has withdrawn it before its time: it must not be found again.
            Err(MfaError::BadAccessKey { .. }) if kept && taken == 0 && !request.force_new => {
                self.forget(root, identity).await;
                Box::pin(self.over(root, base, identity, request, reason)).await
            }
            Err(denial @ MfaError::Denied { .. }) if root == CodeUse::User && taken == 0 => {
                self.with_a_code_of_its_own(denial, base, identity, request)
                    .await
            }
            Err(error) => Err(error),
        }
    }

    /// What the code is spent on, if there is one still.
    pub(super) async fn kept(&self, root: CodeUse, identity: &Identity) -> Option<Session> {
        if let Some((kept, session)) = &self.lock().root
            && *kept == root
        {
            let now = self.now();
            if session.is_fresh(now) {
                return Some(session.clone());
            }
        }
        let (key, kind, role) = self.entry(root, identity);
        let found = self.cache().load(key, kind, role).await?;
        if !found.is_valid(self.now()) {
            return None;
        }
        self.lock().root = Some((root, found.clone()));
        Some(found)
    }

    pub(super) fn entry(
        &self,
        root: CodeUse,
        identity: &Identity,
    ) -> (String, SessionKind, Option<&RoleSpec>) {
        match root {
            CodeUse::User => (identity.session(self.duration), SessionKind::Mfa, None),
            CodeUse::Role => (
                identity.roles(true, self.roles.get(..1).unwrap_or_default()),
                SessionKind::RoleWithCode,
                self.roles.first(),
            ),
        }
    }

    pub(super) async fn forget(&self, root: CodeUse, identity: &Identity) {
        let (key, ..) = self.entry(root, identity);
        self.lock().root = None;
        self.cache().remove(key).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a session that AWS no longer accepts stays in the store");
        });
    }
}
