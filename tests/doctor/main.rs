//! `doctor`: what it reports for each thing that can be wrong between a machine and its target, and
//! that it leaves nothing behind.

mod network;
mod run;
mod target;

use e2e::peers::{output, printed};
use e2e::{TARGET, echo, instance, no_sessions, tells};
use run::{SECRET, doctor, run, run_command, sandbox, start};
use ssm_sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_healthy_setup_passes_every_check_and_leaves_no_session() {
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
async fn text_output_is_a_table_with_a_remedy_below_each_failure() {
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
async fn a_missing_mfa_session_is_named_and_a_login_fixes_it() {
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
    // A name cannot even be looked up.
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
async fn missing_region_and_credentials_are_both_reported() {
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
