//! Configuration read by `ssm-aws` and by botocore itself, side by side: generated files, environments
//! and options give the same keys, roles, region, endpoints and certificates, or an error on both
//! sides. `tests/botocore.sh` installs botocore and runs this. `SSM_BOTOCORE_SEED` is the first seed,
//! `SSM_BOTOCORE_CASES` how many.

#![expect(clippy::print_stdout, reason = "the seed, and what differs")]

mod generator;

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use generator::Case;
use serde_json::{Value, json};
use ssm_aws::{ConfigFiles, Environment, File, Request, Source, resolve};

/// An intended difference: its row in the README of `ssm-aws`, and whether a case shows it.
type Difference = (&'static str, fn(&Case, &Value, &Value) -> bool);

/// Byte order marks, empty variables, line ends after values and AWS_REGION are translated for botocore (`question`);
/// these differences cannot be.
const DIFFERENCES: [Difference; 8] = [
    ("a section or key twice", |_, _, theirs| {
        text(theirs, "cause").contains("already exists")
    }),
    ("a value of several lines", |_, ours, _| {
        text(ours, "error").contains("line break")
    }),
    ("`duration_seconds` that is not a number", |_, ours, _| {
        text(ours, "error").contains("duration_seconds")
    }),
    ("empty values and variables", |case, _, _| {
        has_empty_value(case)
    }),
    ("an endpoint that is not a URL", |_, ours, theirs| {
        text(ours, "error").contains("the endpoint URL")
            || text(theirs, "error").contains("Invalid endpoint")
    }),
    (
        "a `services` section that does not exist",
        |_, ours, theirs| {
            text(ours, "error").contains("there is no section [services")
                || text(theirs, "error").contains("services")
        },
    ),
    ("a secret without its access key", |_, ours, _| {
        text(ours, "error").contains("missing beside aws_secret_access_key")
    }),
    (
        "an `sso-session` and its profile that differ in other keys than `sso_*`",
        |_, _, theirs| {
            let error = text(theirs, "error");
            error.contains("inconsistent between") && !error.contains("The value for sso_")
        },
    ),
];

/// Its row of the README: input, botocore, here, why.
fn row(name: &str) -> Vec<&'static str> {
    const README: &str = include_str!("../../crates/ssm-aws/README.md");
    let mut rows = README.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(cells.split(" | ").collect::<Vec<_>>())
    });
    let row = rows.find(|cells| cells.first() == Some(&name));
    row.unwrap_or_else(|| panic!("the README of ssm-aws has no row {name:?}"))
}

#[test]
fn every_difference_from_botocore_has_its_reason() {
    for (name, _) in DIFFERENCES {
        assert_eq!(row(name).len(), 4, "{name}");
    }
}

fn text<'a>(outcome: &'a Value, key: &str) -> &'a str {
    outcome[key].as_str().unwrap_or_default()
}

fn files(case: &Case) -> impl Iterator<Item = &Vec<u8>> {
    case.config.iter().chain(&case.credentials)
}

/// A key without a value, or with blanks for one.
fn has_empty_value(case: &Case) -> bool {
    files(case).any(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.split(['\r', '\n']).any(|line| {
            let value = line.split_once(['=', ':']).map(|(_, value)| value);
            let nests = ["s3", "sts", "ssm", "cli_pager"];
            value.is_some_and(|value| value.trim().is_empty())
                && !nests
                    .iter()
                    .any(|key| line.trim().to_lowercase().starts_with(key))
        })
    })
}

