//! The program `ssm-tunnel`: each command against the sandbox, and what does not depend on AWS.

use std::path::Path;
use std::process::Stdio;

use e2e::peers::{command, output, printed, ssm_tunnel, succeed};
use e2e::{TARGET, echo, instance, no_sessions, open, sandbox, service, soon, tunnel};
use ssm_sandbox::{Instance, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

async fn run(sandbox: &Sandbox, home: &Path, arguments: &[&str]) -> Command {
    let mut command = command(sandbox, ssm_tunnel().await, home);
    command.args(arguments).current_dir(home);
    command
}

/// A sandbox, a home, and what the program prints there; it must succeed.
async fn printed_by(arguments: &[&str]) -> String {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut command = run(&sandbox, home.path(), arguments).await;
    let out = succeed(&arguments.join(" "), &mut command).await;
    String::from_utf8(out).expect("text")
}

const COMMANDS: [&str; 11] = [
    "rdp",
    "forward",
    "ssh-proxy",
    "mfa",
    "targets",
    "sessions",
    "doctor",
    "plugin",
    "sandbox",
    "completions",
    "man",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn version_and_help_name_the_program_and_its_commands() {
    let version = printed_by(&["--version"]).await;
    assert!(version.starts_with("ssm-tunnel 0."), "{version}");
    for help in ["--help", "-h", "help"] {
        let text = printed_by(&[help]).await;
        for name in COMMANDS {
            assert!(text.contains(&format!("\n  {name} ")), "{name}: {text}");
        }
    }
    let table = printed_by(&["--help"]).await;
    for code in ["  3    ", "  12   ", "  125  ", "  130  "] {
        assert!(table.contains(code), "{code:?}: {table}");
    }
    for name in COMMANDS {
        let text = printed_by(&[name, "--help"]).await;
        assert!(
            text.contains(&format!("Usage: ssm-tunnel {name}")),
            "{text}"
        );
        let examples =
            text.matches("  ssm-tunnel ").count() + text.matches("='ssm-tunnel ").count();
        assert!(examples >= 2, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn unknown_words_name_the_nearest_one() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    for (arguments, nearest) in [
        (&["foward", "box"][..], "'forward'"),
        (&["doctr"], "'doctor'"),
        (&["rdp", "box", "--lanch"], "'--launch'"),
        (&["mfa", "logn"], "'login'"),
        (&["completions", "bsh"], "'bash'"),
    ] {
        let mut command = run(&sandbox, home.path(), arguments).await;
        let ended = output("a wrong word", &mut command).await;
        assert_eq!(ended.status.code(), Some(2), "{}", printed(&ended));
        let text = String::from_utf8_lossy(&ended.stderr);
        assert!(text.contains(nearest), "{text}");
    }
    for (arguments, words) in [
        (&["forward", "box"][..], "name what to forward"),
        (&["forward"], "name the target"),
        (&["forward", "box", "1:2:3:4:5"], "too many colons"),
        (
            &["forward", "--target", "box", "15432:x"],
            "names no port to reach",
        ),
    ] {
        let mut command = run(&sandbox, home.path(), arguments).await;
        let ended = output("wrong arguments", &mut command).await;
        assert_eq!(ended.status.code(), Some(2), "{}", printed(&ended));
        let text = String::from_utf8_lossy(&ended.stderr);
        assert!(text.contains(words), "{text}");
        assert!(text.contains("Usage: ssm-tunnel forward"), "{text}");
    }
    assert_eq!(sandbox.requests().len(), 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn forward_takes_every_form_of_a_spec_beside_a_command() {
    let named = async |name: &'static str| {
        service(move |mut tcp| async move {
            let _ = tcp.write_all(name.as_bytes()).await;
        })
        .await
    };
    let instance = Instance::new(TARGET)
        .destination(named("itself\n").await)
        .host("first", named("first\n").await)
        .host("second", named("second\n").await)
        .paced(false);
    let sandbox = sandbox(instance).await;
    let home = tempfile::tempdir().expect("a folder");
    let script = r#"
        for at in "" _2 _3; do
            host="SSM_TUNNEL_HOST$at" port="SSM_TUNNEL_PORT$at"
            exec 3<>"/dev/tcp/${!host}/${!port}" && cat <&3
        done
        [ -S "$SSM_TUNNEL_ADDR_4" ] && [ "$SSM_TUNNEL_ADDR_4" = ./db.sock ] || exit 1
        exit 42"#;
    let specs = ["3389", "0:3389", "0:first:80", "./db.sock:second:5432"];
    let inside = ["--", "bash", "-c", script];
    for target in [&[TARGET][..], &["--target", TARGET]] {
        let mut command = run(&sandbox, home.path(), &["forward"]).await;
        command.args(target).args(specs).args(inside);
        let ended = output("the command", &mut command).await;
        assert_eq!(ended.status.code(), Some(42), "{}", printed(&ended));
        let text = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(text, "itself\nitself\nfirst\n", "{}", printed(&ended));
    }
    // The AWS CLI's way of saying it.
    let mut command = run(&sandbox, home.path(), &["forward", TARGET]).await;
    command.args(["--host", "first", "--port-number", "80", "--"]);
    command.args([
        "bash",
        "-c",
        r#"cat <"/dev/tcp/$SSM_TUNNEL_HOST/$SSM_TUNNEL_PORT""#,
    ]);
    let text = succeed("the command", &mut command).await;
    assert_eq!(text, b"first\n");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn rdp_tells_its_story_without_an_account() {
    let text = printed_by(&["rdp", "--sandbox", "--local-port-number", "0"]).await;
    for words in [
        "1. Without MFA, the account's policy denies the session",
        "2. With a code of the MFA device",
        "3. The tunnel",
        "compared by SHA-256",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn ssh_proxy_carries_standard_input_and_output() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut command = run(&sandbox, home.path(), &["ssh-proxy", TARGET]).await;
    let mut proxy = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = proxy.stdin.take().expect("piped");
    let mut answer = proxy.stdout.take().expect("piped");
    input.write_all(b"hello").await.expect("written");
    let mut text = [0; 5];
    soon("the answer", answer.read_exact(&mut text))
        .await
        .expect("it comes");
    assert_eq!(&text, b"hello");
    drop(input);
    let status = soon("the end", proxy.wait()).await.expect("it ends");
    assert!(status.success(), "{status}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn mfa_login_is_what_status_export_and_logout_speak_of() {
    let sandbox = Sandbox::builder().instance(instance(echo().await));
    let sandbox = sandbox.start().await.expect("starts");
    let home = tempfile::tempdir().expect("a folder");
    let serial = sandbox.mfa_serial();
    let with = async |arguments: &[&str]| {
        let mut command = run(&sandbox, home.path(), arguments).await;
        command.args(["--mfa-serial", &serial]);
        output("mfa", &mut command).await
    };
    let none = with(&["mfa", "status"]).await;
    assert_eq!(none.status.code(), Some(1), "{}", printed(&none));
    let text = String::from_utf8_lossy(&none.stderr);
    assert!(
        text.contains("log in with `ssm-tunnel mfa login`"),
        "{text}"
    );
    let code = sandbox.next_unused_code();
    let login = with(&["mfa", "login", "--mfa-code", &code]).await;
    assert!(login.status.success(), "{}", printed(&login));
    let status = with(&["mfa", "status"]).await;
    assert!(status.status.success(), "{}", printed(&status));
    let export = with(&["mfa", "export"]).await;
    let keys: serde_json::Value = serde_json::from_slice(&export.stdout).expect("JSON");
    assert_eq!(keys["Version"], 1);
    let logout = with(&["mfa", "logout"]).await;
    assert!(logout.status.success(), "{}", printed(&logout));
    let none = with(&["mfa", "status"]).await;
    assert_eq!(none.status.code(), Some(1), "{}", printed(&none));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn targets_are_found_by_a_pattern_or_a_whole_name_tag() {
    let sandbox = Sandbox::builder()
        .enforce_mfa(false)
        .instance(instance(echo().await).name("My Box"))
        .instance(Instance::new("mi-0a1b2c").computer_name("WIN-7"))
        .instance(Instance::new("mi-0d4e5f").online(false))
        .start()
        .await
        .expect("starts");
    let home = tempfile::tempdir().expect("a folder");
    for (pattern, code, found) in [
        (&[][..], 0, &[TARGET, "mi-0a1b2c", "mi-0d4e5f"][..]),
        (&["My Box"], 0, &[TARGET]),
        (&["win-7"], 0, &["mi-0a1b2c"]),
        (&["MI-0"], 0, &["mi-0a1b2c", "mi-0d4e5f"]),
        (&["nothing"], 5, &[]),
    ] {
        let mut command = run(&sandbox, home.path(), &["targets", "--output", "json"]).await;
        let ended = output("targets", command.args(pattern)).await;
        assert_eq!(ended.status.code(), Some(code), "{}", printed(&ended));
        let lines = String::from_utf8(ended.stdout).expect("text");
        let objects = lines.lines().map(|line| {
            let object = serde_json::from_str::<serde_json::Value>(line);
            object.expect("JSON")
        });
        let listed: std::collections::BTreeSet<_> = objects
            .filter(|object| object["event"] == "target")
            .map(|object| object["id"].as_str().expect("an id").to_owned())
            .collect();
        let found = found.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(listed, found, "{pattern:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn sessions_lists_ones_own_and_ends_them() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let listed = async || {
        let mut command = run(&sandbox, home.path(), &["sessions"]).await;
        let out = succeed("sessions", &mut command).await;
        String::from_utf8(out).expect("text")
    };
    assert_eq!(listed().await, "You have no open sessions.\n");
    let left_over = open(tunnel(&sandbox)).await;
    let id = left_over.session_id();
    let text = listed().await;
    assert!(text.starts_with(&format!("{id}: {TARGET}, ")), "{text}");
    let mut end = run(&sandbox, home.path(), &["sessions", "end", &id]).await;
    let text = succeed("sessions end", &mut end).await;
    assert_eq!(text, format!("{id} is terminated.\n").as_bytes());
    no_sessions(&sandbox).await;
    assert_eq!(listed().await, "You have no open sessions.\n");
    let _ = left_over.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn doctor_looks_at_the_sandbox_and_finds_it_healthy() {
    let text = printed_by(&["doctor", TARGET, "--output", "json"]).await;
    let last = text.lines().last().expect("a line");
    let summary: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(summary["event"], "doctor");
    assert_eq!(summary["failed"], 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn sandbox_prints_an_environment_that_its_commands_work_in() {
    let unused = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let arguments = ["sandbox", "--output", "json", "--no-mfa"];
    let mut command = run(&unused, home.path(), &arguments).await;
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = soon("its line", lines.next_line())
        .await
        .expect("read")
        .expect("a line");
    let started: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let user = &started["users"][0];
    let mut doctor = run(&unused, home.path(), &["doctor", &text(&started["name"])]).await;
    doctor
        .env("AWS_ENDPOINT_URL", text(&started["endpoint_url"]))
        .env("AWS_ACCESS_KEY_ID", text(&user["access_key_id"]))
        .env("AWS_SECRET_ACCESS_KEY", text(&user["secret_access_key"]));
    let ended = output("doctor", &mut doctor).await;
    assert!(ended.status.success(), "{}", printed(&ended));
    child.kill().await.expect("ended");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn plugin_runs_by_command_by_name_and_once_installed() {
    let version = format!("{}\n", ssm_tunnel::PLUGIN_VERSION);
    assert_eq!(printed_by(&["plugin", "--version"]).await, version);
    let text = printed_by(&["plugin"]).await;
    assert!(text.contains("was installed successfully"), "{text}");
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let install = async || {
        let mut command = run(&sandbox, home.path(), &["plugin", "install"]).await;
        command.arg(home.path());
        output("plugin install", &mut command).await
    };
    for _ in 0..2 {
        let installed = install().await;
        assert!(installed.status.success(), "{}", printed(&installed));
    }
    let link = home.path().join("session-manager-plugin");
    let mut named = command(&sandbox, &link, home.path());
    let out = succeed("the plugin", named.arg("--version")).await;
    assert_eq!(String::from_utf8_lossy(&out), version);
    std::fs::remove_file(&link).expect("a link");
    std::fs::write(&link, "another").expect("written");
    let refused = install().await;
    assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("it is another program"), "{text}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn completions_and_manual_pages_are_made_for_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = printed_by(&["completions", shell]).await;
        for word in ["ssh-proxy", "mfa-serial", "same-user-only"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let script = r#"source <("$0" completions bash) && complete -p ssm-tunnel"#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).arg(ssm_tunnel().await);
    let text = succeed("bash", &mut bash).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.ends_with(" ssm-tunnel\n"), "{text}");
    let page = printed_by(&["man"]).await;
    assert!(page.contains(".TH ssm-tunnel 1"), "{page}");
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut man = run(&sandbox, home.path(), &["man", "share/man1"]).await;
    succeed("man", &mut man).await;
    for name in COMMANDS {
        let path = home.path().join(format!("share/man1/ssm-tunnel-{name}.1"));
        let page = std::fs::read_to_string(&path).expect("a page");
        assert!(page.contains(".TH"), "{page}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built program"]
async fn a_reader_that_left_is_no_panic() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let program = ssm_tunnel().await;
    for arguments in [
        "--help",
        "--version",
        "completions bash",
        "man",
        "plugin",
        "plugin --version",
        "doctor i-0123456789abcdef0",
        "mfa export",
        "sandbox --port 1x",
        "rdp --sandbox --local-port-number 0",
    ] {
        for closed in ["| true", ">&-", ">/dev/full"] {
            let script = format!("{} {arguments} {closed}", program.display());
            let mut shell = command(&sandbox, "bash", home.path());
            let ended = output(&script, shell.args(["-c", &script])).await;
            let text = printed(&ended);
            assert!(!text.contains("panicked"), "{script}: {text}");
        }
    }
}
