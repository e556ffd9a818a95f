//! `session-manager-plugin`, first in PATH, under the real AWS CLI (PyPI: awscli).
#![cfg(unix)]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::peers::{command, example, free_port, installed, output, printed, random_bytes};
use e2e::running::Running;
use e2e::{
    TARGET, closed_port, echo, echoed, instance, is_reset, no_sessions, sandbox, service, soon,
};
use ssm_sandbox::{Instance, Sandbox};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

const AWS: &str = "pip install awscli";

/// Runs the AWS CLI, or anything else, with our plugin first in its PATH.
async fn with_plugin(sandbox: &Sandbox, program: PathBuf, home: &Path) -> Command {
    let plugin = example("session-manager-plugin").await;
    let folder = plugin.parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![folder];
    folders.extend(std::env::split_paths(&path));
    let path: OsString = std::env::join_paths(folders).expect("a PATH");
    let mut command = command(sandbox, program, home);
    command.env("PATH", path);
    command
}

/// Starts `aws ssm start-session` with these arguments and variables; the plugin is its child.
async fn start_with(
    sandbox: &Sandbox,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (Running, TempDir) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = with_plugin(sandbox, installed("aws", AWS), home.path()).await;
    command
        .args(["ssm", "start-session", "--target", TARGET])
        .args(arguments)
        .envs(variables.iter().copied());
    (Running::start(&mut command), home)
}

async fn start(sandbox: &Sandbox, arguments: &[&str]) -> (Running, TempDir) {
    start_with(sandbox, arguments, &[]).await
}

/// The lines up to the one that says that the plugin listens.
async fn until_waiting(cli: &mut Running) -> Vec<String> {
    let waiting = |line: &str| (line == "Waiting for connections...").then_some(());
    cli.until("waiting", waiting).await.0
}

/// The port that the plugin opened, once it waits for connections.
async fn opened_port(cli: &mut Running) -> u16 {
    let seen = until_waiting(cli).await;
    let opened = seen
        .iter()
        .find_map(|line| line.strip_prefix("Port ")?.split(' ').next()?.parse().ok());
    opened.unwrap_or_else(|| panic!("no port in {seen:#?}"))
}

/// Ctrl-C reaches the CLI and the plugin alike. Returns the rest of the lines.
async fn interrupt(cli: Running) -> Vec<String> {
    cli.signal_group("INT").await;
    let (rest, status) = cli.end().await;
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    rest
}

async fn connect(port: u16) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    soon("connecting", TcpStream::connect(address))
        .await
        .expect("accepts")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI; .ci/run installs it"]