#[test]
#[ignore = "needs botocore: tests/botocore.sh"]
fn files_and_environments_mean_the_same_to_botocore() {
    let number = |name: &str, default: u64| {
        env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let first = number("SSM_BOTOCORE_SEED", 1);
    let count = number("SSM_BOTOCORE_CASES", 2000);
    println!("{count} cases from SSM_BOTOCORE_SEED={first}");
    let python = python();
    assert!(
        python.is_file(),
        "{}: run tests/botocore.sh",
        python.display()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("botocore_oracle.py");
    let mut oracle = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut questions = oracle.stdin.take().expect("piped");
    let mut answers = BufReader::new(oracle.stdout.take().expect("piped"));
    let (mut same, mut errors, mut on_purpose) = (0, 0, [0; DIFFERENCES.len()]);
    let mut failures = Vec::new();
    for seed in first..first.saturating_add(count) {
        let case = generator::case(seed);
        writeln!(questions, "{}", question(&case)).expect("botocore listens");
        let mut line = String::new();
        answers.read_line(&mut line).expect("botocore answers");
        let theirs: Value = serde_json::from_str(&line).expect("JSON");
        let ours = ours(&case);
        let both_refuse = ours["error"].is_string() && theirs["error"].is_string();
        if both_refuse {
            errors += 1;
        } else if ours["ok"].is_object() && ours["ok"] == theirs["ok"] {
            same += 1;
        } else if let Some(at) = DIFFERENCES
            .iter()
            .position(|(_, shows)| shows(&case, &ours, &theirs))
        {
            on_purpose[at] += 1;
        } else {
            failures.push((seed, case, ours, theirs));
        }
    }
    drop(questions);
    oracle.wait().expect("it ends");
    println!("{same} the same, {errors} refused by both");
    for ((name, _), count) in DIFFERENCES.iter().zip(on_purpose) {
        println!("{count} by {name}: {}", row(name).join(" | "));
    }
    for (seed, case, ours, theirs) in failures.iter().take(5) {
        let shown = |file: &Option<Vec<u8>>| {
            let text = file.as_deref().map(String::from_utf8_lossy);
            text.unwrap_or_default().replace('\r', "<CR>\n")
        };
        println!(
            "---- SSM_BOTOCORE_SEED={seed} SSM_BOTOCORE_CASES=1\n{:?} profile {:?} region {:?} endpoint {:?}\n-- config\n{}\n-- credentials\n{}\n-- ours:     {ours}\n-- botocore: {theirs}",
            case.environment,
            case.profile,
            case.region,
            case.endpoint_url,
            shown(&case.config),
            shown(&case.credentials),
        );
    }
    assert!(failures.is_empty(), "{} cases differ", failures.len());
    if count >= 1000 {
        // The generator still produces enough valid cases.
        assert!(same > count / 4, "only {same} cases work");
    }
}

/// Python in the environment that `tests/botocore.sh` creates.
fn python() -> PathBuf {
    let test = env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps/TEST");
    target.join("mfa-peers").join("bin").join("python")
}

fn question(case: &Case) -> Value {
    let hex = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref()?;
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        Some(
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        )
    };
    let mut environment = serde_json::Map::new();
    for (name, value) in &case.environment {
        let value = value.trim_end_matches(['\r', '\n']);
        if !value.is_empty() {
            environment.insert(name.clone(), value.into());
        }
    }
    if let Some(region) = environment.remove("AWS_REGION") {
        environment.insert("AWS_DEFAULT_REGION".to_owned(), region);
    }
    json!({
        "config": hex(&case.config),
        "credentials": hex(&case.credentials),
        "environment": environment,
        "profile": case.profile,
        "region": case.region,
        "endpoint_url": case.endpoint_url,
    })
}

fn ours(case: &Case) -> Value {
    let file = |name: &str, bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_ref()?;
        Some(File::new(name, bytes.clone()))
    };
    let files = ConfigFiles {
        config: file("config", &case.config),
        credentials: file("credentials", &case.credentials),
    };
    let environment: Environment = case.environment.iter().cloned().collect();
    let request = Request {
        profile: case.profile.clone(),
        region: case.region.clone(),
        endpoint_url: case.endpoint_url.clone(),
    };
    let settings = match resolve(&files, &environment, &request) {
        Ok(settings) => settings,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let roles: Vec<Value> = settings
        .roles()
        .iter()
        .map(|role| {
            json!({
                "arn": role.arn,
                "session_name": role.session_name,
                "external_id": role.external_id,
                "duration": role.duration.map(|duration| duration.as_secs()),
                "mfa_serial": role.mfa_serial,
            })
        })
        .collect();
    json!({ "ok": {
        "region": settings.region(),
        "ca_bundle": settings.ca_bundle(),
        "sts": settings.endpoint_url("sts"),
        "ssm": settings.endpoint_url("ssm"),
        "roles": roles,
        "source": source(settings.source()),
    }})
}

fn source(source: &Source) -> Value {
    match source {
        Source::Environment(keys) | Source::Profile { keys, .. } => json!({
            "kind": "keys",
            "id": keys.access_key_id(),
            "secret": keys.secret_access_key(),
            "token": keys.session_token(),
        }),
        Source::Process { command, .. } => json!({ "kind": "process", "command": command }),
        Source::WebIdentity {
            role_arn,
            token_file,
            session_name,
        } => json!({
            "kind": "web identity",
            "role_arn": role_arn,
            "token_file": token_file,
            "session_name": session_name,
        }),
        Source::Sso(sso) => json!({
            "kind": "sso",
            "session": sso.session,
            "start_url": sso.start_url,
            "region": sso.region,
            "account_id": sso.account_id,
            "role_name": sso.role_name,
        }),
        Source::Login { session, .. } => json!({ "kind": "login", "session": session }),
        Source::Ec2Instance => json!({ "kind": "instance" }),
        Source::Container => json!({ "kind": "container" }),
        Source::Machine { .. } => json!({ "kind": "machine" }),
        other => json!({ "kind": format!("{other:?}") }),
    }
}
