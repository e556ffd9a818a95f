//! The Administrator's password of a Windows instance.

mod ec2;
mod key;

use std::fmt;

use aws_config::SdkConfig;
use ssm_tunnel::ServiceError;
use thiserror::Error;
use zeroize::Zeroizing;

pub use key::{PrivateKey, PrivateKeyError};

/// A password, which nothing shows but [`expose`](Self::expose). It is wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why there is no password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The target is not an EC2 instance.
    #[error(
        "{0} has no password that EC2 knows: only instances (i-...) have, neither managed nodes (mi-...) nor containers"
    )]
    NotAnInstance(String),
    /// EC2 has none (yet).
    #[error(
        "EC2 has no password of {instance} (yet): a Windows instance makes it in the first 15 minutes after its launch, and none if it was launched without a key pair or its image sets its own"
    )]
    NotAvailable {
        /// The instance.
        instance: String,
    },
    /// The key is not the one that the password was encrypted for.
    #[error(
        "the private key does not fit {instance}: it takes that of the key pair that the instance was launched with"
    )]
    WrongKey {
        /// The instance.
        instance: String,
    },
    /// The caller may not ask.
    #[error(
        "GetPasswordData was denied: {message}; it takes an IAM policy that allows ec2:GetPasswordData on the instance, and if the policy demands MFA, credentials of an MFA session"
    )]
    Denied {
        /// The service's text.
        message: String,
    },
    /// There is no such instance.
    #[error("EC2 does not know {instance}: {message}; check its id and the region")]
    NoSuchInstance {
        /// The instance.
        instance: String,
        /// The service's text.
        message: String,
    },
    /// The call failed, or its settings cannot work.
    #[error(transparent)]
    Call(ssm_tunnel::Error),
}

impl PasswordError {
    fn unreadable(request_id: Option<String>) -> Self {
        let action = ec2::ACTION;
        Self::Call(ServiceError::Unreadable { action, request_id }.into())
    }
}

/// Asks EC2 for the password that a Windows instance made at its first start, and decrypts it with
/// the private key of the instance's key pair. Somebody may have changed it since.
///
/// The call takes region, credentials, HTTP client and `AWS_ENDPOINT_URL_EC2` from `config`,
/// and trusts `AWS_CA_BUNDLE`, as the calls of a [`Tunnel`](ssm_tunnel::Tunnel) do. It needs
/// `ec2:GetPasswordData`.
///
/// Source: Amazon EC2 API Reference, GetPasswordData.
///
/// # Errors
/// [`PasswordError`], which says what to do.
pub async fn administrator_password(
    config: &SdkConfig,
    instance: &str,
    key: &PrivateKey,
) -> Result<Password, PasswordError> {
    let digits = instance.strip_prefix("i-").unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(PasswordError::NotAnInstance(instance.to_owned()));
    }
    let data = ec2::password_data(config, instance).await?;
    if data.is_empty() {
        return Err(PasswordError::NotAvailable {
            instance: instance.to_owned(),
        });
    }
    let encrypted = aws_smithy_types::base64::decode(&data);
    let encrypted = encrypted.map_err(|_| PasswordError::unreadable(None))?;
    let password = key.decrypt(&encrypted);
    password.map(Password).ok_or(PasswordError::WrongKey {
        instance: instance.to_owned(),
    })
}
