//! One request at a time, against small files.

use std::time::Duration;

use super::*;
use crate::config::shared_config::File;

struct Given {
    files: ConfigFiles,
    environment: Vec<(&'static str, &'static str)>,
    request: Request,
}

fn config(text: &str) -> Given {
    Given {
        files: ConfigFiles {
            config: Some(File::new("/aws/config", text)),
            credentials: None,
        },
        environment: Vec::new(),
        request: Request::default(),
    }
}

impl Given {
    fn credentials(mut self, text: &str) -> Self {
        self.files.credentials = Some(File::new("/aws/credentials", text));
        self
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    fn profile(mut self, name: &str) -> Self {
        self.request.profile = Some(name.to_owned());
        self
    }

    fn resolve(&self) -> Result<Settings, ConfigError> {
        let environment = self.environment.iter().copied().collect();
        resolve(&self.files, &environment, &self.request)
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        self.resolve().expect("usable")
    }

    #[track_caller]
    fn refused(&self, words: &str) {
        let text = self.resolve().expect_err(words).to_string();
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
}

const KEYS: &str = "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = hidden\n";
const ENVIRONMENT_KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAENV"),
    ("AWS_SECRET_ACCESS_KEY", "hidden"),
];

fn with_keys(given: Given) -> Given {
    let [id, secret] = ENVIRONMENT_KEYS;
    given.with(id.0, id.1).with(secret.0, secret.1)
}

/// The source in a word.
fn told(settings: &Settings) -> String {
    match settings.source() {
        Source::Environment(keys) => format!("environment {}", keys.access_key_id()),
        Source::Profile { name, keys } => format!("{name} {}", keys.access_key_id()),
        Source::Process { profile, command } => format!("{profile} process {command}"),
        Source::WebIdentity {
            role_arn,
            token_file,
            ..
        } => format!("web {role_arn} {token_file}"),
        Source::Sso(sso) => format!("{} sso {}", sso.profile, sso.start_url),
        Source::Login { profile, session } => format!("{profile} login {session}"),
        Source::Ec2Instance => "ec2".to_owned(),
        Source::Container => "ecs".to_owned(),
        Source::Machine { profile } => format!("machine {profile:?}"),
    }
}

#[test]
fn the_profile_is_the_requests_then_the_environments() {
    let files =
        "[default]\nregion = r-default\n[profile a]\nregion = r-a\n[profile b]\nregion = r-b\n";
    let region = |given: Given| given.settings().region().map(str::to_owned);
    assert_eq!(region(config(files)).as_deref(), Some("r-default"));
    assert_eq!(
        region(config(files).with("AWS_PROFILE", "a")).as_deref(),
        Some("r-a")
    );
    let both = || {
        config(files)
            .with("AWS_PROFILE", "a")
            .with("AWS_DEFAULT_PROFILE", "b")
    };
    assert_eq!(region(both()).as_deref(), Some("r-b"));
    assert_eq!(region(both().profile("a")).as_deref(), Some("r-a"));
    assert_eq!(
        region(config(files).with("AWS_PROFILE", "")).as_deref(),
        Some("r-default")
    );
    assert_eq!(
        region(config(files).with("AWS_PROFILE", "a\n")).as_deref(),
        Some("r-a")
    );
    assert_eq!(
        region(config(files).profile("")).as_deref(),
        Some("r-default")
    );
    config(files)
        .profile("c")
        .refused("profile c: there is no such profile; there are a, b, default");
    config(files)
        .with("AWS_PROFILE", "c")
        .refused("no such profile (AWS_PROFILE)");
    config(files)
        .with("AWS_DEFAULT_PROFILE", "c")
        .refused("no such profile (AWS_DEFAULT_PROFILE)");
    assert_eq!(config("").settings().profile(), None);
    config("").profile("default").refused("no such profile");
}

#[test]
fn the_region_is_not_inherited_from_default() {
    let files = "[default]\nregion = r-default\n[profile a]\n";
    let given = || config(files).profile("a");
    assert_eq!(given().settings().region(), None);
    assert_eq!(
        given()
            .with("AWS_DEFAULT_REGION", "r-old")
            .settings()
            .region(),
        Some("r-old")
    );
    let both = given()
        .with("AWS_DEFAULT_REGION", "r-old")
        .with("AWS_REGION", "r-new\n");
    assert_eq!(both.settings().region(), Some("r-new"));
    given()
        .with("AWS_REGION", "eu west")
        .refused("AWS_REGION: invalid region \"eu west\"");
}

#[test]
fn environment_keys_precede_only_an_environment_profile() {
    let files = format!("[profile a]\nmfa_serial = s\n{KEYS}");
    let given = with_keys(config(&files).with("AWS_PROFILE", "a")).settings();
    assert_eq!(told(&given), "environment AKIAENV");
    let passed = given.passed_over().expect("said so");
    assert_eq!(
        (passed.profile.as_str(), passed.mfa_serial.as_deref()),
        ("a", Some("s"))
    );
    let given = with_keys(config(&files)).profile("a").settings();
    assert_eq!(told(&given), "a AKIAEXAMPLE");
    assert_eq!(given.passed_over(), None);
    config("")
        .with("AWS_ACCESS_KEY_ID", "x")
        .refused("AWS_SECRET_ACCESS_KEY: it is missing beside");
    // Empty ones are unset.
    let given = config(&files)
        .with("AWS_ACCESS_KEY_ID", "")
        .with("AWS_SECRET_ACCESS_KEY", "");
    assert_eq!(
        told(&given.with("AWS_PROFILE", "a").settings()),
        "a AKIAEXAMPLE"
    );
}

#[test]
fn tokens_have_two_names_and_may_be_empty() {
    let token = |settings: Settings| match settings.source {
        Source::Environment(keys) | Source::Profile { keys, .. } => {
            keys.session_token().map(str::to_owned)
        }
        other => panic!("{other:?}"),
    };
    for (line, expected) in [
        ("aws_session_token =", None),
        ("aws_session_token = t", Some("t")),
        ("aws_security_token = t", Some("t")),
        ("aws_security_token =\naws_session_token = t", Some("t")),
        ("aws_security_token = u\naws_session_token = t", Some("u")),
    ] {
        let given = config("").credentials(&format!("[default]\n{KEYS}{line}\n"));
        assert_eq!(token(given.settings()).as_deref(), expected, "{line}");
    }
    let given = with_keys(config(""))
        .with("AWS_SECURITY_TOKEN", "")
        .with("AWS_SESSION_TOKEN", "t\r\n");
    assert_eq!(token(given.settings()).as_deref(), Some("t"));
    with_keys(config(""))
        .with("AWS_SESSION_TOKEN", "hidden\nhidden")
        .refused("AWS_SESSION_TOKEN: a line break");
    config(&format!(
        "[default]\n{KEYS}aws_session_token = hidden\n  hidden\n"
    ))
    .refused("aws_session_token of profile default: a line break");
}

#[test]
fn credentials_are_searched_in_botocores_order() {
    let all = "sso_account_id = 1\nsso_role_name = r\nsso_start_url = https://u\nsso_region = eu-west-1\nlogin_session = arn\ncredential_process = p\naws_access_key_id = AKIACONFIG\naws_secret_access_key = hidden\n";
    let without = |names: &[&str]| {
        let keep = |line: &&str| !names.iter().any(|name| line.starts_with(name));
        let lines: Vec<&str> = all.lines().filter(keep).collect();
        format!("[default]\n{}\n", lines.join("\n"))
    };
    let credentials = format!("[default]\n{KEYS}");
    let given = |names: &[&str]| config(&without(names)).credentials(&credentials);
    assert_eq!(told(&given(&[]).settings()), "default sso https://u");
    assert_eq!(told(&given(&["sso"]).settings()), "default AKIAEXAMPLE");
    let given = |names: &[&str]| config(&without(names));
    assert_eq!(told(&given(&["sso"]).settings()), "default login arn");
    assert_eq!(
        told(&given(&["sso", "login"]).settings()),
        "default process p"
    );
    assert_eq!(
        told(&given(&["sso", "login", "credential"]).settings()),
        "default AKIACONFIG"
    );
    assert_eq!(
        told(&given(&["sso", "login", "credential", "aws"]).settings()),
        "machine Some(\"default\")"
    );
    assert_eq!(told(&config("").settings()), "machine None");
    let role = "[default]\nrole_arn = arn\nweb_identity_token_file = /t\n";
    assert_eq!(told(&config(role).settings()), "web arn /t");
    let given = config("")
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", "/e")
        .with("AWS_ROLE_ARN", "role");
    assert_eq!(told(&given.settings()), "web role /e");
    config("")
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", "/e")
        .refused("no role to assume");
}

#[test]
fn roles_are_assumed_from_the_keys_outwards() {
    let files = format!(
        "[profile far]\nrole_arn = arn:far\nsource_profile = near\nexternal_id = e\nrole_session_name = n\nduration_seconds = 900\n[profile near]\nrole_arn = arn:near\nsource_profile = base\nmfa_serial = m\n[profile base]\nmfa_serial = base-m\n{KEYS}"
    );
    let settings = config(&files).profile("far").settings();
    assert_eq!(told(&settings), "base AKIAEXAMPLE");
    assert_eq!(settings.source_mfa_serial(), Some("base-m"));
    let [near, far] = settings.roles() else {
        panic!("{:?}", settings.roles());
    };
    assert_eq!(
        (near.arn.as_str(), near.mfa_serial.as_deref()),
        ("arn:near", Some("m"))
    );
    assert_eq!(far.external_id.as_deref(), Some("e"));
    assert_eq!(far.session_name.as_deref(), Some("n"));
    assert_eq!(far.duration, Some(Duration::from_secs(900)));
    // Keys of the asked-for profile do not go before its role; those of a source do.
    let files = format!(
        "[profile a]\nrole_arn = arn\nsource_profile = a\n{KEYS}[profile b]\nrole_arn = arn:b\nsource_profile = a\n"
    );
    assert_eq!(config(&files).profile("a").settings().roles().len(), 1);
    assert_eq!(config(&files).profile("b").settings().roles().len(), 1);
    // An empty role counts as unset.
    let files = format!("[default]\nrole_arn =\nmfa_serial =\ncredential_process =\n{KEYS}");
    let settings = config(&files).settings();
    assert_eq!(
        (told(&settings).as_str(), settings.roles().len()),
        ("default AKIAEXAMPLE", 0)
    );
    // The keys of the environment, though a profile was asked for: it names them itself.
    let files = "[profile a]\nrole_arn = arn\ncredential_source = Environment\n";
    let settings = with_keys(config(files)).profile("a").settings();
    assert_eq!(
        (told(&settings).as_str(), settings.roles().len()),
        ("environment AKIAENV", 1)
    );
    config(files)
        .profile("a")
        .refused("credential_source = Environment: AWS_ACCESS_KEY_ID");
}

#[test]
fn what_cannot_work_names_profile_and_key() {
    for (files, words) in [
        (
            "[default]\nrole_arn = a\n",
            "role_arn = a: the role has neither source_profile",
        ),
        (
            "[default]\nrole_arn = a\nsource_profile = x\ncredential_source = EcsContainer\n",
            "one or the other",
        ),
        (
            "[default]\nrole_arn = a\nsource_profile = x\n",
            "source_profile = x: there is no such profile; there are default",
        ),
        (
            "[default]\nrole_arn = a\nsource_profile = default\n",
            "its own source",
        ),
        (
            "[default]\nrole_arn = a\nsource_profile = b\n[profile b]\nrole_arn = b\nsource_profile = default\n",
            "in a circle: default, b",
        ),
        (
            "[default]\nrole_arn = a\nsource_profile = b\n[profile b]\nregion = r\n",
            "profile b: it is the source_profile of another profile and has no credentials",
        ),
        (
            "[default]\nrole_arn = a\ncredential_source = Moon\n",
            "credential_source = Moon",
        ),
        (
            "[default]\nrole_arn = a\nsource_profile = default\nduration_seconds = soon\naws_access_key_id = x\n",
            "duration_seconds = soon",
        ),
        (
            "[default]\naws_access_key_id = x\n",
            "aws_secret_access_key: it is missing",
        ),
        (
            "[default]\naws_secret_access_key = hidden\n",
            "aws_access_key_id: it is missing",
        ),
        (
            "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n",
            "no section [sso-session s]",
        ),
        (
            "[default]\nsso_account_id = 1\nsso_role_name = r\n",
            "sso_region: it is missing",
        ),
        (
            "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\nsso_region = eu-west-1\n[sso-session s]\nsso_region = eu-west-2\nsso_start_url = u\n",
            "says something else",
        ),
        (
            "[default]\nmfa_serial =\n  a = b\n",
            "mfa_serial: a value is expected on its line",
        ),
        (
            "[default]\nregion = eu\n  west\n",
            "region of profile default: \"eu",
        ),
        ("[default]\nservices = x\n", "no section [services x]"),
        (
            "[default]\nendpoint_url = localhost:1\n",
            "endpoint_url of profile default: the endpoint URL",
        ),
        (
            "[default]\nretry_mode = often\n",
            "retry_mode of profile default: \"often\" is not a retry mode",
        ),
        (
            "[default]\nmax_attempts = 0\n",
            "max_attempts of profile default: \"0\"",
        ),
        (
            "[default]\nmax_attempts = many\n",
            "\"many\" is not a number",
        ),
    ] {
        config(files).refused(words);
    }
    config("")
        .with("AWS_RETRY_MODE", "x")
        .refused("AWS_RETRY_MODE: \"x\"");
    config("")
        .with("AWS_MAX_ATTEMPTS", "-1")
        .refused("AWS_MAX_ATTEMPTS: \"-1\"");
}

#[test]
fn retries_are_read_in_every_case() {
    let settings = config("[default]\nretry_mode = LEGACY\n").settings();
    assert_eq!(
        (settings.retry_mode(), settings.max_attempts()),
        (Some(RetryMode::Standard), Some(5))
    );
    let settings = config("[default]\nretry_mode = legacy\nmax_attempts = 7\n").settings();
    assert_eq!(settings.max_attempts(), Some(7));
    let settings = config("")
        .with("AWS_RETRY_MODE", "")
        .with("AWS_MAX_ATTEMPTS", "2")
        .settings();
    assert_eq!(
        (settings.retry_mode(), settings.max_attempts()),
        (None, Some(2))
    );
}

#[test]
fn endpoints_go_by_service_and_place() {
    let files = "[services s]\nssm =\n  endpoint_url = https://ssm.section\nsts =\n  endpoint_url =\ns3 = x\n[default]\nservices = s\nendpoint_url = https://profile\n";
    let urls = |given: Given| {
        let settings = given.settings();
        ["ssm", "sts"].map(|service| {
            settings
                .endpoint_url(service)
                .map(str::to_owned)
                .unwrap_or_default()
        })
    };
    assert_eq!(
        urls(config(files)),
        ["https://ssm.section", "https://profile"]
    );
    let general = config(files).with("AWS_ENDPOINT_URL", "https://variable");
    assert_eq!(urls(general), ["https://variable", "https://variable"]);
    let own = config(files).with("AWS_ENDPOINT_URL_STS", "https://sts.variable");
    assert_eq!(urls(own), ["https://ssm.section", "https://sts.variable"]);
    let empty = config(files)
        .with("AWS_ENDPOINT_URL", "")
        .with("AWS_ENDPOINT_URL_SSM", "");
    assert_eq!(urls(empty), ["https://ssm.section", "https://profile"]);
    let ignored = config(files)
        .with("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")
        .with("AWS_ENDPOINT_URL_SSM", "https://v");
    assert_eq!(urls(ignored), ["", ""]);
    let mut fixed = config(files).with("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    fixed.request.endpoint_url = Some("https://fixed".to_owned());
    assert_eq!(urls(fixed), ["https://fixed", "https://fixed"]);
    config("")
        .with("AWS_ENDPOINT_URL_SSM", "x")
        .refused("AWS_ENDPOINT_URL_SSM: the endpoint URL \"x\"");
    // The endpoint of a service that is not called may be unusable.
    config("").with("AWS_ENDPOINT_URL_S3", "x").settings();
}

#[test]
fn the_ca_bundle_is_the_variables_then_the_profiles() {
    let files = "[default]\nca_bundle = /profile\n";
    let bundle = |given: Given| {
        given
            .settings()
            .ca_bundle()
            .map(|path| path.display().to_string())
    };
    assert_eq!(bundle(config(files)).as_deref(), Some("/profile"));
    assert_eq!(
        bundle(config(files).with("AWS_CA_BUNDLE", "/variable")).as_deref(),
        Some("/variable")
    );
    assert_eq!(
        bundle(config(files).with("AWS_CA_BUNDLE", "")).as_deref(),
        Some("/profile")
    );
    assert_eq!(
        bundle(config(files).with("REQUESTS_CA_BUNDLE", "/r")).as_deref(),
        Some("/profile")
    );
    assert_eq!(
        bundle(config("").with("REQUESTS_CA_BUNDLE", "/r")).as_deref(),
        Some("/r")
    );
}

#[test]
fn sso_sessions_complete_a_profile() {
    let files = "[sso-session 'my corp']\nsso_start_url = https://u/start/#\nsso_region = us-east-1\n[profile dev]\nsso_session = my corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n";
    let settings = config(files).profile("dev").settings();
    let Source::Sso(sso) = settings.source() else {
        panic!("{:?}", settings.source());
    };
    assert_eq!(sso.session.as_deref(), Some("my corp"));
    assert_eq!(
        (sso.start_url.as_str(), sso.region.as_str()),
        ("https://u/start/#", "us-east-1")
    );
}

#[test]
fn a_role_that_two_users_share_is_told() {
    let files = format!(
        "[profile keys]\n{KEYS}[profile others]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = hidden\n[profile a]\nrole_arn = arn\nsource_profile = keys\n[profile b]\nrole_arn = arn\nsource_profile = others\n[profile c]\nrole_arn = arn:c\nsource_profile = keys\n"
    );
    let of = |name: &str| {
        config(&files)
            .profile(name)
            .settings()
            .role_of_another()
            .map(str::to_owned)
    };
    assert_eq!(of("a").as_deref(), Some("b"));
    assert_eq!(of("b").as_deref(), Some("a"));
    assert_eq!(of("c"), None);
}
