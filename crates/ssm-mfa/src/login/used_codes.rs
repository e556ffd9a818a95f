//! AWS accepts each code of a device once. What was sent is not sent again: not by this program, nor,
//! as far as the store allows, by another one of this user.

mod record;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::cache::cache_key::Identity;
use crate::cache::session_cache::SessionCache;
use crate::code::mfa_code::MfaCode;
use record::{CODE_LIFE, Record, STEP, distance, step, time};

/// Another program writes its record in a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whatever provider of this program sent it: salted hashes, not the codes.
static USED: Mutex<Vec<Used>> = Mutex::new(Vec::new());
static SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

#[derive(Clone, Copy)]
struct Used {
    device: u64,
    code: u64,
    at: SystemTime,
}

/// The used codes of one device: this program's, and those that the store has of other programs. A
/// store that cannot be read or written leaves this program's.
pub(crate) struct UsedCodes<'a> {
    identity: &'a Identity,
    keeper: SessionCache,
}

impl<'a> UsedCodes<'a> {
    pub(crate) fn new(identity: &'a Identity, keeper: SessionCache) -> Self {
        Self { identity, keeper }
    }

    /// Marks a code as used, before it is sent; `false` when it was used before.
    pub(crate) async fn use_up(&self, code: &MfaCode, now: SystemTime) -> bool {
        if !use_up(self.identity, code, now) {
            return false;
        }
        let code = code.clone();
        let unused = self.change(move |record| record.use_up(&code, now)).await;
        unused.unwrap_or(true)
    }

    /// The code was never sent after all.
    pub(crate) async fn give_back(&self, code: &MfaCode) {
        give_back(self.identity, code);
        let code = code.clone();
        self.change(move |record| record.give_back(&code)).await;
    }

    /// When the device shows another code, if this step's was used.
    pub(crate) async fn not_before(&self, now: SystemTime) -> Option<SystemTime> {
        let key = self.identity.used_codes();
        let elsewhere = self.keeper.blocking(move |store| {
            let body = store.load(&key).ok().flatten();
            let record = body.and_then(|body| Record::read(&body));
            record.is_some_and(|record| record.used_in_step_of(now))
        });
        let used = used_in_step_of(self.identity, now) || elsewhere.await.unwrap_or(false);
        used.then(|| time(step(now).saturating_add(1).saturating_mul(STEP)))
    }

    /// Changes the record while no other program does; `None` when the runtime goes down.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Record) -> T + Send + 'static,
    ) -> Option<T> {
        let key = self.identity.used_codes();
        let _lock = self.keeper.lock(key.clone(), PATIENCE, |_| {}).await;
        let changed = self.keeper.blocking(move |store| {
            let kept = store.load(&key).unwrap_or_else(|error| {
                tracing::warn!(%error, "which codes other programs used cannot be read");
                None
            });
            let record = kept.and_then(|body| Record::read(&body));
            let mut record = record.unwrap_or_else(Record::new);
            let outcome = change(&mut record);
            if let Err(error) = store.save(&key, &record.write()) {
                tracing::warn!(%error, "the code is not known as used to other programs");
            }
            outcome
        });
        changed.await
    }
}

fn use_up(identity: &Identity, code: &MfaCode, now: SystemTime) -> bool {
    let (device, code) = hashes(identity, code);
    let mut used = used();
    used.retain(|entry| distance(now, entry.at) < CODE_LIFE);
    if used.iter().any(|entry| entry.code == code) {
        return false;
    }
    used.push(Used {
        device,
        code,
        at: now,
    });
    true
}

fn give_back(identity: &Identity, code: &MfaCode) {
    let (_, code) = hashes(identity, code);
    used().retain(|entry| entry.code != code);
}

fn used_in_step_of(identity: &Identity, now: SystemTime) -> bool {
    let device = SALT.hash_one(device(identity));
    used()
        .iter()
        .any(|entry| entry.device == device && step(entry.at) == step(now))
}

fn used() -> MutexGuard<'static, Vec<Used>> {
    USED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whichever of the user's keys signs: the device is the same.
fn device(identity: &Identity) -> (Option<&str>, Option<&str>) {
    (
        identity.endpoint.as_deref(),
        identity.serial.as_ref().map(crate::MfaSerial::as_str),
    )
}

fn hashes(identity: &Identity, code: &MfaCode) -> (u64, u64) {
    let device = device(identity);
    (
        SALT.hash_one(device),
        SALT.hash_one((device, code.expose())),
    )
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn identity(key: &str, name: &str) -> Identity {
        Identity {
            endpoint: None,
            access_key_id: key.to_owned(),
            serial: format!("arn:aws:iam::123456789012:mfa/{name}").parse().ok(),
        }
    }

    #[test]
    fn a_code_is_used_once_for_as_long_as_it_could_be_accepted() {
        let code = |text: &str| text.parse::<MfaCode>().expect("six digits");
        let taro = identity("guard-1", "guard-taro");
        let jiro = identity("guard-2", "guard-jiro");
        // The beginning of a step.
        let now = UNIX_EPOCH + Duration::from_secs(1_795_521_840);
        assert!(!used_in_step_of(&taro, now));
        assert!(use_up(&taro, &code("111111"), now));
        assert!(!use_up(
            &taro,
            &code("111111"),
            now + Duration::from_secs(89)
        ));
        let other_key = identity("guard-3", "guard-taro");
        assert!(!use_up(&other_key, &code("111111"), now), "the same device");
        assert!(use_up(&jiro, &code("111111"), now), "another device");
        assert!(use_up(&taro, &code("222222"), now));

        assert!(used_in_step_of(&taro, now + Duration::from_secs(29)));
        assert!(!used_in_step_of(&taro, now + Duration::from_secs(30)));

        give_back(&taro, &code("222222"));
        assert!(use_up(&taro, &code("222222"), now), "it was never sent");
        assert!(use_up(
            &taro,
            &code("111111"),
            now + Duration::from_secs(90)
        ));
    }
}
