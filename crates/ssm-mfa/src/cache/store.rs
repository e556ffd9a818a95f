//! The interface of a store of sessions.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;
use zeroize::Zeroizing;

/// A place for sessions, and for which codes were used: one body of a few KiB for each key. Its
/// methods may block.
///
/// Bodies hold secret keys and session tokens: keep them from everybody but this user. A key is 64
/// hexadecimal digits that tell nothing.
pub trait SessionStore: Send + Sync + 'static {
    /// The body kept under a key, if any.
    ///
    /// # Errors
    /// When there may be one that cannot be read, or that somebody else could have written.
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Keeps a body, whole or not at all, instead of the one that was there.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError>;

    /// Removes what is kept under a key, if anything.
    ///
    /// # Errors
    /// When it is still there.
    fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Tries to take the lock of this name, for everything that shares the store. It is asked for
    /// again every now and then while another holds it, and given back by dropping it or by death.
    fn try_lock(&self, name: &str) -> Lock;
}

/// What came of [`SessionStore::try_lock`].
#[non_exhaustive]
pub enum Lock {
    /// Taken, until this is dropped.
    Taken(Box<dyn Send>),
    /// Another has it.
    Busy {
        /// Process id of the other, where known.
        pid: Option<u32>,
    },
    /// There are no locks here; the work goes on without.
    Unsupported {
        /// Why.
        reason: String,
    },
}

impl fmt::Debug for Lock {
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

/// Why a store failed. It says nothing of what is kept.
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
    /// For this place, with this text.
    pub fn new(path: impl Into<PathBuf>, problem: impl fmt::Display) -> Self {
        Self {
            path: path.into(),
            problem: problem.to_string(),
        }
    }
}
