//! One configuration, and what each of its profiles comes to.

mod files;

use ssm_aws::{ConfigFiles, Environment, File, Request};

use super::*;
use files::{CONFIG, CREDENTIALS, SHARED};

/// Reads the files that the variables name, out of a few.
async fn resolved(name: Option<&str>, variables: &[(&str, &str)]) -> Result<Found, MfaError> {
    let named = |variable: &str| variables.iter().find(|(name, _)| *name == variable);
    let text = |variable: &str, default| match named(variable).map(|(_, path)| *path) {
        None => default,
        Some("/other/config") => "[profile there]\nregion = us-west-2\n",
        Some("/other/credentials") => {
            "[there]\naws_access_key_id = AKIATHERE\naws_secret_access_key = x\n"
        }
        Some("/broken") => "[profile\n",
        Some("/shared") => SHARED,
        Some(path) => panic!("{path}"),
    };
    let file = |variable, default| Some(File::new(variable, text(variable, default)));
    let files = ConfigFiles {
        config: file("AWS_CONFIG_FILE", CONFIG),
        credentials: file("AWS_SHARED_CREDENTIALS_FILE", CREDENTIALS),
    };
    let environment: Environment = variables.iter().copied().collect();
    let request = Request {
        profile: name.map(str::to_owned),
        ..Request::default()
    };
    let settings = ssm_aws::resolve(&files, &environment, &request).map_err(refused)?;
    let found = resolve(&settings)?;
    let aws = AwsConfig::new(settings).await.map_err(refused)?;
    Ok(Found {
        own: source_credentials(&aws, name.is_some()).is_some(),
        source: aws.settings().source().clone(),
        resolved: found,
    })
}

#[derive(Debug)]
struct Found {
    resolved: Resolved,
    source: Source,
    own: bool,
}

impl std::ops::Deref for Found {
    type Target = Resolved;

    fn deref(&self) -> &Resolved {
        &self.resolved
    }
}

/// What a profile comes to, in a line.
fn told(found: &Found) -> String {
    let base = match &found.source {
        _ if !found.own => "Program".to_owned(),
        Source::Profile { keys, .. } => format!("Keys({})", keys.access_key_id()),
        Source::Environment(_) => "Environment".to_owned(),
        Source::Ec2Instance => "Ec2".to_owned(),
        Source::Container => "Ecs".to_owned(),
        Source::Sso(sso) => format!("Sso({})", sso.profile),
        Source::WebIdentity { token_file, .. } => format!("Web({token_file})"),
        Source::Machine { profile } => format!("Machine({})", profile.as_deref().unwrap_or("-")),
        other => format!("{other:?}"),
    };
    let roles: Vec<_> = found.roles.iter().map(|role| role.arn.as_str()).collect();
    let device = match &found.device {
        None => "none".to_owned(),
        Some(device) => format!("{} of {:?}", device.serial.as_str(), device.named_by),
    };
    format!("{base} | {} | {device}", roles.join(" > "))
}

