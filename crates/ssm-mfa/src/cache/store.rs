//! The interface of a store of sessions.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;
use zeroize::Zeroizing;

/// Stores sessions, and which codes were used: one body of a few KiB under each key. Its methods may
/// block.
///
/// Bodies contain secret keys and session tokens: protect them from everyone but this user. A key is
/// 64 hexadecimal digits that reveal nothing.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
///
/// use ssm_mfa::{LockAttempt, SessionStore, StoreError, Zeroizing};
///
/// /// Keeps sessions for as long as the program runs.
/// #[derive(Default)]
/// struct Table(Mutex<HashMap<String, Zeroizing<Vec<u8>>>>);
///
/// impl SessionStore for Table {
///     fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
///         let table = self.0.lock().map_err(|error| StoreError::new("table", error))?;
///         Ok(table.get(key).cloned())
///     }
///
///     fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError> {
///         let mut table = self.0.lock().map_err(|error| StoreError::new("table", error))?;
///         table.insert(key.to_owned(), Zeroizing::new(body.to_vec()));
///         Ok(())
///     }
///
///     fn remove(&self, key: &str) -> Result<(), StoreError> {
///         let mut table = self.0.lock().map_err(|error| StoreError::new("table", error))?;
///         table.remove(key);
///         Ok(())
///     }
///
///     fn try_lock(&self, _: &str) -> LockAttempt {
///         LockAttempt::Unsupported { reason: "no other program sees the table".to_owned() }
///     }
/// }
///
/// let builder = ssm_mfa::MfaProvider::builder().store(Table::default());
/// ```
pub trait SessionStore: Send + Sync + 'static {
    /// The body stored under a key, if any.
    ///
    /// # Errors
    /// When there is a body that cannot be read, or that another user could have written.
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Stores a body, replacing an earlier one, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError>;

    /// Removes the body stored under a key, if any.
    ///
    /// # Errors
    /// When the body is still there.
    fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Tries to take the lock of this name, which everything that shares the store respects. While
    /// another holds it, this is called again at intervals. The lock is released when its value is
    /// dropped, or when the process dies.
    fn try_lock(&self, name: &str) -> LockAttempt;
}

/// The outcome of [`SessionStore::try_lock`].
#[non_exhaustive]
pub enum LockAttempt {
    /// Taken, until this is dropped.
    Taken(Box<dyn Send>),
    /// Another holder has it.
    Busy {
        /// Process id of the holder, if known.
        pid: Option<u32>,
    },
    /// The store has no locks; logins go on without.
    Unsupported {
        /// Why.
        reason: String,
    },
}

impl fmt::Debug for LockAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(_) => f.write_str("Taken"),
            Self::Busy { pid } => f.debug_struct("Busy").field("pid", pid).finish(),
            Self::Unsupported { reason } => f
                .debug_struct("Unsupported")
                .field("reason", reason)
                .finish(),
        }
    }
}

/// Why a store failed. It reveals nothing of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {problem}", .path.display())]
#[non_exhaustive]
pub struct StoreError {
    /// The file, directory, or entry.
    pub path: PathBuf,
    /// What went wrong.
    pub problem: String,
}

impl StoreError {
    /// An error at this place, with this text.
    pub fn new(path: impl Into<PathBuf>, problem: impl fmt::Display) -> Self {
        Self {
            path: path.into(),
            problem: problem.to_string(),
        }
    }
}
