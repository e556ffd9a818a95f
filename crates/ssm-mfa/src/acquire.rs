//! How a session comes to be: from the store, from another session, or with a code.

mod prompt;
mod roles;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_types::region::Region;
use aws_types::sdk_config::SharedTimeSource;

use crate::error::MfaError;
use crate::flight::Flight;
use crate::keeper::Keeper;
use crate::provider::Interaction;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
use crate::session::{Session, SessionInfo, SessionKind, SessionSource};
use crate::source::{MfaCodeSource, Reason};
use crate::store::SessionStore;
use crate::store::key::Identity;
use crate::sts::{Base, Sts};

/// A role taken on over another session lasts this long at most (AWS STS, role chaining).
const CHAINED: Duration = Duration::from_secs(3600);

/// What a code is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// A session of the user ([`Session`](Self::Session)); but the role itself
    /// ([`Direct`](Self::Direct)) when it is to last more than an hour, when the base credentials
    /// are a session's already, or when the role turned the session down.
    #[default]
    Auto,
    /// A session of the user (STS GetSessionToken): one code for all of the user's roles, each of
    /// which lasts an hour and is renewed without a code.
    Session,
    /// The role itself (STS AssumeRole): a code for each role, each time it expires.
    Direct,
}

/// Which profile names the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SerialOf {
    /// The role's, or the program.
    Role,
    /// The profile of the keys, or AWS_MFA_SERIAL. No role inherits it, as in botocore; a session
    /// of the keys' own user can be started with it, unless the keys are a session's already.
    Source,
}

/// What a session may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    /// A code may be asked for.
    pub(crate) ask: bool,
    /// What there is already does not count.
    pub(crate) anew: bool,
}

impl How {
    /// Whether what comes of this serves whoever wants that.
    pub(crate) fn serves(self, wanted: Self) -> bool {
        (self.ask || !wanted.ask) && (self.anew || !wanted.anew)
    }
}

pub(crate) struct Inner {
    #[cfg(feature = "cli-cache")]
    pub(crate) cli: Option<crate::cli_cache::Place>,
    pub(crate) sts: Sts,
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<Region>,
    pub(crate) serial: Option<(MfaSerial, SerialOf)>,
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
    root: Option<(Root, Session)>,
    pub(crate) flight: Option<Flight>,
    /// The role turned an MFA session down.
    wants_code: bool,
}

/// What a code is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
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

    pub(crate) fn keeper(&self) -> Keeper {
        Keeper::new(self.store.clone())
    }

    pub(crate) fn identity(&self, base: &Base) -> Identity {
        Identity {
            endpoint: self.sts.endpoint().map(str::to_owned),
            access_key_id: base.credentials.access_key_id().to_owned(),
            serial: self.serial.as_ref().map(|(serial, _)| serial.clone()),
        }
    }

    /// The whole way to the credentials that are handed out.
    pub(crate) async fn obtain(&self, how: How) -> Result<Session, MfaError> {
        let base = self.sts.base().await?;
        let Some((serial, of)) = &self.serial else {
            return self.without_mfa(&base).await;
        };
        // Keys of a session beside a device that is for their user: used as they are, as the AWS
        // CLI does. They may be under MFA already.
        let as_they_are = base.temporary
            && *of == SerialOf::Source
            && self.strategy == Strategy::Auto
            && !how.anew;
        if as_they_are {
            return self.without_mfa(&base).await;
        }
        let identity = self.identity(&base);
        if !how.anew
            && let Some(found) = self.find(&identity).await
        {
            return Ok(found);
        }
        let root = self.root(&base, serial)?;
        self.over(root, &base, &identity, how, Reason::NoSession)
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
            let found = self.keeper().load(key, SessionKind::Mfa, None).await?;
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
            let found = self.keeper().load(key, kind, Some(role)).await;
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
        let kept = self.kept(Root::User, identity).await;
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
        let (key, kind, role) = self.entry(root.unwrap_or(Root::User), &identity);
        let found = self.keeper().load(key, kind, role).await?;
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

    fn root(&self, base: &Base, serial: &MfaSerial) -> Result<Root, MfaError> {
        let Some(first) = self.roles.first() else {
            return if base.temporary {
                Err(self.temporary(serial))
            } else {
                Ok(Root::User)
            };
        };
        let of_role = matches!(self.serial, Some((_, SerialOf::Role)));
        let long = first.duration.is_some_and(|asked| asked > CHAINED);
        Ok(match self.strategy {
            Strategy::Direct => Root::Role,
            Strategy::Session if base.temporary => return Err(self.temporary(serial)),
            Strategy::Session => Root::User,
            // Let STS say whether that works.
            Strategy::Auto if base.temporary => Root::Role,
            Strategy::Auto if of_role && (long || self.lock().wants_code) => Root::Role,
            Strategy::Auto => Root::User,
        })
    }

    fn temporary(&self, serial: &MfaSerial) -> MfaError {
        MfaError::BaseIsTemporary {
            context: self.sts.context(Some(serial)),
        }
    }

    /// From what the code is spent on to the last role.
    async fn over(
        &self,
        root: Root,
        base: &Base,
        identity: &Identity,
        how: How,
        reason: Reason,
    ) -> Result<Session, MfaError> {
        let session = self.rooted(root, base, identity, how, reason).await?;
        let (roles, kind) = match root {
            Root::User => (self.roles.as_slice(), SessionKind::Role),
            Root::Role => (
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
                let key = identity.roles(root == Root::Role, &self.roles);
                self.keeper().save(key, &session).await;
                Ok(session)
            }
            // AWS has withdrawn it before its time: it must not be found again.
            Err(MfaError::BadAccessKey { .. }) if kept && taken == 0 && !how.anew => {
                self.forget(root, identity).await;
                Box::pin(self.over(root, base, identity, how, reason)).await
            }
            Err(denial @ MfaError::Denied { .. }) if root == Root::User && taken == 0 => {
                self.with_a_code_of_its_own(denial, base, identity, how)
                    .await
            }
            Err(error) => Err(error),
        }
    }

    /// What the code is spent on, if there is one still.
    async fn kept(&self, root: Root, identity: &Identity) -> Option<Session> {
        if let Some((kept, session)) = &self.lock().root
            && *kept == root
        {
            let now = self.now();
            if session.is_fresh(now) {
                return Some(session.clone());
            }
        }
        let (key, kind, role) = self.entry(root, identity);
        let found = self.keeper().load(key, kind, role).await?;
        if !found.is_valid(self.now()) {
            return None;
        }
        self.lock().root = Some((root, found.clone()));
        Some(found)
    }

    fn entry(&self, root: Root, identity: &Identity) -> (String, SessionKind, Option<&RoleSpec>) {
        match root {
            Root::User => (identity.session(self.duration), SessionKind::Mfa, None),
            Root::Role => (
                identity.roles(true, self.roles.get(..1).unwrap_or_default()),
                SessionKind::RoleWithCode,
                self.roles.first(),
            ),
        }
    }

    async fn forget(&self, root: Root, identity: &Identity) {
        let (key, ..) = self.entry(root, identity);
        self.lock().root = None;
        self.keeper().remove(key).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a session that AWS no longer accepts stays in the store");
        });
    }
}
