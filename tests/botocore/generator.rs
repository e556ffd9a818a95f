//! Configuration files and environments generated from a seed: every form that the AWS CLI accepts,
//! and some that it rejects.

use fastrand::Rng;

/// Files, environment and options, and what botocore gets where that differs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) config: Option<Vec<u8>>,
    pub(crate) credentials: Option<Vec<u8>>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) endpoint_url: Option<String>,
}

const NAMES: [&str; 9] = [
    "default", "work", "base", "prod-1", "a.b", "my team", "Work", "été", "太郎",
];
const REGIONS: [&str; 4] = ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1"];
const URLS: [&str; 8] = [
    "http://localhost:4566",
    "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
    "http://127.0.0.1:1/path",
    "http://[::1]:4566",
    "http://localhost:4566",
    "https://sts.internal.example",
    "https://ssm.internal.example/",
    "localhost:4566",
];
const SECRETS: [&str; 5] = [
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "a=b:c#d;e",
    "with%percent",
    "'quoted'",
    "#hash",
];

fn pick<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all.get(rng.usize(..all.len())).copied().unwrap_or_default()
}

fn id(rng: &mut Rng) -> String {
    format!("AKIA{:012X}", rng.u64(..1 << 48))
}

/// True once in `of` times on average.
fn rarely(rng: &mut Rng, of: u32) -> bool {
    rng.u32(..of) == 0
}

/// The case of a seed.
pub(crate) fn case(seed: u64) -> Case {
    let rng = &mut Rng::with_seed(seed);
    let names: Vec<&str> = {
        let mut names = NAMES.to_vec();
        rng.shuffle(&mut names);
        names.truncate(2 + rng.usize(..3));
        if !rarely(rng, 4) && !names.contains(&"default") {
            names.push("default");
        }
        names
    };
    let mut case = Case::default();
    if !rarely(rng, 12) {
        case.config = Some(file(rng, &names, true));
    }
    if !rarely(rng, 4) {
        case.credentials = Some(file(rng, &names, false));
    }
    environment(rng, &names, &mut case.environment);
    if rng.bool() {
        let unknown = rarely(rng, 20);
        let name = if unknown { "nosuch" } else { pick(rng, &names) };
        case.profile = Some(name.to_owned());
    }
    if rarely(rng, 8) {
        case.region = Some(pick(rng, &REGIONS).to_owned());
    }
    if rarely(rng, 10) {
        case.endpoint_url = Some(pick(rng, &URLS).to_owned());
    }
    case
}

fn environment(rng: &mut Rng, names: &[&str], variables: &mut Vec<(String, String)>) {
    let set = |variables: &mut Vec<(String, String)>, name: &str, value: String| {
        variables.push((name.to_owned(), value));
    };
    for name in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        if rarely(rng, 5) {
            set(variables, name, pick(rng, names).to_owned());
        }
    }
    if rarely(rng, 5) {
        set(variables, "AWS_ACCESS_KEY_ID", id(rng));
        if !rarely(rng, 15) {
            let secret = pick(rng, &SECRETS).to_owned();
            set(variables, "AWS_SECRET_ACCESS_KEY", secret);
        }
        for name in ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"] {
            if rarely(rng, 3) {
                set(variables, name, format!("token-of-{name}"));
            }
        }
    }
    for name in ["AWS_DEFAULT_REGION", "AWS_REGION"] {
        if rarely(rng, 8) {
            set(variables, name, pick(rng, &REGIONS).to_owned());
        }
    }
    for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
        if rarely(rng, 8) {
            set(variables, name, format!("/etc/{name}.pem"));
        }
    }
    for name in [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_STS",
        "AWS_ENDPOINT_URL_SSM",
    ] {
        if rarely(rng, 8) {
            set(variables, name, pick(rng, &URLS).to_owned());
        }
    }
    if rarely(rng, 10) {
        let value = pick(rng, &["true", "TRUE", "false", "1", "yes"]).to_owned();
        set(variables, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", value);
    }
    if rarely(rng, 12) {
        set(
            variables,
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "/var/token".to_owned(),
        );
        if !rarely(rng, 4) {
            set(variables, "AWS_ROLE_ARN", arn(rng));
        }
        if rng.bool() {
            set(variables, "AWS_ROLE_SESSION_NAME", "of-env".to_owned());
        }
    }
    for (_, value) in variables {
        match rng.u32(..50) {
            0 => value.clear(),
            1 => value.push('\n'),
            2 => value.push_str("\r\n"),
            _ => {}
        }
    }
}