#[tokio::test]
async fn profile_resolves_to_source_roles_and_device() {
    let taro = "arn:aws:iam::123456789012:mfa/taro";
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    for (name, base, roles, device) in [
        (
            "user",
            "Keys(AKIAUSER)",
            String::new(),
            format!("{taro} of Source"),
        ),
        (
            "in-credentials",
            "Keys(AKIAIN)",
            String::new(),
            format!("{taro} of Source"),
        ),
        ("keys", "Keys(AKIAKEYS)", String::new(), "none".to_owned()),
        (
            "session",
            "Keys(ASIASESSION)",
            String::new(),
            "none".to_owned(),
        ),
        (
            "dev",
            "Keys(AKIAKEYS)",
            role("dev"),
            format!("{taro} of Role"),
        ),
        // The source's device is not the role's, but starts the source's session.
        (
            "inherit",
            "Keys(AKIAUSER)",
            role("inherit"),
            format!("{taro} of Source"),
        ),
        (
            "plain",
            "Keys(AKIAKEYS)",
            "arn:aws-cn:iam::123456789012:role/plain".to_owned(),
            "none".to_owned(),
        ),
        (
            "chain",
            "Keys(AKIAKEYS)",
            format!("{} > arn:aws:iam::999999999999:role/far", role("dev")),
            format!("{taro} of Role"),
        ),
        (
            "outer",
            "Keys(AKIAKEYS)",
            "arn:aws-cn:iam::123456789012:role/plain > arn:aws:iam::999999999999:role/outer"
                .to_owned(),
            "GAHT12345678 of Source".to_owned(),
        ),
        (
            "self",
            "Keys(AKIASELF)",
            role("self"),
            format!("{taro} of Role"),
        ),
        (
            "over-self",
            "Keys(AKIASELF)",
            role("over"),
            format!("{taro} of Source"),
        ),
        ("environment", "Environment", role("env"), "none".to_owned()),
        ("ec2", "Ec2", role("ec2"), "none".to_owned()),
        ("ecs", "Ecs", role("ecs"), "none".to_owned()),
        ("sso", "Sso(sso)", String::new(), "none".to_owned()),
        ("over-sso", "Sso(sso)", role("dev"), "none".to_owned()),
        (
            "web",
            "Web(/token)",
            String::new(),
            format!("{taro} of Source"),
        ),
        (
            "default",
            "Machine(default)",
            String::new(),
            "none".to_owned(),
        ),
    ] {
        // A profile that is asked for goes before these, unless it asks for them.
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKIAENV"),
            ("AWS_SECRET_ACCESS_KEY", "env-secret"),
        ];
        let found = resolved(Some(name), &keys).await.expect(name);
        assert_eq!(
            told(&found),
            format!("{base} | {roles} | {device}"),
            "{name}"
        );
        assert_eq!(found.name.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn role_keeps_all_settings_of_its_profile() {
    let found = resolved(Some("dev"), &[]).await.expect("complete");
    let role = &found.roles[0];
    assert_eq!(role.external_id.as_deref(), Some("ext/1"));
    assert_eq!(role.session_name.as_deref(), Some("taro"));
    assert_eq!(role.duration, Some(std::time::Duration::from_secs(7200)));
    assert_eq!(found.mfa_process.as_deref(), Some("oathtool --totp x"));
    let found = resolved(Some("user"), &[]).await.expect("complete");
    assert_eq!(found.region.as_deref(), Some("ap-northeast-1"));
    // Of the profile that was asked for, not of its source.
    let found = resolved(Some("inherit"), &[]).await.expect("complete");
    assert_eq!(found.region, None);
}

#[tokio::test]
async fn invalid_value_names_profile_key_and_value() {
    for (name, at, key, value, says) in [
        ("both", "both", "source_profile", "keys", "one or the other"),
        (
            "neither",
            "neither",
            "role_arn",
            "arn:aws:iam::123456789012:role/neither",
            "neither source_profile",
        ),
        (
            "lost",
            "lost",
            "source_profile",
            "nowhere",
            "no such profile",
        ),
        (
            "elsewhere",
            "elsewhere",
            "credential_source",
            "Moon",
            "Ec2InstanceMetadata",
        ),
        (
            "loop-a",
            "loop-b",
            "source_profile",
            "loop-a",
            "circle: loop-a, loop-b",
        ),
        (
            "narcissus",
            "narcissus",
            "source_profile",
            "narcissus",
            "no keys",
        ),
        (
            "words",
            "words",
            "duration_seconds",
            "one hour",
            "whole number",
        ),
        ("short", "short", "duration_seconds", "60", "900 to 43200"),
        (
            "no-role",
            "no-role",
            "role_arn",
            "dev",
            "expected something like arn:aws:iam",
        ),
        (
            "no-name",
            "no-name",
            "role_session_name",
            "two words",
            "2 to 64",
        ),
        (
            "passkey",
            "passkey",
            "mfa_serial",
            "arn:aws:iam::123456789012:u2f/user/taro/key",
            "passkey",
        ),
        ("half", "half", "aws_secret_access_key", "", "missing"),
        (
            "other-half",
            "other-half",
            "aws_access_key_id",
            "",
            "missing",
        ),
    ] {
        let error = resolved(Some(name), &[]).await.expect_err(name);
        let text = error.to_string();
        match error {
            MfaError::Profile {
                profile,
                key: found,
                value: had,
                problem,
            } => {
                assert_eq!((profile.as_str(), found), (at, Some(key)), "{text}");
                assert_eq!(had.unwrap_or_default(), value, "{text}");
                assert!(problem.contains(says), "{text}");
            }
            other => panic!("{name}: {other}"),
        }
        assert!(
            text.contains(at) && text.contains(key) && text.contains(value),
            "{text}"
        );
        assert!(!text.contains("-secret"), "{text}");
    }
    let text = resolved(Some("nobody"), &[])
        .await
        .expect_err("unknown")
        .to_string();
    assert!(
        text.starts_with("profile nobody: there is no such profile"),
        "{text}"
    );
}

#[tokio::test]
async fn environment_is_read_as_in_every_aws_tool() {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAENV"),
        ("AWS_SECRET_ACCESS_KEY", "env-secret"),
    ];
    let device = ("AWS_MFA_SERIAL", "arn:aws:iam::123456789012:mfa/env");
    let of = |found: Result<Found, MfaError>| told(&found.expect("complete"));

    let found = of(resolved(None, &[("AWS_PROFILE", "dev")]).await);
    assert!(
        found.starts_with("Keys(AKIAKEYS) | arn:aws:iam::123456789012:role/dev"),
        "{found}"
    );
    // Keys go before AWS_PROFILE, but not before a name.
    let with_keys = [keys[0], keys[1], ("AWS_PROFILE", "dev")];
    assert_eq!(
        of(resolved(None, &with_keys).await),
        "Environment |  | none"
    );
    let passed = resolved(None, &with_keys).await.expect("complete");
    assert_eq!(passed.passed_over.as_deref(), Some("dev"));
    let found = of(resolved(Some("keys"), &with_keys).await);
    assert_eq!(found, "Keys(AKIAKEYS) |  | none");
    // The device of the environment is for those who name none.
    let found = of(resolved(None, &[keys[0], keys[1], device]).await);
    assert_eq!(
        found,
        "Environment |  | arn:aws:iam::123456789012:mfa/env of Source"
    );
    let found = of(resolved(Some("keys"), &[device]).await);
    assert_eq!(
        found,
        "Keys(AKIAKEYS) |  | arn:aws:iam::123456789012:mfa/env of Source"
    );
    let found = of(resolved(Some("user"), &[device]).await);
    assert_eq!(
        found,
        "Keys(AKIAUSER) |  | arn:aws:iam::123456789012:mfa/taro of Source"
    );
    let bad = resolved(Some("keys"), &[("AWS_MFA_SERIAL", "x")]).await;
    assert!(matches!(bad, Err(MfaError::Serial(_))), "{bad:?}");

    // A profile that was not asked for by name need not have credentials.
    let found = resolved(None, &[]).await.expect("the default");
    assert_eq!(told(&found), "Program |  | none");
    assert_eq!(found.region.as_deref(), Some("eu-central-1"));
    let found = of(resolved(None, &[("AWS_PROFILE", "sso")]).await);
    assert_eq!(found, "Program |  | none");

    let elsewhere = [
        ("AWS_CONFIG_FILE", "/other/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/other/credentials"),
    ];
    let found = resolved(Some("there"), &elsewhere).await.expect("there");
    assert_eq!(told(&found), "Keys(AKIATHERE) |  | none");
    assert_eq!(found.region.as_deref(), Some("us-west-2"));
    // No profile at all: what the program has. A name that is not there is a mistake.
    assert_eq!(of(resolved(None, &elsewhere).await), "Program |  | none");
    let lost = resolved(None, &[elsewhere[0], elsewhere[1], ("AWS_PROFILE", "dev")]).await;
    assert!(matches!(lost, Err(MfaError::Profile { .. })), "{lost:?}");
    let lost = resolved(None, &[keys[0], keys[1], ("AWS_PROFILE", "nosuch")]).await;
    assert!(matches!(lost, Err(MfaError::Profile { .. })), "{lost:?}");
    let broken = resolved(None, &[("AWS_CONFIG_FILE", "/broken")]).await;
    assert!(
        matches!(broken, Err(MfaError::Configuration(_))),
        "{broken:?}"
    );
}

#[cfg(feature = "cli-cache")]
#[tokio::test]
async fn aws_cli_cache_is_unused_where_the_cli_mixes_up_users() {
    let shared = [("AWS_CONFIG_FILE", "/shared")];
    for (name, used) in [
        ("dev", false),
        ("devother", false),
        ("ops", true),
        // The same keys under another name.
        ("ops-again", true),
        // Not what the CLI spends a code on.
        ("far", false),
        ("plain", false),
        ("keys", false),
    ] {
        let found = resolved(Some(name), &shared).await.expect(name);
        assert_eq!(found.cli_key.is_some(), used, "{name}");
    }
}
