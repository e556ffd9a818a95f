//! The target, and the permission to start a session.

use e2e::{TARGET, echo, instance, no_sessions};
use ssm_sandbox::Instance;

use super::run::{run, sandbox, start};

const OTHER: &str = "i-0aaaaaaaaaaaaaaaa";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn unknown_offline_and_unconnected_targets_are_distinguished() {
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
                "not reported since 2",
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
async fn an_outdated_agent_fails_with_the_update_document() {
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
    found.says("agent", &["a remote host takes at least 3.1.1374.0"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_denied_lookup_is_unknown_rather_than_failed() {
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
async fn a_denied_session_names_the_policy_and_the_statement_to_add() {
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
    // A session that may be started but not terminated is reported as such.
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
async fn the_no_session_flag_starts_no_session() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let found = run(&sandbox, &[TARGET, "--no-session"]).await;
    found.expect(&[], &["mfa", "session", "ssmmessages"]);
    assert_eq!(sandbox.request_count("StartSession"), 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn an_interrupted_run_still_terminates_its_session() {
    use e2e::running::Running;
    use e2e::soon;
    use ssm_sandbox::ApiFault;

    use super::run::doctor;

    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    sandbox.fail_next("StartSession", ApiFault::Slow(release.clone()));
    let home = tempfile::tempdir().expect("a folder");
    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    let mut running = Running::start(&mut command);
    soon("the session", async {
        while sandbox.active_sessions().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.signal("INT").await;
    running.line("Interrupted: waiting").await;
    // It waits until StartSession is answered, however long that takes: a second doctor runs to its
    // end meanwhile.
    run(&sandbox, &[TARGET, "--no-session"])
        .await
        .expect(&[], &["mfa", "session", "ssmmessages"]);
    let ended = running.ended();
    assert!(ended.is_none(), "it did not wait: {ended:?}");
    release.notify_one();
    assert_eq!(running.end().await.1.code(), Some(130));
    // By the program itself; the agent would end it only later.
    assert!(sandbox.request_count("TerminateSession") >= 1);
    no_sessions(&sandbox).await;
}
