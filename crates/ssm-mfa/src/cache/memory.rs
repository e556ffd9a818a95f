//! Sessions in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::store::{LockAttempt, SessionStore, StoreError};

/// Keeps sessions in memory for as long as the program runs. Clones share them: providers that are
/// given clones of one store ask for one code.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    bodies: BTreeMap<String, Zeroizing<Vec<u8>>>,
    locked: BTreeSet<String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.lock().bodies.get(key).cloned())
    }

    fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError> {
        let body = Zeroizing::new(body.to_vec());
        self.lock().bodies.insert(key.to_owned(), body);
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.lock().bodies.remove(key);
        Ok(())
    }

    fn try_lock(&self, name: &str) -> LockAttempt {
        if self.lock().locked.insert(name.to_owned()) {
            return LockAttempt::Taken(Box::new(Held {
                store: self.clone(),
                name: name.to_owned(),
            }));
        }
        LockAttempt::Busy {
            pid: Some(std::process::id()),
        }
    }
}

struct Held {
    store: MemoryStore,
    name: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.store.lock().locked.remove(&self.name);
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
