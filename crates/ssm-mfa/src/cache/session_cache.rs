//! Sessions in the store, off the async threads. A store that fails costs a prompt, never a session.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::format;
use crate::cache::store::{LockAttempt, SessionStore, StoreError};
use crate::role::RoleSpec;
use crate::session::{Session, SessionKind};

/// Interval of attempts to take a lock that another holds.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Where one session is kept, and which one it must be.
pub(crate) struct CacheEntry<'a> {
    pub(crate) key: String,
    pub(crate) kind: SessionKind,
    /// The role, if it is a role's session.
    pub(crate) role: Option<&'a RoleSpec>,
}

pub(crate) struct SessionCache {
    store: Arc<dyn SessionStore>,
}

impl SessionCache {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store }
    }

    /// The session of this entry, unless it is damaged or belongs elsewhere.
    pub(crate) async fn load(&self, entry: CacheEntry<'_>) -> Option<Session> {
        let CacheEntry { key, kind, role } = entry;
        let loaded = self.blocking(move |store| store.load(&key)).await?;
        let body = match loaded {
            Ok(body) => body?,
            Err(error) => {
                tracing::warn!(%error, "a cached session is not used, and will be replaced");
                return None;
            }
        };
        let Some(session) = format::read(&body) else {
            tracing::warn!("a cached session cannot be read, and will be replaced");
            return None;
        };
        let belongs = match (role, &session.arn) {
            (None, None) => true,
            (Some(role), Some(arn)) => role.is_role_of(arn),
            _ => false,
        };
        if session.kind != kind || !belongs {
            tracing::warn!("a cached session belongs to another login, and will be replaced");
            return None;
        }
        Some(session)
    }

    pub(crate) async fn save(&self, key: String, session: &Session) {
        let Some(body) = format::write(session) else {
            return;
        };
        let saved = self.blocking(move |store| store.save(&key, &body)).await;
        if let Some(Err(error)) = saved {
            tracing::warn!(%error, "the session cannot be cached: the next program will ask for a code again");
        }
    }

    pub(crate) async fn remove(&self, key: String) -> Result<(), StoreError> {
        self.blocking(move |store| store.remove(&key))
            .await
            .unwrap_or(Ok(()))
    }

    /// Waits for the lock up to `patience`; then, and if the store has no locks, the caller goes on
    /// without. `busy` is called once, with the holder.
    pub(crate) async fn lock(
        &self,
        name: String,
        patience: Duration,
        busy: impl Fn(Option<u32>),
    ) -> Option<Box<dyn Send>> {
        let give_up = Instant::now().checked_add(patience);
        let mut told = false;
        loop {
            let tried = name.clone();
            match self.blocking(move |store| store.try_lock(&tried)).await? {
                LockAttempt::Taken(lock) => return Some(lock),
                LockAttempt::Busy { pid } => {
                    // The holder may not have written its process id yet.
                    if !told && pid.is_some() {
                        busy(pid);
                        told = true;
                    }
                }
                LockAttempt::Unsupported { reason } => {
                    tracing::warn!(reason, "no lock: two programs may ask for a code at once");
                    return None;
                }
            }
            if give_up.is_some_and(|at| Instant::now() >= at) {
                tracing::warn!("another program has held the lock for too long: going on without");
                return None;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// `None` when the runtime shuts down.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn SessionStore) -> T + Send + 'static,
    ) -> Option<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&*store))
            .await
            .ok()
    }
}
