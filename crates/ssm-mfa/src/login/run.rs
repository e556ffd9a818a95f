//! Executes the plan: gathers the facts, asks for a code, assumes the roles, remembers the sessions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_types::sdk_config::SharedTimeSource;

use super::assume::{ChainError, assume_chain};
use super::code_session::CodeSession;
use super::plan::{Cached, CodeUse, Facts, Plan, Refusal, asks_after_denial, plan, usable};
use super::used_codes::UsedCodes;
#[cfg(feature = "cli-cache")]
use crate::cache::aws_cli::entry::CliCacheEntry;
use crate::cache::cache_key::CacheKeys;
use crate::cache::session_cache::{CacheEntry, SessionCache};
use crate::code::source::{ChallengeReason, CodeError, MfaCodeSource};
use crate::error::MfaError;
use crate::session::{Session, SessionInfo, SessionKind, SessionSource};
use crate::settings::{LoginRequest, Settings};
use crate::sts::{SourceCredentials, Sts};

/// One provider's logins: its settings, what they work with, and the sessions they started.
pub(crate) struct Login {
    pub(crate) settings: Settings,
    pub(crate) sts: Sts,
    pub(crate) codes: Arc<dyn MfaCodeSource>,
    pub(crate) cache: SessionCache,
    #[cfg(feature = "cli-cache")]
    pub(crate) cli_cache: Option<CliCacheEntry>,
    pub(crate) clock: SharedTimeSource,
    pub(crate) state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// What is handed out.
    current: Option<Session>,
    /// What a code was spent on last, and how.
    code_session: Option<(CodeUse, Session)>,
    /// The first role refused an MFA session.
    role_wants_code: bool,
}

/// One login in progress.
struct Attempt {
    request: LoginRequest,
    source: SourceCredentials,
    keys: CacheKeys,
    reason: ChallengeReason,
    /// AWS rejects the cached session that a code was spent on.
    rejected: bool,
    /// Why the first role refused the MFA session.
    denial: Option<MfaError>,
}

impl Login {
    /// A session to hand out, which is kept for [`current`](Self::current).
    pub(crate) async fn run(&self, request: LoginRequest) -> Result<Session, MfaError> {
        let session = self.obtain(request).await?;
        self.state().current = Some(session.clone());
        Ok(session)
    }

