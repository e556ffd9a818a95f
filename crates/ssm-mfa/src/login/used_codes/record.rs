//! The record of a device's used codes in the store, shared with this user's other programs.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::code::mfa_code::MfaCode;

const VERSION: u32 = 1;
/// The time in which AWS may accept a code: its step, and one step around it.
pub(super) const CODE_LIFE: Duration = Duration::from_secs(90);
/// RFC 6238: a new code every 30 s.
pub(super) const STEP: u64 = 30;

/// Salted hashes of codes that were sent less than [`CODE_LIFE`] ago, and when. Used codes are
/// worthless, but the hash keeps them out of backups and out of sight.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    version: u32,
    salt: String,
    used: Vec<Used>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Used {
    code: String,
    /// Seconds since 1970.
    at: u64,
}

impl Record {
    pub(super) fn new() -> Self {
        // Randomly keyed, to protect hash tables from flooding.
        let random = || RandomState::new().build_hasher().finish();
        Self {
            version: VERSION,
            salt: format!("{:016x}{:016x}", random(), random()),
            used: Vec::new(),
        }
    }

    /// `None` for a body that is foreign or damaged.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(body).ok()?;
        (record.version == VERSION).then_some(record)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        // Numbers and texts cannot fail to serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Marks a code as used; `false` if it was used before.
    pub(super) fn mark_used(&mut self, code: &MfaCode, now: SystemTime) -> bool {
        self.used
            .retain(|used| distance(now, time(used.at)) < CODE_LIFE);
        let code = self.hash(code);
        if self.used.iter().any(|used| used.code == code) {
            return false;
        }
        self.used.push(Used {
            code,
            at: seconds(now),
        });
        true
    }

    pub(super) fn unmark(&mut self, code: &MfaCode) {
        let code = self.hash(code);
        self.used.retain(|used| used.code != code);
    }

    /// Whether a code was used in this 30 s step.
    pub(super) fn used_in_step_of(&self, now: SystemTime) -> bool {
        self.used
            .iter()
            .any(|used| step(time(used.at)) == step(now))
    }

    fn hash(&self, code: &MfaCode) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.salt);
        hash.update(code.expose());
        let mut hex = String::with_capacity(64);
        for byte in hash.finalize() {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// This moment, or the end of the year 9999 for a later one.
pub(super) fn time(seconds: u64) -> SystemTime {
    const YEAR_9999: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.min(YEAR_9999))
}

pub(super) fn step(time: SystemTime) -> u64 {
    seconds(time) / STEP
}

pub(super) fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b)
        .or_else(|_| b.duration_since(a))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> MfaCode {
        text.parse().expect("six digits")
    }

    #[test]
    fn record_remembers_codes_without_containing_them() {
        let now = time(1_795_521_840);
        let mut record = Record::new();
        assert!(record.mark_used(&code("918273"), now));
        let body = record.write();
        let text = String::from_utf8(body.clone()).expect("JSON");
        assert!(!text.contains("918273"), "{text}");
        let mut record = Record::read(&body).expect("ours");
        assert!(record.used_in_step_of(now + Duration::from_secs(29)));
        assert!(!record.used_in_step_of(now + Duration::from_secs(30)));
        assert!(!record.mark_used(&code("918273"), now + Duration::from_secs(89)));
        assert!(record.mark_used(&code("918274"), now));
        record.unmark(&code("918274"));
        assert!(record.mark_used(&code("918274"), now));
        assert!(record.mark_used(&code("918273"), now + Duration::from_secs(90)));
        assert_eq!(record.used.len(), 1, "what is over is forgotten");
        // The same code has another hash in another record.
        let (mut a, mut b) = (Record::new(), Record::new());
        assert!(a.mark_used(&code("918273"), now) && b.mark_used(&code("918273"), now));
        assert_ne!(a.used[0].code, b.used[0].code);
    }

    #[test]
    fn damaged_record_is_ignored() {
        for body in ["", "{", "{}", "[]", r#"{"Version":2,"Salt":"","Used":[]}"#] {
            assert!(Record::read(body.as_bytes()).is_none(), "{body}");
        }
        // Whatever its times are.
        let far = r#"{"Version":1,"Salt":"","Used":[{"Code":"","At":18446744073709551615}]}"#;
        let mut record = Record::read(far.as_bytes()).expect("ours");
        assert!(!record.used_in_step_of(time(0)));
        assert!(record.mark_used(&code("918273"), time(0)));
        assert_eq!(record.used.len(), 1);
    }
}