async fn the_aws_cli_forwards_a_port_until_ctrl_c() {
    let sandbox = sandbox(instance(echo().await)).await;
    let local = free_port().port();
    let parameters = format!("portNumber=3389,localPortNumber={local}");
    let document = "AWS-StartPortForwardingSession";
    let (mut cli, _home) = start(
        &sandbox,
        &["--document-name", document, "--parameters", &parameters],
    )
    .await;
    let seen = until_waiting(&mut cli).await;
    let session = sandbox.active_sessions().pop().expect("a session");
    assert_eq!(
        seen,
        [
            "".to_owned(),
            format!("Starting session with SessionId: {session}"),
            format!("Port {local} opened for sessionId {session}."),
            "Waiting for connections...".to_owned(),
        ]
    );
    for seed in 0..3 {
        echoed(connect(local).await, seed, 500_000).await;
    }
    let rest = interrupt(cli).await;
    assert_eq!(
        rest,
        [
            "".to_owned(),
            format!("Connection accepted for session [{session}]"),
            "Terminate signal received, exiting.".to_owned(),
            "".to_owned(),
            "".to_owned(),
            format!("Exiting session with sessionId: {session}."),
            "".to_owned(),
        ]
    );
    assert_eq!(sandbox.request_count("StartSession"), 1);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI; .ci/run installs it"]
async fn the_aws_cli_reaches_a_remote_host_across_a_lost_websocket() {
    let host = Instance::new(TARGET).host("db.internal", echo().await);
    let sandbox = sandbox(host.paced(false)).await;
    let document = "AWS-StartPortForwardingSessionToRemoteHost";
    let parameters = "host=db.internal,portNumber=5432";
    let (mut cli, _home) = start(
        &sandbox,
        &["--document-name", document, "--parameters", parameters],
    )
    .await;
    let port = opened_port(&mut cli).await;
    let stream = connect(port).await;
    let (mut read, write) = stream.into_split();
    sandbox.cut_websockets();
    echoed(tokio::io::join(&mut read, write), 1, 500_000).await;
    assert!(sandbox.request_count("ResumeSession") >= 1);
    assert_eq!(
        sandbox.active_sessions().len(),
        1,
        "the session was replaced"
    );

    sandbox.terminate_sessions();
    let (rest, status) = cli.end().await;
    assert!(
        rest.iter()
            .any(|line| line.starts_with("Exiting session with sessionId: ")),
        "{rest:#?}"
    );
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI; .ci/run installs it"]
async fn the_listener_follows_the_document_and_the_environment() {
    let sandbox = Sandbox::builder()
        .enforce_mfa(false)
        .instance(instance(echo().await))
        .document("Team-Forward")
        .start()
        .await
        .expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let parameters = format!(
        "portNumber=3389,localConnectionType=unix,localUnixSocket={}",
        socket.display()
    );
    let (mut cli, _home) = start(
        &sandbox,
        &[
            "--document-name",
            "Team-Forward",
            "--parameters",
            &parameters,
        ],
    )
    .await;
    let opened = format!("Unix socket {} opened for sessionId ", socket.display());
    cli.until("the socket", |line| line.starts_with(&opened).then_some(()))
        .await;
    until_waiting(&mut cli).await;
    let stream = UnixStream::connect(&socket).await.expect("accepts");
    echoed(stream, 1, 100_000).await;
    interrupt(cli).await;
    assert!(!socket.exists(), "the socket's file stays");

    // A port in use on 127.0.0.1, with another address in the environment.
    let taken = closed_port().port();
    let parameters = format!("portNumber=3389,localPortNumber={taken}");
    let (mut cli, _home) = start_with(
        &sandbox,
        &[
            "--document-name",
            "Team-Forward",
            "--parameters",
            &parameters,
        ],
        &[("SSM_PLUGIN_LOCAL_HOST", "127.0.0.2")],
    )
    .await;
    assert_eq!(opened_port(&mut cli).await, taken);
    let there = TcpStream::connect(("127.0.0.2", taken))
        .await
        .expect("accepts");
    echoed(there, 2, 100_000).await;
    TcpStream::connect(("127.0.0.1", taken))
        .await
        .expect_err("this address refuses connections");
    interrupt(cli).await;
}

/// `AWS-StartSSHSession` as in ssh's ProxyCommand.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI; .ci/run installs it"]
async fn the_ssh_document_connects_standard_input_and_output() {
    use tokio::io::AsyncWriteExt as _;

    const LENGTH: usize = 300_000;
    let destination = service(|mut tcp| async move {
        let mut data = vec![0; LENGTH];
        tcp.read_exact(&mut data).await.expect("the data");
        tcp.write_all(&data).await.expect("taken");
        // Like sshd, it waits until the client has finished.
        tcp.read_exact(&mut [0]).await.expect("the last byte");
    });
    let sandbox = sandbox(instance(destination.await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut command = with_plugin(&sandbox, installed("aws", AWS), home.path()).await;
    command
        .args(["ssm", "start-session", "--target", TARGET])
        .args([
            "--document-name",
            "AWS-StartSSHSession",
            "--parameters",
            "portNumber=22",
        ])
        .stdin(Stdio::piped());
    let mut child = command.spawn().expect("aws starts");
    let mut stdin = child.stdin.take().expect("piped");
    let data = random_bytes(3, LENGTH);
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = Vec::new();
    let mut back = vec![0; LENGTH];
    soon("the echo", async {
        stdin.write_all(&data).await.expect("taken");
        for _ in 0..2 {
            stdout.read_until(b'\n', &mut lines).await.expect("a line");
        }
        stdout.read_exact(&mut back).await.expect("comes back");
        stdin.write_all(b"!").await.expect("taken");
    })
    .await;
    assert!(
        lines.starts_with(b"\nStarting session with SessionId: "),
        "{lines:?}"
    );
    assert!(back == data, "the data differs");
    let status = soon("the end", child.wait()).await.expect("ends");
    assert!(status.success(), "{status}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI; .ci/run installs it"]
async fn failures_are_reported_in_the_reference_plugins_words() {
    let sandbox = sandbox(instance(closed_port())).await;
    let (mut cli, _home) = start(
        &sandbox,
        &[
            "--document-name",
            "AWS-StartPortForwardingSession",
            "--parameters",
            "portNumber=3389",
        ],
    )
    .await;
    let port = opened_port(&mut cli).await;
    let refused = "Connection to destination port failed, check SSM Agent logs.";
    is_reset(SocketAddr::from(([127, 0, 0, 1], port))).await;
    cli.until("the refusal", |line| (line == refused).then_some(()))
        .await;

    let taken = format!("portNumber=3389,localPortNumber={port}");
    let (mut second, _other_home) = start(
        &sandbox,
        &[
            "--document-name",
            "AWS-StartPortForwardingSession",
            "--parameters",
            &taken,
        ],
    )
    .await;
    let failed = "Cannot perform start session: ";
    let (_, line) = second
        .until("the failure", |line| {
            line.starts_with(failed).then(|| line.to_owned())
        })
        .await;
    assert!(line.contains(&port.to_string()), "{line}");
    assert_eq!(second.end().await.1.code(), Some(0));
    interrupt(cli).await;
    no_sessions(&sandbox).await;
}

/// The command line itself, without the AWS CLI.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn every_form_of_the_command_line_is_accepted() {
    let sandbox = sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let run = async |arguments: &[&str]| {
        let plugin = example("session-manager-plugin").await;
        let mut command = with_plugin(&sandbox, plugin, home.path()).await;
        let ended = output("the plugin", command.args(arguments)).await;
        assert!(ended.status.success(), "{}", printed(&ended));
        String::from_utf8(ended.stdout).expect("text")
    };
    let version = run(&["--version"]).await;
    let numbers: Vec<u32> = version
        .trim()
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .collect();
    // The least version that AWS supports, and from which the CLI passes the answer in a variable.
    assert!(numbers > vec![1, 2, 764, 0], "{version}");
    assert!(run(&[]).await.contains("installed successfully"));
    assert!(run(&["help"]).await.contains("Unknown operation help"));
    assert_eq!(
        run(&["{}", "us-east-1", "GetSession"]).await,
        "Invalid Operation\n"
    );
    // Four arguments with the program's name, as from old CLIs; the secret is not repeated.
    let answer = r#"{"SessionId": "s", "TokenValue": ["MARKER"], "StreamUrl": "wss://h/"}"#;
    let text = run(&[answer, "us-east-1", "StartSession"]).await;
    assert!(text.starts_with("Cannot perform start session: "), "{text}");
    assert!(!text.contains("MARKER"), "{text}");
}
