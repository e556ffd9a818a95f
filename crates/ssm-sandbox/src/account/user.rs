//! An IAM user and their long-term keys.

/// The number of the one account.
pub(crate) const ACCOUNT_ID: &str = "123456789012";

/// An IAM user of the sandbox's account, with long-term keys of their own.
///
/// A name alone (`"taro".into()`) is a user with one virtual MFA device of that name.
#[derive(Debug, Clone)]
pub struct User {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) devices: Vec<String>,
    pub(crate) reads_iam: bool,
}

impl User {
    /// A user without MFA devices.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: "/".to_owned(),
            devices: Vec::new(),
            reads_iam: true,
        }
    }

    /// The path in front of the name, as `/division/`. Default `/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds a virtual MFA device: `arn:aws:iam::123456789012:mfa/NAME`. Its name need not be the
    /// user's.
    pub fn virtual_device(mut self, name: &str) -> Self {
        self.devices
            .push(format!("arn:aws:iam::{ACCOUNT_ID}:mfa/{name}"));
        self
    }

    /// Adds a hardware MFA device by its serial number, such as `GAHT12345678`.
    pub fn hardware_device(mut self, serial: impl Into<String>) -> Self {
        self.devices.push(serial.into());
        self
    }

    /// Adds a passkey or security key. It has no codes, so STS never accepts it.
    pub fn security_key(mut self, name: &str) -> Self {
        let user = &self.name;
        self.devices
            .push(format!("arn:aws:iam::{ACCOUNT_ID}:u2f/user/{user}/{name}"));
        self
    }

    /// Whether the user may call iam:ListMFADevices and iam:GetUser for themselves, as AWS's sample
    /// policies allow without MFA. Default `true`.
    pub fn reads_iam(mut self, may: bool) -> Self {
        self.reads_iam = may;
        self
    }
}

impl From<&str> for User {
    fn from(name: &str) -> Self {
        Self::new(name).virtual_device(name)
    }
}

impl From<String> for User {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

/// Long-term keys of a [`User`].
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA` and 16 characters.
    pub id: String,
    /// The secret access key.
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
