//! The serial number of an MFA device.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Serial number of an MFA device: the ARN of a virtual one, or the number on a hardware one.
///
/// Source of the limits: AWS STS API Reference, GetSessionToken, `SerialNumber`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MfaSerial(String);

/// Why a text is not a serial number that STS accepts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidSerial {
    /// Shorter than 9 or longer than 256 characters.
    #[error(
        "an MFA serial number has 9 to 256 characters, not {length}; it looks like arn:aws:iam::123456789012:mfa/name"
    )]
    Length {
        /// Characters found.
        length: usize,
    },
    /// A character that STS does not accept.
    #[error(
        "an MFA serial number has no {found:?}; it looks like arn:aws:iam::123456789012:mfa/name"
    )]
    Character {
        /// The first such character.
        found: char,
    },
    /// A passkey or security key.
    #[error(
        "{serial} is a passkey or security key, which do not work with STS: add a virtual (TOTP) device to the user (up to 8 devices), or use `aws login` or IAM Identity Center"
    )]
    SecurityKey {
        /// The serial number.
        serial: String,
    },
}

impl MfaSerial {
    /// The serial number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account, if the serial number is an ARN.
    pub(crate) fn account(&self) -> Option<&str> {
        let account = self.0.strip_prefix("arn:")?.split(':').nth(3)?;
        (!account.is_empty()).then_some(account)
    }
}

impl FromStr for MfaSerial {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        let text = text.trim();
        let length = text.chars().count();
        if !(9..=256).contains(&length) {
            return Err(InvalidSerial::Length { length });
        }
        let allowed = |c: &char| c.is_alphanumeric() || "_+=/:,.@-".contains(*c);
        if let Some(found) = text.chars().find(|c| !allowed(c)) {
            return Err(InvalidSerial::Character { found });
        }
        if text.contains(":u2f/") {
            return Err(InvalidSerial::SecurityKey {
                serial: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MfaSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_may_be_virtual_or_hardware_in_every_partition() {
        for text in [
            "arn:aws:iam::123456789012:mfa/taro",
            "arn:aws-cn:iam::123456789012:mfa/path/taro@example.com",
            "arn:aws-us-gov:iam::123456789012:mfa/a+b=c,d.e_f",
            "GAHT12345678",
            " arn:aws:iam::123456789012:mfa/taro\n",
        ] {
            assert_eq!(text.parse::<MfaSerial>().expect(text).as_str(), text.trim());
        }
    }

    #[test]
    fn invalid_serial_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<MfaSerial>().expect_err(text);
        assert_eq!(refused("short"), InvalidSerial::Length { length: 5 });
        assert_eq!(
            refused(&"x".repeat(257)),
            InvalidSerial::Length { length: 257 }
        );
        assert_eq!(
            refused("arn:aws:iam::1:mfa/a b"),
            InvalidSerial::Character { found: ' ' }
        );
        let key = "arn:aws:iam::123456789012:u2f/user/taro/default-ABC";
        assert_eq!(
            refused(key),
            InvalidSerial::SecurityKey {
                serial: key.to_owned()
            }
        );
        assert!(refused(key).to_string().contains("passkey"));
    }
}
