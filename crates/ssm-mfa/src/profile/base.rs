use std::fmt;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// Where the first credentials of a chain come from.
#[derive(Clone)]
pub(crate) enum BaseSource {
    /// Keys in the profile itself.
    Keys(Credentials),
    /// Whatever else a profile without a role of ours has: SSO, `credential_process`, a web
    /// identity. The SDK knows them all.
    Profile(String),
    /// `Environment`.
    Environment,
    /// `Ec2InstanceMetadata`.
    Ec2,
    /// `EcsContainer`.
    Ecs,
    /// There is no profile: what the program has configured.
    Program,
}

impl BaseSource {
    /// By the name that `credential_source` has for it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "Environment" => Some(Self::Environment),
            "Ec2InstanceMetadata" => Some(Self::Ec2),
            "EcsContainer" => Some(Self::Ecs),
            _ => None,
        }
    }

    /// `None` for the program's own.
    pub(crate) async fn provider(self) -> Option<SharedCredentialsProvider> {
        let config = || ProviderConfig::with_default_region();
        Some(match self {
            Self::Keys(keys) => SharedCredentialsProvider::new(keys),
            Self::Profile(name) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&config().await)
                    .profile_name(name)
                    .build(),
            ),
            Self::Environment => {
                SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
            }
            Self::Ec2 => SharedCredentialsProvider::new(
                ImdsCredentialsProvider::builder()
                    .configure(&config().await)
                    .build(),
            ),
            Self::Ecs => SharedCredentialsProvider::new(
                EcsCredentialsProvider::builder()
                    .configure(&config().await)
                    .build(),
            ),
            Self::Program => return None,
        })
    }
}

impl fmt::Debug for BaseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => write!(f, "Keys({})", keys.access_key_id()),
            Self::Profile(name) => write!(f, "Profile({name})"),
            Self::Environment => f.write_str("Environment"),
            Self::Ec2 => f.write_str("Ec2"),
            Self::Ecs => f.write_str("Ecs"),
            Self::Program => f.write_str("Program"),
        }
    }
}