fn arn(rng: &mut Rng) -> String {
    let role = pick(rng, &["dev", "ops", "path/to/role"]);
    format!("arn:aws:iam::123456789012:role/{role}")
}

/// The lines of a file, in one of the ways to write them.
struct Lines<'a> {
    rng: &'a mut Rng,
    text: String,
    end: &'static str,
}

fn file(rng: &mut Rng, names: &[&str], is_config: bool) -> Vec<u8> {
    let end = pick_end(rng);
    let mut lines = Lines {
        rng,
        text: String::new(),
        end,
    };
    if rarely(lines.rng, 60) {
        lines.text.push('\u{feff}');
    }
    lines.noise();
    for name in names {
        if rarely(lines.rng, 6) {
            continue;
        }
        lines.section(name, is_config);
        lines.keys(names, is_config);
        if rarely(lines.rng, 40) {
            lines.section(name, is_config);
            lines.keys(names, is_config);
        }
    }
    if is_config {
        lines.others();
    }
    let text = lines.text;
    match rng.u32(..120) {
        0 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        1 => {
            let mut bytes = text.into_bytes();
            bytes.extend_from_slice(b"# caf\xe9\n");
            bytes
        }
        _ => text.into_bytes(),
    }
}

fn pick_end(rng: &mut Rng) -> &'static str {
    match rng.u32(..6) {
        0 | 1 => "\r\n",
        2 => "\r",
        _ => "\n",
    }
}

