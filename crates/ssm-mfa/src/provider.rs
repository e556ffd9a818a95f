use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::builder::MfaProviderBuilder;
use crate::code::MfaCode;
use crate::error::MfaError;
use crate::serial::MfaSerial;
use crate::source::{Challenge, CodeError, MfaCodeSource, Reason};
use crate::sts::Sts;

/// A session with less left than this is not used any more.
const MARGIN: Duration = Duration::from_secs(300);
/// How long a code can be accepted at all: its step, and one around it. Used ones are remembered
/// for as long.
const CODE_LIFE: Duration = Duration::from_secs(90);
/// Longer than any prompt, so that the SDK never gives up on one.
const BEYOND_PROMPT: Duration = Duration::from_secs(60);

/// Credentials of an MFA session (STS GetSessionToken): one prompt, however many callers.
///
/// Clones share the session. Call [`login`](Self::login) before the first SDK call: a prompt
/// inside one is cut short by that client's operation timeout, if it has one.
#[derive(Clone)]
pub struct MfaProvider {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) sts: Sts,
    pub(crate) serial: MfaSerial,
    pub(crate) duration: Duration,
    pub(crate) source: Arc<dyn MfaCodeSource>,
    pub(crate) prompt_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) state: Mutex<State>,
    pub(crate) salt: RandomState,
}

#[derive(Default)]
pub(crate) struct State {
    session: Option<Credentials>,
    flight: Option<watch::Receiver<Option<Result<Credentials, MfaError>>>>,
    used: Vec<(u64, Instant)>,
}

/// A session, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The session's access key id.
    pub access_key_id: String,
    /// When it ends.
    pub expires: Option<SystemTime>,
}

impl SessionInfo {
    fn of(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            expires: credentials.expiry(),
        }
    }
}

impl MfaProvider {
    /// A provider for one device; see the builder's setters.
    pub fn builder() -> MfaProviderBuilder {
        MfaProviderBuilder::default()
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes sure that there is a session, asking for a code if there is none with more than five
    /// minutes left.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn login(&self) -> Result<SessionInfo, MfaError> {
        Ok(SessionInfo::of(&self.session().await?))
    }

    /// Starts a new session whatever there is, asking for a code.
    ///
    /// # Errors
    /// Why there is none; the old session stays then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn renew(&self) -> Result<SessionInfo, MfaError> {
        let flight = self.join_flight();
        Ok(SessionInfo::of(&wait(flight).await?))
    }

    /// The session there is, if any; never asks.
    pub fn peek(&self) -> Option<SessionInfo> {
        self.inner
            .lock()
            .usable()
            .map(|credentials| SessionInfo::of(&credentials))
    }

    /// `base` with this provider as its credentials, and an identity cache that waits for a
    /// person; its other settings, timeouts too, stay as they are.
    pub fn sdk_config(&self, base: &SdkConfig) -> SdkConfig {
        let patience = self.inner.prompt_timeout * self.inner.max_attempts + BEYOND_PROMPT;
        base.to_builder()
            .credentials_provider(SharedCredentialsProvider::new(self.clone()))
            .identity_cache(IdentityCache::lazy().load_timeout(patience).build())
            .build()
    }

    async fn session(&self) -> Result<Credentials, MfaError> {
        if let Some(session) = self.inner.lock().usable() {
            return Ok(session);
        }
        wait(self.join_flight()).await
    }

    /// The login under way, or a new one. It is a task of its own: callers may come and go.
    fn join_flight(&self) -> watch::Receiver<Option<Result<Credentials, MfaError>>> {
        let mut state = self.inner.lock();
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        drop(state);
        let landing = Landing {
            inner: self.inner.clone(),
            sender,
        };
        tokio::spawn(async move {
            let outcome = landing.inner.log_in().await;
            landing.land(outcome);
        });
        receiver
    }
}

/// Ends a flight, even when its task is dropped with its runtime.
struct Landing {
    inner: Arc<Inner>,
    sender: watch::Sender<Option<Result<Credentials, MfaError>>>,
}

impl Landing {
    fn land(&self, outcome: Result<Credentials, MfaError>) {
        let mut state = self.inner.lock();
        state.flight = None;
        if let Ok(session) = &outcome {
            state.session = Some(session.clone());
        }
        drop(state);
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.sender.borrow().is_none() {
            self.land(Err(MfaError::Interrupted));
        }
    }
}

async fn wait(
    mut flight: watch::Receiver<Option<Result<Credentials, MfaError>>>,
) -> Result<Credentials, MfaError> {
    match flight.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        _ => Err(MfaError::Interrupted),
    }
}

impl State {
    fn usable(&self) -> Option<Credentials> {
        let session = self.session.as_ref()?;
        let left = session.expiry()?.duration_since(SystemTime::now()).ok()?;
        (left > MARGIN).then(|| session.clone())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks and calls until there is a session or no point in asking again.
    async fn log_in(&self) -> Result<Credentials, MfaError> {
        let base = self.sts.base().await?;
        if base.temporary {
            return Err(MfaError::BaseIsTemporary);
        }
        let mut reason = Reason::NoSession;
        let mut attempt = 1;
        loop {
            let again = self.source.is_interactive() && attempt < self.max_attempts;
            let asked = self.ask(attempt, reason).await;
            let outcome = match asked {
                Ok(code) if self.use_up(&code) => {
                    self.sts
                        .get_session_token(&base, &self.serial, &code, self.duration)
                        .await
                }
                Ok(_) => Err(MfaError::CodeReused {
                    serial: self.serial.clone(),
                }),
                Err(error) => Err(error),
            };
            reason = match &outcome {
                Err(MfaError::InvalidCode { .. }) if again => Reason::Rejected,
                Err(MfaError::CodeReused { .. }) if again => Reason::Reused,
                Err(MfaError::Code(CodeError::Format(_))) if again => Reason::Malformed,
                _ => return outcome,
            };
            attempt += 1;
        }
    }

    async fn ask(&self, attempt: u32, reason: Reason) -> Result<MfaCode, MfaError> {
        let serial = self.serial.clone();
        let challenge = Challenge {
            serial: serial.clone(),
            attempt,
            reason,
        };
        let answer = tokio::time::timeout(self.prompt_timeout, self.source.code(&challenge)).await;
        match answer {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(CodeError::NoTerminal)) => Err(MfaError::NoTerminal { serial }),
            Ok(Err(CodeError::Cancelled)) => Err(MfaError::Cancelled),
            Ok(Err(error)) => Err(MfaError::Code(error)),
            Err(_) => Err(MfaError::PromptTimeout {
                serial,
                after: self.prompt_timeout,
            }),
        }
    }

    /// Remembers a code as used, by a salted hash; `false` when it was used before.
    fn use_up(&self, code: &MfaCode) -> bool {
        let hash = self.salt.hash_one((&self.serial, code.expose()));
        let now = Instant::now();
        let mut state = self.lock();
        state
            .used
            .retain(|(_, at)| now.duration_since(*at) < CODE_LIFE);
        if state.used.iter().any(|(used, _)| *used == hash) {
            return false;
        }
        state.used.push((hash, now));
        true
    }
}

impl ProvideCredentials for MfaProvider {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(async {
            self.session()
                .await
                .map_err(CredentialsError::provider_error)
        })
    }

    /// The SDK gave up waiting: what is still valid is still good.
    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        let session = self.inner.lock().session.clone()?;
        (session.expiry()? > SystemTime::now()).then_some(session)
    }
}

impl fmt::Debug for MfaProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MfaProvider")
            .field("serial", &self.inner.serial)
            .field("session", &self.peek())
            .finish_non_exhaustive()
    }
}
