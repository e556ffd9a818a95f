//! Credentials by what the settings say: one provider for each need, which fetches once and is
//! shared by every client.

mod cached;
mod expiration;
mod process;
mod role;
mod sources;

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::config::resolve::Settings;
use cached::Cached;
pub use cached::SourceError;

/// What the roles are assumed with.
pub(crate) fn source(settings: &Settings, config: &SdkConfig) -> SharedCredentialsProvider {
    let source = sources::CredentialSource::new(settings.source(), config);
    SharedCredentialsProvider::new(Cached::new(
        source.name.clone(),
        source.hint.clone(),
        source,
    ))
}

/// The last role's credentials; without roles, the source's own.
pub(crate) fn roles(
    settings: &Settings,
    config: &SdkConfig,
    source: SharedCredentialsProvider,
) -> SharedCredentialsProvider {
    settings.roles().iter().fold(source, |source, role| {
        let name = format!("role {}", crate::printable::printable(&role.arn));
        let provider = role::Assumed::new(role, config, source);
        SharedCredentialsProvider::new(Cached::new(name, None, provider))
    })
}
