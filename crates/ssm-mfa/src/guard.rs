//! AWS accepts each code once. What was sent by this program is not sent again.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::code::MfaCode;
use crate::store::key::Identity;

/// How long a code can be accepted at all: its step, and one around it.
const CODE_LIFE: Duration = Duration::from_secs(90);
/// RFC 6238: a new code every 30 s.
const STEP: u64 = 30;

/// Whatever provider of this program sent it: salted hashes, not the codes.
static USED: Mutex<Vec<Used>> = Mutex::new(Vec::new());
static SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

#[derive(Clone, Copy)]
struct Used {
    device: u64,
    code: u64,
    at: SystemTime,
}

/// Marks a code as used; `false` when it was used before.
pub(crate) fn use_up(identity: &Identity, code: &MfaCode, now: SystemTime) -> bool {
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

/// The code was never sent after all.
pub(crate) fn give_back(identity: &Identity, code: &MfaCode) {
    let (_, code) = hashes(identity, code);
    used().retain(|entry| entry.code != code);
}

/// When the device shows another code, if this step's was used.
pub(crate) fn not_before(identity: &Identity, now: SystemTime) -> Option<SystemTime> {
    let device = SALT.hash_one(device(identity));
    let step = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs() / STEP
    };
    let now = step(now);
    used()
        .iter()
        .any(|entry| entry.device == device && step(entry.at) == now)
        .then(|| Duration::from_secs(now.saturating_add(1).saturating_mul(STEP)))
        .and_then(|next| UNIX_EPOCH.checked_add(next))
}

fn used() -> MutexGuard<'static, Vec<Used>> {
    USED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device(identity: &Identity) -> (Option<&str>, &str, Option<&str>) {
    (
        identity.endpoint.as_deref(),
        &identity.access_key_id,
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

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b)
        .or_else(|_| b.duration_since(a))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(key: &str) -> Identity {
        Identity {
            endpoint: None,
            access_key_id: key.to_owned(),
            serial: "arn:aws:iam::123456789012:mfa/taro".parse().ok(),
        }
    }

    #[test]
    fn a_code_is_used_once_for_as_long_as_it_could_be_accepted() {
        let code = |text: &str| text.parse::<MfaCode>().expect("six digits");
        let (taro, jiro) = (identity("guard-1"), identity("guard-2"));
        // The beginning of a step.
        let now = UNIX_EPOCH + Duration::from_secs(1_795_521_840);
        assert_eq!(not_before(&taro, now), None);
        assert!(use_up(&taro, &code("111111"), now));
        assert!(!use_up(
            &taro,
            &code("111111"),
            now + Duration::from_secs(89)
        ));
        assert!(use_up(&jiro, &code("111111"), now), "another user's");
        assert!(use_up(&taro, &code("222222"), now));

        let next = now + Duration::from_secs(30);
        assert_eq!(not_before(&taro, now + Duration::from_secs(29)), Some(next));
        assert_eq!(not_before(&taro, next), None);

        give_back(&taro, &code("222222"));
        assert!(use_up(&taro, &code("222222"), now), "it was never sent");
        assert!(use_up(
            &taro,
            &code("111111"),
            now + Duration::from_secs(90)
        ));
    }
}