    /// The session of the last successful login, expired or not.
    pub(crate) fn current(&self) -> Option<Session> {
        self.state().current.clone()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// What callers are told of a session.
    pub(crate) fn info(&self, session: &Session) -> SessionInfo {
        SessionInfo {
            passed_over: self.settings.passed_over.clone(),
            ..session.info()
        }
    }

    /// The session that a login would find in the stores and hand out as it is.
    pub(crate) async fn find_cached(&self) -> Result<Option<Session>, MfaError> {
        if self.settings.device.is_none() {
            return Ok(None);
        }
        let source = self.sts.source_credentials().await?;
        let facts = Facts {
            cached: self.cached(&self.cache_keys(&source)).await,
            ..self.facts(&source)
        };
        Ok(usable(&self.settings, &facts).cloned())
    }

    /// A session that another program started since, if it needs the next code later than `needed`.
    pub(crate) async fn find_newer(&self, needed: Option<SystemTime>) -> Option<SessionInfo> {
        self.settings.device.as_ref()?;
        let source = self.sts.source_credentials().await.ok()?;
        let code_use = match self.current().map(|current| current.kind) {
            Some(SessionKind::RoleWithCode) => CodeUse::FirstRole,
            _ => CodeUse::User,
        };
        let entry = self.entry(code_use, &self.cache_keys(&source));
        let found = self.cache.load(entry).await?;
        let later = found.is_valid(self.now()) && found.code_needed > needed;
        later.then(|| found.info())
    }

    /// Forgets every session that this provider may have kept.
    pub(crate) async fn forget_all(&self) -> Result<(), MfaError> {
        let source = self.sts.source_credentials().await?;
        let keys = self.cache_keys(&source);
        *self.state() = State::default();
        let mut all = vec![keys.session(self.settings.session_duration)];
        for count in 1..=self.settings.roles.len() {
            let roles = self.settings.roles.get(..count).unwrap_or_default();
            all.extend([keys.roles(false, roles), keys.roles(true, roles)]);
        }
        for key in all {
            self.cache.remove(key).await?;
        }
        Ok(())
    }

    /// The whole way from the source credentials to those that are handed out.
    async fn obtain(&self, request: LoginRequest) -> Result<Session, MfaError> {
        let source = self.sts.source_credentials().await?;
        let mut attempt = Attempt {
            request,
            keys: self.cache_keys(&source),
            source,
            reason: ChallengeReason::NoSession,
            rejected: false,
            denial: None,
        };
        loop {
            let (code_use, session, from_cache) = match self.begin(&mut attempt).await? {
                Begun::From {
                    code_use,
                    session,
                    from_cache,
                } => (code_use, session, from_cache),
                Begun::Done(session) => return Ok(session),
            };
            let (roles, kind) = match code_use {
                CodeUse::User => (self.settings.roles.as_slice(), SessionKind::Role),
                CodeUse::FirstRole => {
                    let others = self.settings.roles.get(1..).unwrap_or_default();
                    (others, SessionKind::RoleWithCode)
                }
            };
            if roles.is_empty() {
                return Ok(session);
            }
            match assume_chain(&self.sts, session, roles, kind).await {
                Ok(session) => {
                    let with_code = code_use == CodeUse::FirstRole;
                    let key = attempt.keys.roles(with_code, &self.settings.roles);
                    self.cache.save(key, &session).await;
                    return Ok(session);
                }
                // AWS withdrew the session before it expired.
                Err(ChainError {
                    assumed: 0,
                    error: MfaError::BadAccessKey { .. },
                }) if from_cache => {
                    self.forget(code_use, &attempt.keys).await;
                    attempt.rejected = true;
                }
                Err(ChainError {
                    assumed: 0,
                    error: denial @ MfaError::Denied { .. },
                }) if code_use == CodeUse::User => {
                    let before = std::mem::replace(&mut self.state().role_wants_code, true);
                    if !asks_after_denial(&self.settings, request, before) {
                        return Err(denial);
                    }
                    tracing::info!("the role does not accept the MFA session");
                    attempt.reason = ChallengeReason::RoleWantsCode;
                    attempt.denial = Some(denial);
                }
                Err(ChainError { error, .. }) => return Err(error),
            }
        }
    }

    /// The session that a code is spent on, or the one that is handed out if no code comes into it.
    async fn begin(&self, attempt: &mut Attempt) -> Result<Begun, MfaError> {
        let mut plan = self.plan(attempt).await;
        // Held until the new session is in the store.
        let mut lock = None;
        if matches!(plan, Plan::AskForCode(_)) {
            lock = self.prompt_lock(&attempt.keys).await;
            // Another program may have logged in meanwhile.
            plan = self.plan(attempt).await;
        }
        let (code_use, session, from_cache) = match plan {
            Plan::Use(session) => return Ok(Begun::Done(session)),
            Plan::WithoutMfa => return self.without_mfa(&attempt.source).await.map(Begun::Done),
            Plan::AssumeFrom(code_use, session) => {
                self.state().code_session = Some((code_use, session.clone()));
                (code_use, session, true)
            }
            Plan::AskForCode(code_use) => {
                let started = self.start(code_use, attempt).await;
                match (started, attempt.denial.take()) {
                    // Without another code, the role's denial says more.
                    (
                        Err(MfaError::Code(CodeError::UsedUp) | MfaError::NoTerminal { .. }),
                        Some(denial),
                    ) => return Err(denial),
                    (started, _) => (code_use, started?, false),
                }
            }
            Plan::Refuse(refusal) => return Err(self.refused(refusal)),
        };
        drop(lock);
        Ok(Begun::From {
            code_use,
            session,
            from_cache,
        })
    }

    async fn plan(&self, attempt: &Attempt) -> Plan {
        let mut facts = self.facts(&attempt.source);
        if !attempt.request.force_new {
            facts.cached = self.cached(&attempt.keys).await;
        }
        if attempt.rejected {
            facts.cached.user = None;
            facts.cached.first_role = None;
        }
        plan(&self.settings, attempt.request, &facts)
    }

    /// What is known without looking into a store.
    fn facts(&self, source: &SourceCredentials) -> Facts {
        Facts {
            now: self.now(),
            source_is_temporary: source.is_temporary,
            role_wants_code: self.state().role_wants_code,
            cached: Cached::default(),
        }
    }

    async fn cached(&self, keys: &CacheKeys) -> Cached {
        let Some(last) = self.settings.roles.last() else {
            return Cached {
                user: self.cached_code_session(CodeUse::User, keys).await,
                ..Cached::default()
            };
        };
        let entry = |with_code, kind| CacheEntry {
            key: keys.roles(with_code, &self.settings.roles),
            kind,
            role: Some(last),
        };
        #[cfg(feature = "cli-cache")]
        let aws_cli = match &self.cli_cache {
            Some(entry) => entry.load().await,
            None => None,
        };
        #[cfg(not(feature = "cli-cache"))]
        let aws_cli = None;
        let with_code = entry(true, SessionKind::RoleWithCode);
        Cached {
            user: self.cached_code_session(CodeUse::User, keys).await,
            first_role: self.cached_code_session(CodeUse::FirstRole, keys).await,
            last_role: self.cache.load(entry(false, SessionKind::Role)).await,
            last_role_with_code: self.cache.load(with_code).await,
            aws_cli,
        }
    }

    /// From memory, or else from the store.
    async fn cached_code_session(&self, code_use: CodeUse, keys: &CacheKeys) -> Option<Session> {
        let now = self.now();
        let here = self.state().code_session.clone();
        let here = here.filter(|(kept, session)| *kept == code_use && session.is_fresh(now));
        match here {
            Some((_, session)) => Some(session),
            None => self.cache.load(self.entry(code_use, keys)).await,
        }
    }

    /// Where the session is kept that a code is spent on.
    fn entry(&self, code_use: CodeUse, keys: &CacheKeys) -> CacheEntry<'_> {
        match code_use {
            CodeUse::User => CacheEntry {
                key: keys.session(self.settings.session_duration),
                kind: SessionKind::Mfa,
                role: None,
            },
            CodeUse::FirstRole => CacheEntry {
                key: keys.roles(true, self.settings.roles.get(..1).unwrap_or_default()),
                kind: SessionKind::RoleWithCode,
                role: self.settings.roles.first(),
            },
        }
    }

