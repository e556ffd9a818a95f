//! Who the caller is: the credentials with which the session was started.
//!
//! The AWS CLI passes on the name of its `--profile` and no credentials, so they are resolved by its
//! own rules: a profile that is named goes before the environment's keys, a user's `mfa_serial`
//! without a role does not matter. Where the profile has a role, the first of these that there is:
//!
//! 1. the role session with which the AWS CLI started this very session, from its cache
//!    ([`CliRoleSession`] says why that is safe with any endpoint);
//! 2. the role, assumed over an MFA session that `mfa login` keeps, or over none where the profile
//!    names no device;
//! 3. the role, assumed without a code: its trust policy need not ask for MFA.
//!
//! Assumed roles take the session's own name, after which Systems Manager named the session: policies
//! let a caller resume and terminate sessions of that name. Nobody is asked for a code: the AWS CLI
//! did that.

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider};
use ssm_aws::{AwsConfig, Loader};
use ssm_mfa::{
    CliCache, CliRoleSession, Interaction, MfaError, MfaProvider, MfaProviderBuilder, MfaSerial,
    RoleSpec,
};
use ssm_tunnel::{CaBundle, Proxy, sdk_config_through};

use super::request::Request;

/// How the caller's calls are made.
#[derive(Debug)]
pub struct Caller {
    /// Region, credentials and transport.
    pub config: SdkConfig,
    /// Certificates to trust instead of the system's.
    pub ca_bundle: Option<CaBundle>,
}

/// The caller of a request.
///
/// # Errors
/// When the profile does not exist or cannot be used, or there are no credentials where they are
/// needed from the start.
pub async fn load(request: &Request, needs_credentials: bool) -> anyhow::Result<Caller> {
    // The endpoint is Systems Manager's alone.
    let aws = Loader::new()
        .profile(request.profile.as_deref())
        .region(request.region.as_deref())
        .load()
        .await?;
    let ca_bundle = aws.ca_bundle_pem().map(CaBundle::from_pem).transpose()?;
    // The same proxies and certificates as the data channel's.
    let proxy = Proxy::from_env();
    let mut config = sdk_config_through(aws.sdk_config(), &proxy, ca_bundle.as_ref());
    if let Some(role) = CallersRole::new(&aws, request.session.session_id())? {
        config = config
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(role))
            .identity_cache(IdentityCache::lazy().build())
            .build();
    }
    if needs_credentials {
        let provider = config.credentials_provider().context("no credentials")?;
        let found = provider.provide_credentials().await;
        found.context("no credentials")?;
    }
    Ok(Caller { config, ca_bundle })
}

/// The role of the caller's profile.
#[derive(Debug)]
struct CallersRole {
    used_by_cli: Option<CliRoleSession>,
    /// With the device that the profile names.
    assumed: MfaProvider,
    without_code: Option<MfaProvider>,
}

impl CallersRole {
    /// `None` when the profile has no role.
    fn new(aws: &AwsConfig, session_id: &str) -> anyhow::Result<Option<Self>> {
        let settings = aws.settings();
        let Some(last) = settings.roles().last() else {
            return Ok(None);
        };
        let serial = |text: Option<&str>| text.map(str::parse::<MfaSerial>).transpose();
        let of_role = serial(last.mfa_serial.as_deref())?;
        let used_by_cli = CliRoleSession::new(&spec(last), of_role.as_ref(), session_id);
        let device = match of_role {
            Some(serial) => Some(serial),
            None => serial(settings.source_mfa_serial())?,
        };
        Ok(Some(Self {
            used_by_cli,
            assumed: assume(aws, session_id, device.clone())?,
            without_code: match device {
                Some(_) => Some(assume(aws, session_id, None)?),
                None => None,
            },
        }))
    }

    async fn credentials(&self) -> provider::Result {
        if let Some(cli) = &self.used_by_cli
            && let Ok(credentials) = cli.provide_credentials().await
        {
            return Ok(credentials);
        }
        let login = match self.assumed.login().await {
            Ok(_) => return self.assumed.provide_credentials().await,
            Err(error) => error,
        };
        if let (MfaError::LoginRequired { .. }, Some(without)) = (&login, &self.without_code)
            && let Ok(credentials) = without.provide_credentials().await
        {
            return Ok(credentials);
        }
        Err(CredentialsError::provider_error(login))
    }
}

impl ProvideCredentials for CallersRole {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(self.credentials())
    }
}

/// The profile's roles, the last one under the session's own name unless the profile names it.
fn assume(
    aws: &AwsConfig,
    session_id: &str,
    device: Option<MfaSerial>,
) -> anyhow::Result<MfaProvider> {
    let mut builder = MfaProviderBuilder::default()
        .sts_config(aws.sdk_config())
        .source_credentials(aws.source_credentials().clone())
        .interaction(Interaction::Never)
        .cli_cache(CliCache::Read);
    let mut roles: Vec<RoleSpec> = aws.settings().roles().iter().map(spec).collect();
    if let Some(last) = roles.last_mut()
        && last.session_name.is_none()
    {
        last.session_name = CliRoleSession::name_in(session_id)
            .filter(|name| RoleSpec::is_session_name(name))
            .map(str::to_owned);
    }
    for role in roles {
        builder = builder.role(role);
    }
    if let Some(device) = device {
        builder = builder.serial(device);
    }
    Ok(builder.build()?)
}

fn spec(role: &ssm_aws::Role) -> RoleSpec {
    let mut spec = RoleSpec::new(&role.arn);
    spec.session_name.clone_from(&role.session_name);
    spec.external_id.clone_from(&role.external_id);
    spec.duration = role.duration;
    spec
}
