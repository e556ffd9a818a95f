//! The example `doctor`: what it says of each thing that can be wrong between a machine and its
//! target, and that it leaves nothing behind.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::peers::{command, example, output, printed};
use e2e::{TARGET, closed_port, echo, instance, no_sessions, tells};
use serde_json::Value;
use ssm_sandbox::{Clock, Instance, Sandbox, SandboxBuilder};
use tokio::net::TcpListener;
use tokio::process::Command;

const OTHER: &str = "i-0aaaaaaaaaaaaaaaa";
const SECRET: &str = "MARKER-p4ssw0rd";

/// One run's checks by name, and how it ended.
struct Run {
    checks: BTreeMap<String, Value>,
    /// The last line.
    sum: Value,
    code: Option<i32>,
    all: String,
    logged: String,
}

impl Run {
    fn status(&self, check: &str) -> &str {
        self.checks[check]["status"].as_str().expect("a status")
    }

    /// The meaning and the next step.
    fn words(&self, check: &str) -> String {
        let found = &self.checks[check];
        format!("{} {}", found["meaning"], found["next_step"])
    }

    /// These checks, and no other, failed or are unknown.
    fn expect(&self, failed: &[&str], unknown: &[&str]) {
        let with = |status: &str| -> Vec<&str> {
            let checks = self.checks.keys().map(String::as_str);
            checks.filter(|name| self.status(name) == status).collect()
        };
        let sorted = |names: &[&str]| {
            let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (with("fail"), with("unknown")),
            (
                sorted(failed).iter().map(String::as_str).collect(),
                sorted(unknown).iter().map(String::as_str).collect()
            ),
            "{}",
            self.all
        );
        let healthy = failed.is_empty();
        assert_eq!(self.code, Some(i32::from(!healthy)), "{}", self.all);
        assert_eq!(self.sum["healthy"], healthy);
        for name in failed {
            // What fails says what to do, in its meaning or after it.
            assert!(self.words(name).len() > 60, "{}", self.words(name));
        }
    }

