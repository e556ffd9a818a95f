//! The sources of credentials as providers of the AWS SDK, each configured directly.

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::process;
use crate::config::resolve::Source;
use crate::printable::printable;

/// A source, its name for errors, and a remedy for when it has no credentials.
pub(super) struct CredentialSource {
    pub(super) name: String,
    pub(super) hint: Option<String>,
    fetch: Fetch,
}

enum Fetch {
    Process(String),
    Provider(SharedCredentialsProvider),
    /// The container's role, then the instance's.
    Machine(Box<EcsCredentialsProvider>, Box<ImdsCredentialsProvider>),
    #[cfg(not(all(feature = "sso", feature = "login")))]
    Missing(&'static str),
}

impl std::fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("CredentialSource");
        debug.field("name", &self.name).finish_non_exhaustive()
    }
}

impl CredentialSource {
    pub(super) fn new(source: &Source, config: &SdkConfig) -> Self {
        let provider_config = provider_config(config);
        let ecs = || {
            EcsCredentialsProvider::builder()
                .configure(&provider_config)
                .build()
        };
        let imds = || {
            ImdsCredentialsProvider::builder()
                .configure(&provider_config)
                .build()
        };
        let mut hint = None;
        let shared = |provider| Fetch::Provider(provider);
        let (name, fetch) = match source {
            Source::Environment(keys) => (
                "the environment".to_owned(),
                shared(SharedCredentialsProvider::new(
                    keys.credentials("Environment"),
                )),
            ),
            Source::Profile { name, keys } => (
                of_profile(name),
                shared(SharedCredentialsProvider::new(keys.credentials("Profile"))),
            ),
            Source::Process { profile, command } => {
                (of_profile(profile), Fetch::Process(command.clone()))
            }
            Source::WebIdentity {
                role_arn,
                token_file,
                session_name,
            } => {
                let configuration = StaticConfiguration {
                    web_identity_token_file: token_file.into(),
                    role_arn: role_arn.clone(),
                    session_name: session_name.clone().unwrap_or_else(session_name_by_time),
                };
                let provider = WebIdentityTokenCredentialsProvider::builder()
                    .configure(&provider_config)
                    .static_configuration(configuration)
                    .build();
                let name = format!("the web identity of role {}", printable(role_arn));
                (name, shared(SharedCredentialsProvider::new(provider)))
            }
            Source::Sso(sso) => {
                let profile = of_profile(&sso.profile);
                let sign_in = format!(
                    "sign in with `aws sso login --profile {}`",
                    quoted(&sso.profile)
                );
                hint = Some(where_cached(has_home(), sign_in));
                #[cfg(feature = "sso")]
                let fetch = {
                    let mut builder = aws_config::sso::SsoCredentialsProvider::builder()
                        .configure(&provider_config)
                        .start_url(&sso.start_url)
                        .region(aws_config::Region::new(sso.region.clone()))
                        .account_id(&sso.account_id)
                        .role_name(&sso.role_name);
                    builder.set_session_name(sso.session.clone());
                    shared(SharedCredentialsProvider::new(builder.build()))
                };
                #[cfg(not(feature = "sso"))]
                let fetch = Fetch::Missing("this program is built without IAM Identity Center");
                (profile, fetch)
            }
            Source::Login { profile, session } => {
                let argument = quoted(profile);
                let sign_in = format!(
                    "sign in with `aws login --profile {argument}`; or let the AWS CLI hand the keys over: `credential_process = aws configure export-credentials --profile {argument} --format process` in another profile"
                );
                let has_cache = has_home() || is_set("AWS_LOGIN_CACHE_DIRECTORY");
                hint = Some(where_cached(has_cache, sign_in));
                let name = of_profile(profile);
                #[cfg(feature = "login")]
                let fetch = shared(SharedCredentialsProvider::new(
                    aws_config::login::LoginCredentialsProvider::builder(session)
                        .configure(&provider_config)
                        .build(),
                ));
                #[cfg(not(feature = "login"))]
                let fetch = {
                    let _ = session;
                    Fetch::Missing("this program is built without `aws login`")
                };
                (name, fetch)
            }
            Source::Ec2Instance => (
                "the instance's role".to_owned(),
                shared(SharedCredentialsProvider::new(imds())),
            ),
            Source::Container => (
                "the container's role".to_owned(),
                shared(SharedCredentialsProvider::new(ecs())),
            ),
            Source::Machine { profile } => {
                let name = match profile {
                    Some(profile) => {
                        let shown = printable(profile);
                        hint = Some(format!(
                            "profile {shown} has none: no keys, role, credential_process, sso or login session; a source_profile without role_arn gives none"
                        ));
                        format!("profile {shown}, a container or an instance")
                    }
                    None => {
                        hint = Some(
                            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile"
                                .to_owned(),
                        );
                        "the environment, a profile, a container or an instance".to_owned()
                    }
                };
                (name, Fetch::Machine(Box::new(ecs()), Box::new(imds())))
            }
        };
        Self { name, hint, fetch }
    }
}

/// The AWS SDK finds cached sign-ins by these variables alone, and takes no folder from its caller;
/// the configuration files are found by the system's record of the user too.
fn has_home() -> bool {
    is_set("HOME") || is_set("USERPROFILE")
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// What helps when there is no sign-in: where the SDK cannot look for one, another would not help.
fn where_cached(has_cache: bool, sign_in: String) -> String {
    match has_cache {
        true => sign_in,
        false => "HOME is not set, and the AWS SDK looks for cached sign-ins there only: set HOME"
            .to_owned(),
    }
}

fn of_profile(name: &str) -> String {
    format!("profile {}", printable(name))
}

/// Quoted for a command line that a user copies.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./@+:".contains(c);
    if name.chars().all(plain) {
        return name.to_owned();
    }
    format!("'{}'", printable(name))
}

fn session_name_by_time() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("ssm-aws-{}", now.unwrap_or_default().as_secs())
}

fn provider_config(config: &SdkConfig) -> ProviderConfig {
    let mut provider = ProviderConfig::without_region()
        .with_region(config.region().cloned())
        .with_behavior_version(config.behavior_version())
        .with_use_fips(config.use_fips())
        .with_use_dual_stack(config.use_dual_stack());
    if let Some(client) = config.http_client() {
        provider = provider.with_http_client(client);
    }
    if let Some(retries) = config.retry_config() {
        provider = provider.with_retry_config(retries.clone());
    }
    provider
}

impl ProvideCredentials for CredentialSource {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(async {
            match &self.fetch {
                Fetch::Process(command) => process::run(command).await,
                Fetch::Provider(provider) => provider.provide_credentials().await,
                Fetch::Machine(container, instance) => {
                    match container.provide_credentials().await {
                        Err(CredentialsError::CredentialsNotLoaded(_)) => {
                            instance.provide_credentials().await
                        }
                        outcome => outcome,
                    }
                }
                #[cfg(not(all(feature = "sso", feature = "login")))]
                Fetch::Missing(what) => Err(CredentialsError::invalid_configuration(*what)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_home_is_named_before_a_sign_in() {
        let sign_in = || "sign in".to_owned();
        assert_eq!(where_cached(true, sign_in()), "sign in");
        assert!(where_cached(false, sign_in()).contains("set HOME"));
    }
}