impl Lines<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str(self.end);
    }

    /// Lines without a meaning.
    fn noise(&mut self) {
        match self.rng.u32(..12) {
            0 => self.line("# a comment = with a value"),
            1 => self.line("; another"),
            2 => self.line("   # indented"),
            3 => self.line(""),
            4 => self.line("  \t "),
            _ => {}
        }
    }

    fn section(&mut self, name: &str, is_config: bool) {
        let quoted = name.contains(' ');
        let header = match (is_config, name) {
            (false, _) => match self.rng.u32(..25) {
                0 => format!("profile {name}"),
                1 => format!(" {name} "),
                _ => name.to_owned(),
            },
            (true, "default") if !rarely(self.rng, 4) => "default".to_owned(),
            _ => match self.rng.u32(..20) {
                0 => format!("profile '{name}'"),
                1 => format!("profile   \"{name}\" "),
                2 => format!("profile\t\"{name}\""),
                3 => name.to_owned(),
                4 => format!(" profile {name}"),
                5 => format!("profile {}", name.replace(' ', "\\ ")),
                6 => format!("profile {name} extra"),
                7 => format!("profiles {name}"),
                _ if quoted => format!("profile \"{name}\""),
                _ => format!("profile {name}"),
            },
        };
        let behind = match self.rng.u32(..15) {
            0 => " # the section",
            1 => "  ",
            2 => "]",
            3 => " text",
            _ => "",
        };
        let before = if rarely(self.rng, 60) { "  " } else { "" };
        self.line(&format!("{before}[{header}]{behind}"));
    }

    fn key(&mut self, key: &str, value: &str) {
        let key = match self.rng.u32(..12) {
            0 => key.to_uppercase(),
            1 => {
                let mut chars = key.chars();
                let first = chars.next().map(|c| c.to_ascii_uppercase());
                first.into_iter().chain(chars).collect()
            }
            _ => key.to_owned(),
        };
        let between = pick(
            self.rng,
            &[
                " = ", " = ", " = ", "=", "= ", " =", ":", " : ", "\t=\t", ": ",
            ],
        );
        let indent = match self.rng.u32(..90) {
            0 => " ",
            1 => "\t",
            2 => "    ",
            _ => "",
        };
        let behind = match self.rng.u32(..25) {
            0 => " ",
            1 => "\t",
            2 => "\u{a0}",
            _ => "",
        };
        self.line(&format!("{indent}{key}{between}{value}{behind}"));
        self.noise();
    }

    fn keys(&mut self, names: &[&str], is_config: bool) {
        let mut entries: Vec<(&str, String)> = Vec::new();
        let rng = &mut *self.rng;
        let keys = if is_config { 4 } else { 1 };
        if rarely(rng, keys) {
            entries.push(("aws_access_key_id", id(rng)));
            if !rarely(rng, 20) {
                entries.push(("aws_secret_access_key", pick(rng, &SECRETS).to_owned()));
            }
            for key in ["aws_session_token", "aws_security_token"] {
                if rarely(rng, 5) {
                    entries.push((key, format!("token-of-{key}")));
                }
            }
        }
        if rarely(rng, if is_config { 2 } else { 8 }) {
            entries.push(("role_arn", arn(rng)));
            if !rarely(rng, 12) {
                let unknown = rarely(rng, 30);
                let source = if unknown { "nosuch" } else { pick(rng, names) };
                entries.push(("source_profile", source.to_owned()));
            }
            if rarely(rng, 14) {
                let sources = [
                    "Environment",
                    "Ec2InstanceMetadata",
                    "EcsContainer",
                    "Other",
                ];
                entries.push(("credential_source", pick(rng, &sources).to_owned()));
            }
            for (key, values) in [
                ("external_id", &["ext/1", "with blank", "a#b"][..]),
                ("role_session_name", &["taro", "jo@example.com"]),
                (
                    "duration_seconds",
                    &["900", "43200", " 3600 ", "1h", "3600.0"],
                ),
                (
                    "mfa_serial",
                    &["arn:aws:iam::123456789012:mfa/taro", "GAHT12345678"],
                ),
            ] {
                if rarely(rng, 3) {
                    entries.push((key, pick(rng, values).to_owned()));
                }
            }
        }
        if rarely(rng, 10) {
            let of_session = rng.bool();
            if of_session {
                let session = pick(rng, &["corp", "corp", "corp", "none"]);
                entries.push(("sso_session", session.to_owned()));
            }
            for (key, value) in [
                ("sso_account_id", "123456789012"),
                ("sso_role_name", "Admin"),
                ("sso_start_url", "https://corp.awsapps.com/start#"),
                (
                    "sso_region",
                    pick(rng, &["us-east-1", "us-east-1", "eu-west-1"]),
                ),
            ] {
                let shared = of_session && !key.ends_with("id") && !key.ends_with("name");
                if rarely(rng, if shared { 3 } else { 12 }) == shared {
                    entries.push((key, value.to_owned()));
                }
            }
        }
        for (key, of, values) in [
            ("region", 3, &REGIONS[..]),
            ("mfa_serial", 12, &["arn:aws:iam::123456789012:mfa/jiro"]),
            ("ca_bundle", 10, &["/etc/ca.pem", "~/my ca.pem"]),
            ("endpoint_url", 10, &URLS),
            (
                "credential_process",
                10,
                &["aws-vault export --format=json work", "\"a b\" 'c'"],
            ),
            ("web_identity_token_file", 20, &["/var/run/token"]),
            (
                "login_session",
                25,
                &["arn:aws:iam::123456789012:user/taro"],
            ),
            ("services", 12, &["local", "local", "local", "none"]),
            (
                "ignore_configured_endpoint_urls",
                20,
                &["true", "false", "True"],
            ),
            ("output", 4, &["json", "table"]),
            ("cli_pager", 8, &[""]),
        ] {
            if rarely(rng, of) {
                entries.push((key, pick(rng, values).to_owned()));
            }
        }
        rng.shuffle(&mut entries);
        let mut seen = Vec::new();
        entries.retain(|(key, _)| {
            let new = !seen.contains(key);
            seen.push(key);
            new
        });
        for (key, value) in entries {
            let value = if rarely(self.rng, 120) {
                String::new()
            } else {
                value
            };
            self.key(key, &value);
            if rarely(self.rng, 300) {
                self.key(key, "again");
            }
            if rarely(self.rng, 500) {
                self.line("neither section nor key");
            }
        }
        if rarely(self.rng, 8) {
            self.line("s3 =");
            self.line("    max_concurrent_requests = 20");
            self.line("  use_accelerate_endpoint=true");
        }
    }

    fn others(&mut self) {
        if self.rng.bool() {
            self.line("[sso-session corp]");
            self.line("sso_start_url = https://corp.awsapps.com/start#");
            self.line("sso_region = us-east-1");
            if rarely(self.rng, 3) {
                self.line("sso_registration_scopes = sso:account:access");
            }
        }
        if self.rng.bool() {
            self.line("[services local]");
            self.line("sts =");
            let url = pick(self.rng, &URLS);
            self.line(&format!("  endpoint_url = {url}"));
            if self.rng.bool() {
                self.line("ssm =");
                let url = pick(self.rng, &URLS);
                self.line(&format!("\tendpoint_url={url}"));
            }
        }
        if rarely(self.rng, 5) {
            self.line("[plugins]");
            self.line("cli_legacy_plugin_path = /x");
        }
        if rarely(self.rng, 15) {
            self.line("[DEFAULT]");
            self.line("output = text");
        }
    }
}
