//! A role that is assumed without MFA.

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::config::resolve::Role;

/// The SDK's provider, created when it is first used.
#[derive(Debug)]
pub(super) struct Assumed {
    role: Role,
    config: SdkConfig,
    source: SharedCredentialsProvider,
}

impl Assumed {
    pub(super) fn new(role: &Role, config: &SdkConfig, source: SharedCredentialsProvider) -> Self {
        Self {
            role: role.clone(),
            config: config.clone(),
            source,
        }
    }

    async fn provider(&self) -> AssumeRoleProvider {
        let mut builder = AssumeRoleProvider::builder(&self.role.arn).configure(&self.config);
        if let Some(name) = &self.role.session_name {
            builder = builder.session_name(name);
        }
        if let Some(id) = &self.role.external_id {
            builder = builder.external_id(id);
        }
        if let Some(duration) = self.role.duration {
            builder = builder.session_length(duration);
        }
        builder.build_from_provider(self.source.clone()).await
    }
}

impl ProvideCredentials for Assumed {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(async { self.provider().await.provide_credentials().await })
    }
}
