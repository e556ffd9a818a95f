//! What child processes inherit, and what shells make of exported credentials.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use e2e::peers::{command, example, installed, output, printed, succeed};
use e2e::{TARGET, echo, instance, sandbox};
use ssm_sandbox::Sandbox;
use tokio::process::Command;

/// An unused code and a session's token: no child may see either.
const CODE: &str = "918273";
const SESSION: &str = "SESSION-MARKER";

/// A script that writes its environment to the file `NAME.env` beside it.
fn script(folder: &Path, name: &str, lines: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!("#!/bin/sh\nenv > '{}.env'\n{lines}\n", path.display());
    std::fs::write(&path, text).expect("written");
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, runs).expect("allowed");
    path
}

/// Checks that the script ran and saw neither secret.
fn assert_saw_no_secret(script: &Path) {
    let environment = std::fs::read_to_string(script.with_extension("env"))
        .unwrap_or_else(|error| panic!("{} did not run: {error}", script.display()));
    assert!(environment.contains("PATH="), "{environment}");
    for secret in [CODE, SESSION] {
        assert!(!environment.contains(secret), "{environment}");
    }
}

/// One of our programs, with secrets in its environment.
async fn program(sandbox: &Sandbox, name: &str, home: &Path) -> Command {
    let mut command = command(sandbox, example(name).await, home);
    command
        .env("SSM_TUNNEL_MFA_CODE", CODE)
        .env("AWS_SSM_START_SESSION_RESPONSE", SESSION)
        .env("AWS_SSM_START_SESSION_RESPONSE_7", SESSION);
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_command_inside_a_tunnel_sees_neither_code_nor_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let inside = script(home.path(), "inside", "test -n \"$SSM_TUNNEL_PORT\"");
    let mut command = program(&sandbox, "port_forward", home.path()).await;
    command.args(["--target", TARGET, "--port-number", "1", "--"]);
    succeed("port_forward", command.arg(&inside)).await;
    assert_saw_no_secret(&inside);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn credential_programs_see_neither_code_nor_session() {
    let sandbox = Sandbox::builder().start().await.expect("starts");
    let home = tempfile::tempdir().expect("a folder");
    let keys = format!(
        "echo '{{\"Version\":1,\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\"}}'",
        sandbox.access_key_id(),
        sandbox.secret_access_key()
    );
    let keys = script(home.path(), "keys", &keys);
    let code = format!("echo {}", sandbox.next_unused_code());
    let code = script(home.path(), "code", &code);
    std::fs::create_dir(home.path().join(".aws")).expect("made");
    let configuration = format!(
        "[profile work]\nmfa_serial = {}\ncredential_process = {}\nmfa_process = {}\n",
        sandbox.mfa_serial(),
        keys.display(),
        code.display()
    );
    std::fs::write(home.path().join(".aws/config"), configuration).expect("written");
    let log_in = async |more: &[&str]| {
        let mut command = program(&sandbox, "mfa", home.path()).await;
        command
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .args(["login", "--profile", "work"])
            .args(more);
        command
    };
    // The variable's code is tried first, and is wrong; the next run has none.
    let wrong = output("mfa", &mut log_in(&[]).await).await;
    assert_eq!(wrong.status.code(), Some(1), "{}", printed(&wrong));
    let mut right = log_in(&[]).await;
    // An empty variable counts as unset.
    succeed("mfa", right.env("SSM_TUNNEL_MFA_CODE", "")).await;
    assert_saw_no_secret(&code);
    assert_saw_no_secret(&keys);
}

/// Every character that has a meaning in some shell, except blanks, which a key cannot contain.
const HOSTILE: &str =
    "a'b\"c$d`e\\f!g%h&i|j;k<l>m^n#o~p*q?r(s)t[u]v{w}x'$(touch${IFS}pwned)'\\''z\\";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, dash, zsh and fish"]
async fn exported_credentials_reach_every_shell_unchanged() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let mfa = example("mfa").await;
    for (shell, options, format) in [
        ("bash", &["--norc", "--noprofile"][..], "env"),
        // As pasted at a prompt, where ! is expanded.
        ("bash", &["--norc", "--noprofile", "-i"], "env"),
        ("dash", &[], "env"),
        ("zsh", &["-f"], "env"),
        ("zsh", &["-f", "-i"], "env"),
        ("zsh", &["-f", "-o", "rc_quotes"], "env"),
        ("fish", &["--no-config"], "fish"),
    ] {
        let exported = command(&sandbox, &mfa, home.path())
            .args(["export", "--format", format])
            .env("AWS_SECRET_ACCESS_KEY", HOSTILE)
            .output()
            .await
            .expect("runs");
        assert!(exported.status.success(), "{}", printed(&exported));
        let lines = String::from_utf8(exported.stdout).expect("text");
        let lines = format!("{lines}\nprintf '<%s>' \"$AWS_SECRET_ACCESS_KEY\"\nexit\n");
        let path = home.path().join("lines");
        std::fs::write(&path, lines).expect("written");
        let mut command = command(&sandbox, installed(shell, "tests/peers.sh"), home.path());
        command
            .args(options)
            .current_dir(home.path())
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .stdin(std::fs::File::open(&path).expect("there"));
        let ran = output(shell, &mut command).await;
        let said = String::from_utf8_lossy(&ran.stdout);
        let expected = format!("<{HOSTILE}>");
        assert!(said.contains(&expected), "{shell}: {}", printed(&ran));
        assert!(!home.path().join("pwned").exists(), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn cmd_is_never_given_a_value_it_would_change() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let mfa = example("mfa").await;
    let export = async |secret: &str| {
        let mut command = command(&sandbox, &mfa, home.path());
        command
            .args(["export", "--format", "cmd"])
            .env("AWS_SECRET_ACCESS_KEY", secret);
        output("mfa", &mut command).await
    };
    let safe = export("a/b+c=").await;
    let lines = String::from_utf8_lossy(&safe.stdout);
    assert!(
        lines.contains("set \"AWS_SECRET_ACCESS_KEY=a/b+c=\""),
        "{}",
        printed(&safe)
    );
    let refused = export(HOSTILE).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
    assert!(said.contains("use PowerShell"), "{said}");
    assert!(refused.stdout.is_empty() && !said.contains("a'b"), "{said}");
}
