//! Sessions in the system's keyring, or in files where the system has no keyring.

mod entries;

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use keyring_core::{CredentialStore, Error};
use zeroize::Zeroizing;

use self::entries::{Entries, Found, Modifiers};
use super::file::FileStore;
use super::store::{LockAttempt, SessionStore, StoreError};

/// The keyring's name in errors and logs.
const PLACE: &str = "the system's keyring";
/// Time allowed for one answer of the keyring. A person may have to unlock it, or to allow the
/// program; but if the dialog is invisible, as over ssh, the answer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps sessions in the system's keyring, which encrypts them (feature `keyring`).
///
/// | system | keyring | seen there as |
/// |---|---|---|
/// | Linux, BSD | Secret Service on the session's D-Bus (GNOME Keyring, KWallet, KeePassXC), its default collection | `keyring:KEY@ssm-tunnel MFA` |
/// | macOS | the user's default keychain | service `ssm-tunnel MFA`, account KEY |
/// | Windows | Credential Manager, generic credentials of this machine | `KEY.ssm-tunnel MFA` |
///
/// KEY is the 64 digits of [`SessionStore`]. A session is one entry; on Windows, whose entries hold
/// 2560 bytes (`CRED_MAX_CREDENTIAL_BLOB_SIZE`), up to 28 of 2400 bytes. Reading checks count and
/// digest, and the next session replaces damaged entries. The limit is 64 KiB, as for
/// [`FileStore`].
///
/// A keyring has no locks, so it uses those of the [`FileStore`] that it is created with. That store
/// also keeps the sessions, in clear, if there is no keyring, if it fails, or if it does not answer
/// within a minute: with one warning in the log, and for as long as the program runs. A session in
/// a file is used until it expires, so that changing to the keyring costs no prompt; storing one in
/// the keyring removes the file. Programs that use only a [`FileStore`] do not see the keyring's
/// sessions.
///
/// The system may ask its user to unlock the keyring; macOS also asks whether a program may read
/// the entries of another one, or of an older build. Any program of the same user can read an
/// unlocked Secret Service and the Credential Manager. Copies within the keyring's own libraries
/// are not wiped.
///
/// Tested with GNOME Keyring on Linux (`tests/keyring.sh`). The macOS and Windows parts have never
/// been compiled or run; what is said about them comes from the documentation of the libraries.
///
/// ```no_run
/// use ssm_mfa::{FileStore, KeyringStore, MfaProvider};
///
/// # fn build(base: &aws_config::SdkConfig) -> Result<(), Box<dyn std::error::Error>> {
/// let files = FileStore::in_user_cache().ok_or("no home directory")?;
/// let provider = MfaProvider::builder()
///     .sts_config(base)
///     .store(KeyringStore::new(files))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyringStore {
    files: FileStore,
    open: Arc<Open>,
    limit: usize,
    modifiers: Modifiers,
    patience: Duration,
    keyring: Arc<Mutex<Keyring>>,
}

type Open = dyn Fn() -> Result<Arc<CredentialStore>, Error> + Send + Sync;
type Job = Box<dyn FnOnce(&Entries) + Send>;

enum Keyring {
    Unopened,
    Open(Sender<Job>),
    /// Unusable, for as long as the program runs.
    Lost(Loss),
}

/// Why there is no keyring.
#[derive(Clone)]
struct Loss {
    problem: String,
    /// It worked before, and may still hold sessions.
    opened: bool,
}

impl KeyringStore {
    /// The system's keyring, opened when first needed, with locks and fallback in these files.
    pub fn new(files: FileStore) -> Self {
        Self {
            modifiers: system::MODIFIERS,
            ..Self::with(files, system::open, system::LIMIT, PATIENCE)
        }
    }

    fn with(
        files: FileStore,
        open: impl Fn() -> Result<Arc<CredentialStore>, Error> + Send + Sync + 'static,
        limit: usize,
        patience: Duration,
    ) -> Self {
        Self {
            files,
            open: Arc::new(open),
            limit,
            modifiers: &[],
            patience,
            keyring: Arc::new(Mutex::new(Keyring::Unopened)),
        }
    }

    fn state(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keyring's answer; or why there will be no keyring from now on.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Entries) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Loss> {
        let jobs = self.opened()?;
        let (answer, answered) = sync_channel(1);
        // A thread that is gone, or an answer that comes too late, is noticed below.
        let _ = jobs.send(Box::new(move |entries| {
            let _ = answer.send(question(entries));
        }));
        self.wait(&answered)
            .map_err(|problem| lose(&mut self.state(), problem, true))
    }

