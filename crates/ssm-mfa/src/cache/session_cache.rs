//! The store, off the async threads. A store that fails costs a prompt, never a session.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::format;
use crate::cache::store::{Lock, SessionStore, StoreError};
use crate::role::RoleSpec;
use crate::session::{Session, SessionKind};

/// How often a lock that another holds is tried again.
const GLANCE: Duration = Duration::from_millis(100);

pub(crate) struct SessionCache {
    store: Arc<dyn SessionStore>,
}

impl SessionCache {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store }
    }

    /// What is kept, if it is what it should be.
    pub(crate) async fn load(
        &self,
        key: String,
        kind: SessionKind,
        role: Option<&RoleSpec>,
    ) -> Option<Session> {
        let loaded = self.blocking(move |store| store.load(&key)).await?;
        let body = match loaded {
            Ok(body) => body?,
            Err(error) => {
                tracing::warn!(%error, "a kept session is not used, and will be replaced");
                return None;
            }
        };
        let Some(session) = format::read(&body) else {
            tracing::warn!("a kept session cannot be read, and will be replaced");
            return None;
        };
        let belongs = match (role, &session.arn) {
            (None, None) => true,
            (Some(role), Some(arn)) => role.is_role_of(arn),
            _ => false,
        };
        if session.kind != kind || !belongs {
            tracing::warn!("a kept session is another one's, and will be replaced");
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
            tracing::warn!(%error, "the session cannot be kept: the next program will ask again");
        }
    }

    pub(crate) async fn remove(&self, key: String) -> Result<(), StoreError> {
        self.blocking(move |store| store.remove(&key))
            .await
            .unwrap_or(Ok(()))
    }

    /// Waits for the lock for as long as `patience`; then, and where there are no locks, goes on
    /// without. `busy` is told once who holds it.
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
                Lock::Taken(lock) => return Some(lock),
                Lock::Busy { pid } => {
                    // Whoever has just taken it may not have written its number yet.
                    if !told && pid.is_some() {
                        busy(pid);
                        told = true;
                    }
                }
                Lock::Unsupported { reason } => {
                    tracing::warn!(reason, "no lock: two programs may ask for a code at once");
                    return None;
                }
            }
            if give_up.is_some_and(|at| Instant::now() >= at) {
                tracing::warn!("another program has held the lock for too long: going on without");
                return None;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// `None` when the runtime goes down.
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
