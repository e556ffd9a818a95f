//! Names of what the store keeps.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::role::RoleSpec;
use crate::serial::MfaSerial;

/// Version of the format and of the keys: another version has other keys.
const VERSION: &str = "1";

/// The keys of one login's sessions, and what all of them depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheKeys {
    /// Custom URL of STS; `None` for AWS's own, whose regional endpoints issue sessions that are valid
    /// in every region of the partition, so that one prompt serves them all.
    pub(crate) endpoint: Option<String>,
    /// Of the source credentials. The AWS CLI's cache leaves it out, and so mixes up two users of one
    /// role.
    pub(crate) access_key_id: String,
    pub(crate) serial: Option<MfaSerial>,
}

impl CacheKeys {
    pub(crate) fn session(&self, duration: Duration) -> String {
        self.hash("session", &[duration.as_secs().to_string()])
    }

    /// Key of a chain's last role.
    pub(crate) fn roles(&self, with_code: bool, roles: &[RoleSpec]) -> String {
        let kind = if with_code { "role-with-code" } else { "role" };
        let mut parts = Vec::new();
        for role in roles {
            let seconds = role.duration.map(|d| d.as_secs().to_string());
            parts.push(role.arn.clone());
            // An absent argument is not an empty one.
            for argument in [&role.session_name, &role.external_id, &seconds] {
                parts.push(
                    argument
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), |a| format!("={a}")),
                );
            }
        }
        self.hash(kind, &parts)
    }

    /// Name of the lock around a prompt.
    pub(crate) fn prompt(&self) -> String {
        self.hash("prompt", &[])
    }

    /// Key of the record of the device's used codes, which all keys of the user share.
    pub(crate) fn used_codes(&self) -> String {
        let device = Self {
            access_key_id: String::new(),
            ..self.clone()
        };
        device.hash("used-codes", &[])
    }

    fn hash(&self, kind: &str, parts: &[String]) -> String {
        let serial = self.serial.as_ref().map_or("", MfaSerial::as_str);
        let common = [
            VERSION,
            kind,
            partition(serial, parts),
            self.endpoint.as_deref().unwrap_or_default(),
            &self.access_key_id,
            serial,
        ];
        let mut hash = Sha256::new();
        for part in common.into_iter().chain(parts.iter().map(String::as_str)) {
            // The length keeps `ab`, `c` and `a`, `bc` apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// `aws`, `aws-cn`, …: that of the first ARN. A hardware device's serial number is not an ARN.
fn partition<'a>(serial: &'a str, parts: &'a [String]) -> &'a str {
    let arns = std::iter::once(serial).chain(parts.iter().map(String::as_str));
    arns.filter_map(|arn| arn.strip_prefix("arn:")?.split(':').next())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn key_depends_on_everything_that_makes_a_session_another() {
        let serial = |text: &str| text.parse::<MfaSerial>().ok();
        let base = CacheKeys {
            endpoint: None,
            access_key_id: "AKIAONE".to_owned(),
            serial: serial("arn:aws:iam::123456789012:mfa/taro"),
        };
        let role = RoleSpec::new("arn:aws:iam::123456789012:role/dev");
        let long = Duration::from_secs(43_200);
        let mut keys = BTreeSet::new();
        let mut count = 0;
        let mut add = |key: String| {
            assert_eq!(key.len(), 64);
            assert!(key.bytes().all(|b| b.is_ascii_hexdigit()));
            count += 1;
            keys.insert(key);
        };
        add(base.session(long));
        add(base.session(Duration::from_secs(3600)));
        add(base.prompt());
        add(base.roles(false, std::slice::from_ref(&role)));
        add(base.roles(true, std::slice::from_ref(&role)));
        add(base.roles(false, &[role.clone(), role.clone()]));
        add(base.roles(false, &[role.clone().external_id("ext")]));
        add(base.roles(false, &[role.clone().session_name("ext")]));
        add(base.roles(false, &[role.clone().duration(Duration::from_secs(900))]));
        for other in [
            CacheKeys {
                access_key_id: "AKIATWO".to_owned(),
                ..base.clone()
            },
            CacheKeys {
                endpoint: Some("http://127.0.0.1:1".to_owned()),
                ..base.clone()
            },
            CacheKeys {
                serial: serial("arn:aws:iam::123456789012:mfa/jiro"),
                ..base.clone()
            },
            CacheKeys {
                serial: None,
                ..base.clone()
            },
        ] {
            add(other.session(long));
            add(other.roles(false, std::slice::from_ref(&role)));
        }
        add(base.used_codes());
        assert_eq!(keys.len(), count);
        let other_key = CacheKeys {
            access_key_id: "AKIATWO".to_owned(),
            ..base.clone()
        };
        assert_eq!(base.used_codes(), other_key.used_codes());
        assert_eq!(base.session(long), base.clone().session(long));
    }
}