    fn opened(&self) -> Result<Sender<Job>, Loss> {
        // Held meanwhile: opening it twice could show two dialogs.
        let mut state = self.state();
        match &*state {
            Keyring::Open(jobs) => return Ok(jobs.clone()),
            Keyring::Lost(loss) => return Err(loss.clone()),
            Keyring::Unopened => {}
        }
        match self.start() {
            Ok(jobs) => {
                *state = Keyring::Open(jobs.clone());
                Ok(jobs)
            }
            Err(problem) => Err(lose(&mut state, problem, false)),
        }
    }

    /// Opens the keyring on a thread of its own, which does all the work, and is abandoned when that
    /// takes too long. The Secret Service's library blocks on a tokio runtime, which panics on the
    /// thread of another one; and Credential Manager may show one thread the state from before
    /// another thread's write.
    fn start(&self) -> Result<Sender<Job>, String> {
        let (jobs, todo) = channel::<Job>();
        let (answer, answered) = sync_channel(1);
        let (open, limit, modifiers) = (self.open.clone(), self.limit, self.modifiers);
        thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || match open() {
                Ok(store) => {
                    let _ = answer.send(Ok(()));
                    let entries = Entries::new(store, limit, modifiers);
                    todo.into_iter().for_each(|job| job(&entries));
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            })
            .map_err(|error| error.to_string())?;
        self.wait(&answered).map(|()| jobs)
    }

    fn wait<T>(&self, answered: &Receiver<Result<T, Error>>) -> Result<T, String> {
        match answered.recv_timeout(self.patience) {
            Ok(result) => result.map_err(entries::told),
            Err(RecvTimeoutError::Timeout) => Err(format!(
                "no answer within {} s: is it waiting to be unlocked?",
                self.patience.as_secs()
            )),
            Err(RecvTimeoutError::Disconnected) => Err("its library failed".to_owned()),
        }
    }
}

/// Warns of the first loss only.
fn lose(state: &mut Keyring, problem: String, opened: bool) -> Loss {
    if let Keyring::Lost(loss) = state {
        return loss.clone();
    }
    tracing::warn!(
        problem,
        "no keyring: MFA sessions are kept in files instead"
    );
    let loss = Loss { problem, opened };
    *state = Keyring::Lost(loss.clone());
    loss
}

impl SessionStore for KeyringStore {
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let wanted = key.to_owned();
        match self.ask(move |entries| entries.load(&wanted)) {
            Ok(Found::Body(body)) => Ok(Some(body)),
            Ok(Found::Nothing) | Err(_) => self.files.load(key),
            Ok(Found::Damaged) => match self.files.load(key)? {
                None => Err(StoreError::new(PLACE, "an entry is damaged")),
                body => Ok(body),
            },
        }
    }

    fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError> {
        let wanted = key.to_owned();
        let copy = Zeroizing::new(body.to_vec());
        match self.ask(move |entries| entries.save(&wanted, &copy)) {
            Ok(()) => self.files.remove(key),
            Err(_) => self.files.save(key, body),
        }
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        let wanted = key.to_owned();
        let removed = self.ask(move |entries| entries.remove(&wanted));
        self.files.remove(key)?;
        match removed {
            Err(loss) if loss.opened => Err(StoreError::new(PLACE, loss.problem)),
            _ => Ok(()),
        }
    }

    fn try_lock(&self, name: &str) -> LockAttempt {
        self.files.try_lock(name)
    }
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringStore")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[cfg(all(unix, not(any(target_vendor = "apple", target_os = "android"))))]
mod system {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Error};

    use super::Modifiers;

    /// The Secret Service API sets none.
    pub(super) const LIMIT: usize = usize::MAX;
    pub(super) const MODIFIERS: Modifiers = &[];

    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        Ok(zbus_secret_service_keyring_store::Store::new()?)
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Error};

    use super::Modifiers;

    /// Keychain Services set none.
    pub(super) const LIMIT: usize = usize::MAX;
    pub(super) const MODIFIERS: Modifiers = &[];

    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        Ok(apple_native_keyring_store::keychain::Store::new()?)
    }
}

#[cfg(windows)]
mod system {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Error};

    use super::Modifiers;

    /// Below `CRED_MAX_CREDENTIAL_BLOB_SIZE` (wincred.h), 5 * 512 bytes.
    pub(super) const LIMIT: usize = 2400;
    /// By default they would follow the user to other machines of the domain.
    pub(super) const MODIFIERS: Modifiers = &[("persistence", "Local")];

    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        Ok(windows_native_keyring_store::Store::new()?)
    }
}

#[cfg(not(any(
    windows,
    target_os = "macos",
    all(unix, not(any(target_vendor = "apple", target_os = "android")))
)))]
mod system {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Error};

    use super::Modifiers;

    pub(super) const LIMIT: usize = usize::MAX;
    pub(super) const MODIFIERS: Modifiers = &[];

    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        Err(Error::NoDefaultStore)
    }
}

#[cfg(test)]
mod tests;