    /// Asks for a code and spends it; remembers the session.
    async fn start(&self, code_use: CodeUse, attempt: &Attempt) -> Result<Session, MfaError> {
        let Some(serial) = self.settings.serial() else {
            return Err(MfaError::Settings(
                "the MFA provider has no device".to_owned(),
            ));
        };
        let start = CodeSession {
            settings: &self.settings,
            serial,
            sts: &self.sts,
            codes: &*self.codes,
            used_codes: UsedCodes::new(&attempt.keys, &self.cache),
            clock: &self.clock,
            source: &attempt.source,
            code_use,
        };
        let session = start.start(attempt.reason).await?;
        let key = self.entry(code_use, &attempt.keys).key;
        self.cache.save(key, &session).await;
        #[cfg(feature = "cli-cache")]
        if let (CodeUse::FirstRole, Some(entry)) = (code_use, &self.cli_cache) {
            entry.save(&session).await;
        }
        self.state().code_session = Some((code_use, session.clone()));
        Ok(session)
    }

    async fn without_mfa(&self, source: &SourceCredentials) -> Result<Session, MfaError> {
        let configured = Session {
            credentials: source.credentials.clone(),
            kind: SessionKind::Configured,
            account: None,
            arn: None,
            code_needed: None,
            source: SessionSource::Fresh,
        };
        let roles = &self.settings.roles;
        assume_chain(&self.sts, configured, roles, SessionKind::RoleWithoutMfa)
            .await
            .map_err(|failure| failure.error)
    }

    /// The lock around a prompt and what follows from it, shared by all programs of this user.
    async fn prompt_lock(&self, keys: &CacheKeys) -> Option<Box<dyn Send>> {
        let patience = self.settings.longest_login();
        let busy = |pid: Option<u32>| {
            let other = pid.filter(|pid| *pid != std::process::id());
            if let Some(pid) = other {
                self.codes.notice(&format!(
                    "another ssm-tunnel (pid {pid}) is asking for the MFA code; waiting for it"
                ));
            }
        };
        self.cache.lock(keys.prompt(), patience, busy).await
    }

    /// AWS no longer accepts it: it must not be found again.
    async fn forget(&self, code_use: CodeUse, keys: &CacheKeys) {
        self.state().code_session = None;
        let key = self.entry(code_use, keys).key;
        if let Err(error) = self.cache.remove(key).await {
            tracing::warn!(%error, "a session that AWS no longer accepts stays in the store");
        }
    }

    fn refused(&self, refusal: Refusal) -> MfaError {
        let serial = self.settings.serial();
        match (refusal, serial) {
            (Refusal::LoginRequired, Some(serial)) => MfaError::LoginRequired {
                profile: self.settings.profile.clone(),
                serial: serial.clone(),
            },
            _ => MfaError::SourceIsTemporary {
                context: self.sts.context(serial),
            },
        }
    }

    fn cache_keys(&self, source: &SourceCredentials) -> CacheKeys {
        CacheKeys {
            endpoint: self.sts.endpoint().map(str::to_owned),
            access_key_id: source.credentials.access_key_id().to_owned(),
            serial: self.settings.serial().cloned(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a login begins with.
enum Begun {
    /// The chain of roles.
    From {
        code_use: CodeUse,
        session: Session,
        /// AWS may have withdrawn it since.
        from_cache: bool,
    },
    /// Nothing is left to do.
    Done(Session),
}