    fn says(&self, check: &str, words: &[&str]) {
        for word in words {
            let said = self.words(check);
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
}

/// No MFA policy, and the usual instance.
fn sandbox() -> SandboxBuilder {
    Sandbox::builder().enforce_mfa(false)
}

async fn start(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.expect("loopback can be listened on")
}

/// The program, with a deadline for slow machines; `arguments` may shorten it.
async fn doctor(sandbox: &Sandbox, home: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = command(sandbox, example("doctor").await, home);
    if !arguments.contains(&"--timeout") {
        command.args(["--timeout", "600"]);
    }
    command.args(arguments);
    command
}

async fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().expect("a folder");
    let command = doctor(sandbox, home.path(), arguments).await;
    run_command(sandbox, command).await
}

/// Runs it with JSON as its output, whose shape is checked, and looks for secrets in all it said
/// and logged.
async fn run_command(sandbox: &Sandbox, mut command: Command) -> Run {
    let log = tempfile::NamedTempFile::new().expect("a file");
    command.args(["--output", "json", "--log"]).arg(log.path());
    let ended = output("doctor", &mut command).await;
    let logged = std::fs::read_to_string(log.path()).expect("a log");
    let all = printed(&ended);
    let mut secrets = sandbox.issued_secrets();
    secrets.push(sandbox.secret_access_key());
    secrets.push(SECRET.to_owned());
    for secret in &secrets {
        let length = secret.len();
        assert!(
            !all.contains(secret),
            "a secret of {length} characters is in {all}"
        );
        assert!(
            !logged.contains(secret),
            "a secret of {length} characters is in the log"
        );
    }
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let mut checks = BTreeMap::new();
    let mut sum = None;
    for line in text.lines() {
        assert!(line.starts_with(r#"{"event":""#), "{line}");
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(sum.is_none(), "the sum is last: {all}");
        match value["event"].as_str() {
            Some("check") => {
                let status = value["status"].as_str();
                assert!(
                    matches!(status, Some("pass" | "fail" | "unknown")),
                    "{line}"
                );
                assert!(
                    value["meaning"].as_str().is_some_and(|it| !it.is_empty()),
                    "{line}"
                );
                assert!(
                    value["next_step"].is_null() || value["next_step"].is_string(),
                    "{line}"
                );
                assert!(value["details"].is_object(), "{line}");
                let name = value["check"].as_str().expect("a name").to_owned();
                let twice = checks.insert(name, value);
                assert!(twice.is_none(), "twice: {line}");
            }
            Some("doctor") => sum = Some(value),
            _ => panic!("{line}"),
        }
    }
    let sum = sum.unwrap_or_else(|| panic!("no sum: {all}"));
    let counted: u64 = ["passed", "failed", "unknown"]
        .iter()
        .map(|key| sum[key].as_u64().expect("a number"))
        .sum();
    assert_eq!(counted, checks.len() as u64, "{all}");
    Run {
        checks,
        sum,
        code: ended.status.code(),
        all,
        logged,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn where_everything_is_well_every_check_passes_and_no_session_stays() {
    let sandbox = start(sandbox().instance(instance(echo().await).name("my box"))).await;
    for target in [TARGET, "my box"] {
        let found = run(&sandbox, &[target, "--local-port-number", "0"]).await;
        found.expect(&[], &[]);
        assert_eq!(found.checks.len(), 14, "{}", found.all);
        assert!(
            !found.logged.is_empty(),
            "nothing is logged to look for secrets in"
        );
        found.says("identity", &["arn:aws:iam::123456789012:user/taro"]);
        found.says("credentials", &["long-term access key of the environment"]);
        found.says("ssmmessages", &["answers at 127.0.0.1, this machine"]);
        let node = &found.checks["instance"]["details"]["node"];
        assert_eq!(
            (&node["id"], &node["ping_status"]),
            (&TARGET.into(), &"Online".into())
        );
        let session = found.checks["session"]["details"]["session_id"].as_str();
        let session = session.expect("its id").to_owned();
        let ended = sandbox.requests();
        assert!(
            ended
                .iter()
                .any(|request| request.action == "TerminateSession"
                    && request.parameter("SessionId") == Some(&session)),
            "{ended:?}"
        );
    }
    assert_eq!(sandbox.request_count("OpenDataChannel"), 0);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn people_get_a_table_with_what_to_do_below_what_fails() {
    let sandbox = start(sandbox().instance(instance(echo().await).connected(false))).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    let ended = output("doctor", &mut command).await;
    assert_eq!(ended.status.code(), Some(1), "{}", printed(&ended));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    for row in [
        "pass     identity      arn:aws:iam::",
        "pass     instance      i-0123456789abcdef0: ",
        "FAIL     data-channel  its agent is not connected for sessions\n                       -> if it is online",
        "FAIL     session       StartSession was not denied, but",
        " passed, 2 failed, 1 unknown\n",
    ] {
        assert!(said.contains(row), "{row:?} is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_missing_mfa_session_is_named_and_a_login_makes_it_pass() {
    let sandbox = start(Sandbox::builder().instance(instance(echo().await).name("box"))).await;
    let found = run(&sandbox, &[TARGET]).await;
    found.expect(
        &["mfa", "session"],
        &["agent", "data-channel", "instance", "ssmmessages"],
    );
    found.says("mfa", &["no MFA session", "log in with a code"]);
    found.says(
        "session",
        &[
            "explicit deny in an identity-based policy",
            "MFA session may be missing",
        ],
    );
    let denial = &found.checks["session"]["details"]["denial"];
    assert_eq!(
        (&denial["cause"], &denial["policy"]),
        (&"explicit_deny".into(), &"identity_based".into())
    );
    // By name not even the target is found.
    let found = run(&sandbox, &["box"]).await;
    found.expect(
        &["instance", "mfa"],
        &["agent", "data-channel", "session", "ssmmessages"],
    );
    found.says(
        "instance",
        &["a name takes DescribeInstanceInformation", "give the id"],
    );

    let (serial, code) = (sandbox.mfa_serial(), sandbox.next_unused_code());
    let log_in = ["--mfa-serial", &serial, "--mfa-code", &code, "box"];
    let found = run(&sandbox, &log_in).await;
    found.expect(&[], &[]);
    found.says("mfa", &["an MFA session, until 2"]);
    found.says("credentials", &["temporary credentials of a login"]);
    assert!(!tells(&found.all, &code), "the code is in {}", found.all);

    let log_in = ["--mfa-serial", &serial, "--mfa-code", &code, "box"];
    let found = run(&sandbox, &log_in).await;
    found.says("mfa", &["logging in with MFA failed"]);
    assert_eq!((found.status("mfa"), found.code), ("fail", Some(1)));
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn unknown_offline_and_unconnected_instances_are_told_apart() {
    let sandbox = start(
        sandbox()
            .instance(Instance::new(TARGET).connected(false))
            .instance(Instance::new(OTHER).name("lost").online(false)),
    )
    .await;
    let found = run(&sandbox, &["i-0bbbbbbbbbbbbbbbb"]).await;
    found.expect(
        &["data-channel", "instance", "session"],
        &["agent", "ssmmessages"],
    );
    found.says(
        "instance",
        &[
            "has not registered in us-east-1",
            "AmazonSSMManagedInstanceCore",
            "443",
        ],
    );
    for target in [OTHER, "lost"] {
        let found = run(&sandbox, &[target]).await;
        found.expect(&["data-channel", "instance", "session"], &["ssmmessages"]);
        found.says(
            "instance",
            &[
                "not been heard of since 2",
                "ConnectionLost",
                "start the machine",
            ],
        );
    }
    let found = run(&sandbox, &[TARGET]).await;
    found.expect(&["data-channel", "session"], &["ssmmessages"]);
    found.says(
        "data-channel",
        &["ssmmessages", "443", "AmazonSSMManagedInstanceCore"],
    );
    found.says("session", &["was not denied"]);
    let found = run(&sandbox, &["nobody"]).await;
    found.expect(
        &["instance"],
        &["agent", "data-channel", "mfa", "session", "ssmmessages"],
    );
    found.says("instance", &["no managed node in us-east-1"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn an_agent_that_is_too_old_is_to_be_updated() {
    let old = |version: &str| sandbox().instance(Instance::new(TARGET).agent_version(version));
    let sandbox = start(old("2.3.612.0")).await;
    let found = run(&sandbox, &[TARGET]).await;
    found.expect(&["agent"], &[]);
    found.says(
        "agent",
        &["2.3.612.0 is too old", "2.3.672.0", "AWS-UpdateSSMAgent"],
    );

    let sandbox = start(old("3.1.1260.0")).await;
    let found = run(&sandbox, &[TARGET]).await;
    found.expect(&[], &[]);
    let found = run(&sandbox, &[TARGET, "--host", "db.internal"]).await;
    found.expect(&["agent"], &[]);
    found.says("agent", &["a remote host takes 3.1.1374.0"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn endpoints_that_refuse_or_do_not_resolve_are_told_apart() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let home = tempfile::tempdir().expect("a folder");
    let nobody = format!("http://{}", closed_port());
    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    command.env("AWS_ENDPOINT_URL_STS", &nobody);
    let found = run_command(&sandbox, command).await;
    found.expect(&["sts"], &["identity"]);
    found.says("sts", &["cannot reach", "443", "security group"]);

    // No resolver is asked for a label of 64 characters: there is none (RFC 1035, section 2.3.4).
    let nowhere = format!("http://{}.test", "x".repeat(64));
    let stream = sandbox.stream_endpoint().to_owned();
    let arguments = [TARGET, "--stream-endpoint", &stream];
    let mut command = doctor(&sandbox, home.path(), &arguments).await;
    command.env("AWS_ENDPOINT_URL_SSM", &nowhere);
    let found = run_command(&sandbox, command).await;
    found.expect(
        &["ssm"],
        &["agent", "data-channel", "instance", "mfa", "session"],
    );
    found.says("ssm", &["does not resolve", "VPC endpoint"]);

    let dead = format!("ws://{}", closed_port());
    let found = run(&sandbox, &[TARGET, "--stream-endpoint", &dead]).await;
    found.expect(&["ssmmessages"], &[]);
    found.says("ssmmessages", &["cannot reach"]);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn an_endpoint_that_never_answers_does_not_keep_it() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let home = tempfile::tempdir().expect("a folder");
    let mut command = doctor(&sandbox, home.path(), &[TARGET, "--timeout", "1"]).await;
    command
        .env("AWS_ENDPOINT_URL_STS", &url)
        .env("AWS_ENDPOINT_URL_SSM", &url);
    let found = run_command(&sandbox, command).await;
    for check in ["sts", "ssm"] {
        assert_eq!(found.status(check), "fail", "{}", found.all);
        found.says(check, &["did not answer within 1s"]);
    }
    for check in ["identity", "instance", "agent", "data-channel", "session"] {
        assert_eq!(found.status(check), "unknown", "{}", found.all);
    }
    assert_eq!(found.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_proxy_in_the_way_is_named_without_its_password() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let home = tempfile::tempdir().expect("a folder");
    let (proxy, api, stream) = (closed_port(), closed_port(), closed_port());
    let stream = format!("wss://localhost:{}", stream.port());
    let arguments = [TARGET, "--stream-endpoint", &stream];
    let mut command = doctor(&sandbox, home.path(), &arguments).await;
    command
        .env(
            "AWS_ENDPOINT_URL",
            format!("https://localhost:{}", api.port()),
        )
        .env("HTTPS_PROXY", format!("http://user:{SECRET}@{proxy}"));
    let found = run_command(&sandbox, command).await;
    for check in ["proxy", "sts", "ssm", "ssmmessages"] {
        assert_eq!(found.status(check), "fail", "{}", found.all);
        found.says(check, &[&format!("http://{proxy}")]);
    }
    let through = &found.checks["proxy"]["details"]["endpoints"];
    assert_eq!(*through, serde_json::json!(["sts", "ssm", "ssmmessages"]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_clock_that_is_off_fails_and_says_by_how_much() {
    let clock = Clock::default();
    clock.advance(Duration::from_secs(3600));
    let sandbox = start(sandbox().clock(clock).instance(instance(echo().await))).await;
    let found = run(&sandbox, &[TARGET]).await;
    assert_eq!((found.status("clock"), found.code), ("fail", Some(1)));
    found.says("clock", &["behind AWS's", "set the clock"]);
    let ahead = found.checks["clock"]["details"]["ahead_seconds"].as_i64();
    let ahead = ahead.expect("a number");
    // To the minute: a slow machine is late with looking at its own clock.
    assert!((-3660..=-3000).contains(&ahead), "{ahead}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_taken_port_fails_and_another_step_is_named() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let busy = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = busy.local_addr().expect("bound").port().to_string();
    let found = run(&sandbox, &[TARGET, "--local-port-number", &port]).await;
    found.expect(&["local-port"], &[]);
    found.says("local-port", &[&port, "choose another local port"]);
    // Without a target there is less to look at.
    let found = run(&sandbox, &["--local-port-number", "0"]).await;
    found.expect(&[], &["mfa", "ssmmessages"]);
    assert!(!found.checks.contains_key("instance"), "{}", found.all);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn what_may_not_be_asked_is_unknown_and_no_failure() {
    let missing =
        |action: &str| format!("because no identity-based policy allows the {action} action");
    let (describe, status) = ("ssm:DescribeInstanceInformation", "ssm:GetConnectionStatus");
    let sandbox = start(
        sandbox()
            .deny(describe, missing(describe))
            .deny(status, "with an explicit deny in a service control policy")
            .instance(instance(echo().await)),
    )
    .await;
    let found = run(&sandbox, &[TARGET]).await;
    found.expect(&[], &["agent", "data-channel", "instance"]);
    found.says(
        "instance",
        &[
            "no identity-based policy allows it",
            "a tunnel does not need it",
            r#"\"Action\":\"ssm:DescribeInstanceInformation\""#,
        ],
    );
    found.says("data-channel", &["service control policy", "organization"]);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_denied_session_names_the_kind_of_statement_and_what_would_allow_it() {
    let start_session = "ssm:StartSession";
    for (context, cause, policy, words) in [
        (
            "because no identity-based policy allows the ssm:StartSession action",
            "no_allow",
            "identity_based",
            r#"arn:aws:ssm:us-east-1::document/AWS-StartPortForwardingSession"#,
        ),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1",
            "explicit_deny",
            "service_control",
            "arn:aws:organizations::1:policy/o-1/service_control_policy/p-1",
        ),
        (
            "because no permissions boundary allows the ssm:StartSession action",
            "no_allow",
            "permissions_boundary",
            "permissions boundary must allow ssm:StartSession",
        ),
    ] {
        let builder = sandbox().deny(start_session, context);
        let sandbox = start(builder.instance(instance(echo().await))).await;
        let found = run(&sandbox, &[TARGET]).await;
        assert_eq!((found.status("session"), found.code), ("fail", Some(1)));
        let denial = &found.checks["session"]["details"]["denial"];
        assert_eq!(
            (&denial["cause"], &denial["policy"]),
            (&cause.into(), &policy.into())
        );
        found.says("session", &[words]);
        assert_eq!(sandbox.active_sessions().len(), 0);
    }
    // One that may be started but not terminated is told apart.
    let context = "because no identity-based policy allows the ssm:TerminateSession action";
    let builder = sandbox().deny("ssm:TerminateSession", context);
    let sandbox = start(builder.instance(instance(echo().await))).await;
    let found = run(&sandbox, &[TARGET]).await;
    found.expect(&["session"], &[]);
    found.says(
        "session",
        &["but not terminated", "allow ssm:TerminateSession"],
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn no_session_is_started_where_that_is_asked_for() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let found = run(&sandbox, &[TARGET, "--no-session"]).await;
    found.expect(&[], &["mfa", "session", "ssmmessages"]);
    assert_eq!(sandbox.request_count("StartSession"), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn without_region_or_credentials_it_still_says_what_is_missing() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut command = doctor(&sandbox, home.path(), &[TARGET, "--local-port-number", "0"]).await;
    command
        .env_remove("AWS_REGION")
        .env_remove("AWS_DEFAULT_REGION");
    let found = run_command(&sandbox, command).await;
    found.expect(&["region"], &[]);
    found.says("region", &["AWS_REGION"]);

    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    let found = run_command(&sandbox, command).await;
    assert_eq!((found.status("credentials"), found.code), ("fail", Some(1)));
    found.says("credentials", &["no AWS credentials", "AWS_ACCESS_KEY_ID"]);

    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    command.env("AWS_SECRET_ACCESS_KEY", SECRET);
    let found = run_command(&sandbox, command).await;
    assert_eq!((found.status("identity"), found.code), ("fail", Some(1)));
    found.says("identity", &["AWS does not accept the credentials"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn an_interrupted_run_still_terminates_its_session() {
    use e2e::soon;
    use ssm_sandbox::ApiFault;
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    sandbox.fail_next("StartSession", ApiFault::Slow(release.clone()));
    let home = tempfile::tempdir().expect("a folder");
    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    let mut child = command.spawn().expect("starts");
    soon("the session", async {
        while sandbox.active_sessions().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let id = child.id().expect("running").to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(killed.expect("kill runs").success());
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = soon("its word", lines.next_line()).await.expect("readable");
    assert!(said.is_some_and(|line| line.starts_with("Interrupted: waiting")));
    // It stays until StartSession is answered, however long that takes: another one runs from its
    // start to its end meanwhile.
    run(&sandbox, &[TARGET, "--no-session"])
        .await
        .expect(&[], &["mfa", "session", "ssmmessages"]);
    let left = child.try_wait().expect("it is known");
    assert!(left.is_none(), "it left at once: {left:?}");
    release.notify_one();
    let ended = soon("its end", child.wait()).await.expect("ends");
    assert_eq!(ended.code(), Some(130));
    // By the program, not by the agent that would wait a while.
    assert!(sandbox.request_count("TerminateSession") >= 1);
    no_sessions(&sandbox).await;
}
