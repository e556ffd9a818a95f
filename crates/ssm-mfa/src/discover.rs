//! Finds a user's MFA device when none is configured.

mod iam;

use crate::builder::MfaProviderBuilder;
use crate::code::source::CodeError;
use crate::code::terminal::choose_device;
use crate::error::MfaError;
use crate::serial::{InvalidSerial, MfaSerial};
use iam::Answer;

/// A user's MFA devices.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Devices {
    /// Devices that show codes; or, if [`guessed`](Self::guessed), the one that may exist.
    pub usable: Vec<MfaSerial>,
    /// Passkeys and security keys, which do not work with STS.
    pub security_keys: Vec<String>,
    /// The user may not list devices. The one in [`usable`](Self::usable) is named like the user, as in
    /// many accounts, but may not exist.
    pub guessed: bool,
}

impl MfaProviderBuilder {
    /// Asks IAM for the devices of the user that the source credentials belong to:
    /// iam:ListMFADevices, which AWS's sample policies allow without MFA. If that is denied, the
    /// device is guessed from the user's name, which STS reports.
    ///
    /// # Errors
    /// When there are no source credentials, or neither IAM nor STS gives an answer.
    pub async fn find_devices(&self) -> Result<Devices, MfaError> {
        let (config, sts, clock) = self.calls()?;
        let keys = sts.source_credentials().await?.credentials;
        match iam::list_mfa_devices(&config, clock.now(), &keys).await? {
            Answer::Serials(serials) => Ok(sort(serials)),
            Answer::Denied(message) => {
                let user = sts.caller_arn(&keys).await;
                let guess = user.as_deref().and_then(named_as);
                let guess = guess.ok_or_else(|| {
                    MfaError::Devices(format!("IAM denies listing them: {message}"))
                })?;
                Ok(Devices {
                    usable: vec![guess],
                    security_keys: Vec::new(),
                    guessed: true,
                })
            }
        }
    }

    /// Sets the device that [`find_devices`](Self::find_devices) finds with the settings made so far.
    /// The terminal shows which one it is, and whether it is a guess; if there are several, it asks.
    ///
    /// # Errors
    /// When no device shows codes, there is no terminal to ask on, or the answer is not one of the
    /// devices.
    pub async fn find_serial(self) -> Result<Self, MfaError> {
        let devices = self.find_devices().await?;
        let serial = match devices.usable.as_slice() {
            [] => return Err(none(&devices.security_keys)),
            [only] => only.clone(),
            several => choose_device(several).await.map_err(|error| match error {
                CodeError::NoTerminal => unchosen(several),
                CodeError::Cancelled => MfaError::Cancelled,
                error => MfaError::Code(error),
            })?,
        };
        tracing::info!(%serial, guessed = devices.guessed, "MFA device");
        self.notice(&if devices.guessed {
            format!(
                "You may not list your MFA devices. A GUESS from your user name: {serial}. If it is wrong, set the device."
            )
        } else {
            format!("Your MFA device is {serial}; set as mfa_serial in the profile, it need not be looked up.")
        });
        Ok(self.serial(serial))
    }
}

fn none(security_keys: &[String]) -> MfaError {
    match security_keys.first() {
        Some(serial) => MfaError::Serial(InvalidSerial::SecurityKey {
            serial: serial.clone(),
        }),
        None => MfaError::Devices(
            "the user has none: add a virtual (TOTP) device in the IAM console under Security credentials"
                .to_owned(),
        ),
    }
}

fn unchosen(devices: &[MfaSerial]) -> MfaError {
    let names: Vec<&str> = devices.iter().map(MfaSerial::as_str).collect();
    MfaError::Devices(format!(
        "there are several, and no terminal to ask which one to use: {}",
        names.join(", ")
    ))
}

fn sort(serials: Vec<String>) -> Devices {
    let mut devices = Devices {
        usable: Vec::new(),
        security_keys: Vec::new(),
        guessed: false,
    };
    for serial in serials {
        match serial.parse::<MfaSerial>() {
            Ok(serial) => devices.usable.push(serial),
            Err(InvalidSerial::SecurityKey { serial }) => devices.security_keys.push(serial),
            Err(error) => tracing::warn!(%error, "IAM lists a device that STS does not accept"),
        }
    }
    devices
}

/// `arn:aws:iam::123456789012:user/path/taro` → `arn:aws:iam::123456789012:mfa/taro`.
fn named_as(user: &str) -> Option<MfaSerial> {
    let (account, path) = user.split_once(":user/")?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    format!("{account}:mfa/{name}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessed_device_has_the_users_partition_and_no_path() {
        let guess = |user| named_as(user).map(|serial| serial.to_string());
        assert_eq!(
            guess("arn:aws-cn:iam::123456789012:user/division/team/taro").as_deref(),
            Some("arn:aws-cn:iam::123456789012:mfa/taro")
        );
        for other in [
            "arn:aws:iam::123456789012:root",
            "arn:aws:sts::123456789012:assumed-role/dev/x",
            "arn:aws:iam::123456789012:user/",
            "",
        ] {
            assert_eq!(guess(other), None, "{other}");
        }
    }

    #[test]
    fn devices_with_codes_are_separated_from_security_keys() {
        let key = "arn:aws:iam::123456789012:u2f/user/taro/key";
        let virtual_device = "arn:aws-us-gov:iam::123456789012:mfa/taro";
        let serials = ["GAHT12345678", key, virtual_device, "not a serial"];
        let devices = sort(serials.map(str::to_owned).to_vec());
        let usable: Vec<_> = devices.usable.iter().map(MfaSerial::as_str).collect();
        assert_eq!(usable, ["GAHT12345678", virtual_device]);
        assert_eq!(devices.security_keys, [key]);
        assert!(!devices.guessed);
    }

    #[test]
    fn missing_device_error_says_what_to_do() {
        let text = none(&["arn:aws:iam::1:u2f/user/t/x".to_owned()]).to_string();
        assert!(text.contains("passkey") && text.contains("TOTP"), "{text}");
        assert!(none(&[]).to_string().contains("add a virtual (TOTP)"));
    }
}
