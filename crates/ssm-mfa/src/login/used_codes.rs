//! AWS accepts each code of a device once. A code that was sent is not sent again: not by this program
//! and, as far as the store allows, not by another program of this user.

mod record;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::cache::cache_key::CacheKeys;
use crate::cache::session_cache::SessionCache;
use crate::code::mfa_code::MfaCode;
use record::{CODE_LIFE, Record, STEP, distance, step, time};

/// Time allowed for another program to write its record.
const PATIENCE: Duration = Duration::from_secs(5);

/// Salted hashes of the codes that this program's providers sent.
static USED: Mutex<Vec<Used>> = Mutex::new(Vec::new());
static SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

#[derive(Clone, Copy)]
struct Used {
    device: u64,
    code: u64,
    at: SystemTime,
}

/// The used codes of one device: this program's, and those of other programs in the store. Without a
/// readable and writable store, this program's remain.
pub(crate) struct UsedCodes<'a> {
    keys: &'a CacheKeys,
    cache: &'a SessionCache,
}

impl<'a> UsedCodes<'a> {
    pub(crate) fn new(keys: &'a CacheKeys, cache: &'a SessionCache) -> Self {
        Self { keys, cache }
    }

    /// Marks a code as used, before it is sent; `false` if it was used before.
    pub(crate) async fn mark_used(&self, code: &MfaCode, now: SystemTime) -> bool {
        if !mark_used(self.keys, code, now) {
            return false;
        }
        let code = code.clone();
        let unused = self
            .change(move |record| record.mark_used(&code, now))
            .await;
        unused.unwrap_or(true)
    }

    /// Takes the mark back: the code was not sent after all.
    pub(crate) async fn unmark(&self, code: &MfaCode) {
        unmark(self.keys, code);
        let code = code.clone();
        self.change(move |record| record.unmark(&code)).await;
    }

    /// When the device shows the next code, if the current one was used.
    pub(crate) async fn not_before(&self, now: SystemTime) -> Option<SystemTime> {
        let key = self.keys.used_codes();
        let elsewhere = self.cache.blocking(move |store| {
            let body = store.load(&key).ok().flatten();
            let record = body.and_then(|body| Record::read(&body));
            record.is_some_and(|record| record.used_in_step_of(now))
        });
        let used = used_in_step_of(self.keys, now) || elsewhere.await.unwrap_or(false);
        used.then(|| time(step(now).saturating_add(1).saturating_mul(STEP)))
    }

    /// Changes the record under its lock; `None` when the runtime shuts down.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Record) -> T + Send + 'static,
    ) -> Option<T> {
        let key = self.keys.used_codes();
        let _lock = self.cache.lock(key.clone(), PATIENCE, |_| {}).await;
        let changed = self.cache.blocking(move |store| {
            let kept = store.load(&key).unwrap_or_else(|error| {
                tracing::warn!(%error, "the record of codes that other programs used cannot be read");
                None
            });
            let record = kept.and_then(|body| Record::read(&body));
            let mut record = record.unwrap_or_else(Record::new);
            let outcome = change(&mut record);
            if let Err(error) = store.save(&key, &record.write()) {
                tracing::warn!(%error, "other programs will not know that the code was used");
            }
            outcome
        });
        changed.await
    }
}

fn mark_used(keys: &CacheKeys, code: &MfaCode, now: SystemTime) -> bool {
    let (device, code) = hashes(keys, code);
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

fn unmark(keys: &CacheKeys, code: &MfaCode) {
    let (_, code) = hashes(keys, code);
    used().retain(|entry| entry.code != code);
}

fn used_in_step_of(keys: &CacheKeys, now: SystemTime) -> bool {
    let device = SALT.hash_one(device(keys));
    used()
        .iter()
        .any(|entry| entry.device == device && step(entry.at) == step(now))
}

fn used() -> MutexGuard<'static, Vec<Used>> {
    USED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device, which all keys of its user share.
fn device(keys: &CacheKeys) -> (Option<&str>, Option<&str>) {
    (
        keys.endpoint.as_deref(),
        keys.serial.as_ref().map(crate::MfaSerial::as_str),
    )
}

fn hashes(keys: &CacheKeys, code: &MfaCode) -> (u64, u64) {
    let device = device(keys);
    (
        SALT.hash_one(device),
        SALT.hash_one((device, code.expose())),
    )
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn keys(key: &str, name: &str) -> CacheKeys {
        CacheKeys {
            endpoint: None,
            access_key_id: key.to_owned(),
            serial: format!("arn:aws:iam::123456789012:mfa/{name}").parse().ok(),
        }
    }

    #[test]
    fn code_is_used_once_while_aws_could_accept_it() {
        let code = |text: &str| text.parse::<MfaCode>().expect("six digits");
        let taro = keys("guard-1", "guard-taro");
        let jiro = keys("guard-2", "guard-jiro");
        // The beginning of a step.
        let now = UNIX_EPOCH + Duration::from_secs(1_795_521_840);
        assert!(!used_in_step_of(&taro, now));
        assert!(mark_used(&taro, &code("111111"), now));
        assert!(!mark_used(
            &taro,
            &code("111111"),
            now + Duration::from_secs(89)
        ));
        let other_key = keys("guard-3", "guard-taro");
        assert!(
            !mark_used(&other_key, &code("111111"), now),
            "the same device"
        );
        assert!(mark_used(&jiro, &code("111111"), now), "another device");
        assert!(mark_used(&taro, &code("222222"), now));

        assert!(used_in_step_of(&taro, now + Duration::from_secs(29)));
        assert!(!used_in_step_of(&taro, now + Duration::from_secs(30)));

        unmark(&taro, &code("222222"));
        assert!(mark_used(&taro, &code("222222"), now), "it was never sent");
        assert!(mark_used(
            &taro,
            &code("111111"),
            now + Duration::from_secs(90)
        ));
    }
}
