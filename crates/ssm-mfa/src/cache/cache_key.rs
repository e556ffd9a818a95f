use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::role::RoleSpec;
use crate::serial::MfaSerial;

/// What the body looks like and what the key is made of; another version is another key.
const VERSION: &str = "1";

/// Whose sessions they are: everything that all keys have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Custom URL of STS, or nothing for AWS's own: its regional endpoints issue sessions that are
    /// good in every region of the partition, so that one prompt serves them all.
    pub(crate) endpoint: Option<String>,
    /// The long-term key, or whatever the chain begins with. The AWS CLI's cache forgets it, and so
    /// mixes up two users of one role.
    pub(crate) access_key_id: String,
    pub(crate) serial: Option<MfaSerial>,
}

impl Identity {
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

    /// Name of the lock for asking about the device.
    pub(crate) fn prompt(&self) -> String {
        self.hash("prompt", &[])
    }

    /// Key of what is remembered of the device's used codes, whichever of the user's keys signs.
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

/// `aws`, `aws-cn`, …: of whichever ARN there is. A hardware device's serial number is none.
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
    fn every_part_of_an_identity_makes_another_key() {
        let serial = |text: &str| text.parse::<MfaSerial>().ok();
        let base = Identity {
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
            Identity {
                access_key_id: "AKIATWO".to_owned(),
                ..base.clone()
            },
            Identity {
                endpoint: Some("http://127.0.0.1:1".to_owned()),
                ..base.clone()
            },
            Identity {
                serial: serial("arn:aws:iam::123456789012:mfa/jiro"),
                ..base.clone()
            },
            Identity {
                serial: None,
                ..base.clone()
            },
        ] {
            add(other.session(long));
            add(other.roles(false, std::slice::from_ref(&role)));
        }
        add(base.used_codes());
        assert_eq!(keys.len(), count);
        let other_key = Identity {
            access_key_id: "AKIATWO".to_owned(),
            ..base.clone()
        };
        assert_eq!(base.used_codes(), other_key.used_codes());
        assert_eq!(base.session(long), base.clone().session(long));
    }
}
