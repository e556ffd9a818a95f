//! One fetch for each need, however many clients, signers and roles share the credentials. A
//! `credential_process` may ask a person, and a session's refresh token is good for one use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::config::value;

/// Credentials with less than this left are fetched again.
const MARGIN: Duration = Duration::from_secs(300);
/// Credentials that do not say when they expire are kept this long, as by the AWS SDK.
const UNLIMITED: Duration = Duration::from_secs(900);
/// Fetched credentials are used at least this long, unless they expire before.
const LEAST: Duration = Duration::from_secs(60);

/// Why there are no credentials, and what to do next. No secret is in it.
#[derive(Debug, Clone, Error)]
#[error("no credentials from {given}{}", next(.hint))]
pub struct SourceError {
    given: String,
    hint: Option<String>,
    #[source]
    cause: Arc<CredentialsError>,
}

fn next(hint: &Option<String>) -> String {
    hint.as_ref()
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default()
}

#[derive(Debug, Clone)]
pub(super) struct Cached(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    given: String,
    hint: Option<String>,
    provider: SharedCredentialsProvider,
    /// Fetches that have ended, well or not.
    ended: AtomicU64,
    last: Mutex<Option<Result<Fetched, SourceError>>>,
}

#[derive(Debug, Clone)]
struct Fetched {
    credentials: Credentials,
    at: SystemTime,
}

impl Fetched {
    fn is_valid(&self, now: SystemTime) -> bool {
        self.credentials.expiry().is_none_or(|expiry| expiry > now)
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        let age = now.duration_since(self.at).unwrap_or_default();
        match self.credentials.expiry() {
            None => age < UNLIMITED,
            Some(_) if age < LEAST => self.is_valid(now),
            Some(expiry) => expiry.duration_since(now).is_ok_and(|left| left > MARGIN),
        }
    }
}

impl Cached {
    /// `given` names what the credentials come from, `hint` what helps when there are none.
    pub(super) fn new(
        given: String,
        hint: Option<String>,
        provider: impl ProvideCredentials + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            given,
            hint,
            provider: SharedCredentialsProvider::new(provider),
            ended: AtomicU64::new(0),
            last: Mutex::new(None),
        }))
    }

    /// A caller that goes away does not stop the fetch: the next one finds its result.
    async fn get(&self) -> Result<Credentials, SourceError> {
        let inner = self.0.clone();
        let ended = inner.ended.load(Ordering::Acquire);
        let fetch = tokio::spawn(async move { inner.get(ended).await });
        match fetch.await {
            Ok(outcome) => outcome,
            Err(error) => Err(self.0.failed(error.to_string())),
        }
    }
}

impl Inner {
    /// `ended`: the fetches that had ended when the caller came. The result of a later one, a
    /// failure too, is the caller's as well.
    async fn get(&self, ended: u64) -> Result<Credentials, SourceError> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(Ok(fetched)) if fetched.is_fresh(SystemTime::now()) => {
                return Ok(fetched.credentials.clone());
            }
            Some(Err(error)) if self.ended.load(Ordering::Acquire) != ended => {
                return Err(error.clone());
            }
            _ => {}
        }
        let outcome = self.fetch().await;
        self.ended.fetch_add(1, Ordering::AcqRel);
        let now = SystemTime::now();
        if let (Err(error), Some(Ok(fetched))) = (&outcome, &*last)
            && fetched.is_valid(now)
        {
            tracing::warn!(%error, "the credentials are not renewed yet");
            return Ok(fetched.credentials.clone());
        }
        let outcome = outcome.map(|credentials| Fetched {
            credentials,
            at: now,
        });
        let handed = outcome.clone().map(|fetched| fetched.credentials);
        *last = Some(outcome);
        handed
    }

    /// In a task of its own: a panic of the provider is an error of this source.
    async fn fetch(&self) -> Result<Credentials, SourceError> {
        let provider = self.provider.clone();
        let fetch = tokio::spawn(async move { provider.provide_credentials().await });
        let credentials = match fetch.await {
            Ok(Ok(credentials)) => credentials,
            Ok(Err(error)) => return Err(self.because(error)),
            Err(error) => return Err(self.failed(error.to_string())),
        };
        checked(&credentials).map_err(|error| self.because(error))
    }

    fn failed(&self, reason: String) -> SourceError {
        self.because(CredentialsError::unhandled(format!(
            "the provider failed: {reason}"
        )))
    }

    fn because(&self, error: CredentialsError) -> SourceError {
        SourceError {
            given: self.given.clone(),
            hint: self.hint.clone(),
            cause: Arc::new(error),
        }
    }
}

/// Credentials go into HTTP headers, where the SDK panics on control characters.
fn checked(credentials: &Credentials) -> Result<Credentials, CredentialsError> {
    let clean = |name, text: &str| {
        value::secret(name, text).map_err(CredentialsError::invalid_configuration)
    };
    let id = clean("the access key id", credentials.access_key_id())?;
    let secret = clean("the secret access key", credentials.secret_access_key())?;
    let token = match credentials.session_token() {
        Some(token) => Some(clean("the session token", token)?).filter(|token| !token.is_empty()),
        None => None,
    };
    if id.is_empty() || secret.is_empty() {
        return Err(CredentialsError::invalid_configuration(
            "the access key, or its secret, is empty",
        ));
    }
    let unchanged = id == credentials.access_key_id()
        && secret == credentials.secret_access_key()
        && token.as_deref() == credentials.session_token();
    if unchanged {
        return Ok(credentials.clone());
    }
    let expiry = credentials.expiry();
    Ok(Credentials::new(id, secret, token, expiry, "ssm-aws"))
}

impl ProvideCredentials for Cached {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(async {
            self.get().await.map_err(CredentialsError::provider_error)
        })
    }

    /// The SDK gave up waiting: what is still valid is still good.
    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        let last = self.0.last.try_lock().ok()?;
        match &*last {
            Some(Ok(fetched)) if fetched.is_valid(SystemTime::now()) => {
                Some(fetched.credentials.clone())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
