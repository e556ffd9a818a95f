//! The example `session-manager-plugin` under the real AWS CLI (PyPI: awscli), which finds it first
//! in its PATH.
#![cfg(unix)]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::peers::{command, example, free_port, installed, output, printed, random_bytes};
use e2e::{
    TARGET, closed_port, echo, echoed, instance, is_reset, no_sessions, sandbox, service, soon,
};
use ssm_sandbox::{Instance, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdout, Command};

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

/// `aws ssm start-session`, and what it prints.
struct Cli {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _home: tempfile::TempDir,
}

impl Cli {
    async fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        Self::start_with(sandbox, arguments, &[]).await
    }

    async fn start_with(sandbox: &Sandbox, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut command = with_plugin(sandbox, installed("aws", AWS), home.path()).await;
        command
            .args(["ssm", "start-session", "--target", TARGET])
            .args(arguments);
        // Nothing of a test may stay behind when it fails: the plugin is the CLI's child.
        let mut child = command
            .envs(env.iter().copied())
            .process_group(0)
            .spawn()
            .expect("aws starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self {
            child,
            lines,
            _home: home,
        }
    }

    /// The lines up to and with the first that `wanted` picks.
    async fn until<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> (Vec<String>, T) {
        let mut seen = Vec::new();
        let found = soon(what, async {
            while let Some(line) = self.lines.next_line().await.expect("readable") {
                let found = wanted(&line);
                seen.push(line);
                if let Some(found) = found {
                    return Some(found);
                }
            }
            None
        });
        match found.await {
            Some(found) => (seen, found),
            None => {
                let mut text = String::new();
                let mut stderr = self.child.stderr.take().expect("piped");
                soon("standard error", stderr.read_to_string(&mut text))
                    .await
                    .expect("readable");
                panic!("no {what} in {seen:#?}\n{text}");
            }
        }
    }

    /// The port it opened, once it waits for connections.
    async fn port(&mut self) -> u16 {
        let (seen, ()) = self
            .until("waiting", |line| {
                (line == "Waiting for connections...").then_some(())
            })
            .await;
        let opened = seen
            .iter()
            .find_map(|line| line.strip_prefix("Port ")?.split(' ').next()?.parse().ok());
        opened.unwrap_or_else(|| panic!("no port in {seen:#?}"))
    }

    /// Ctrl-C: the terminal sends it to the CLI and the plugin alike.
    async fn interrupt(&self) {
        let group = format!("-{}", self.child.id().expect("running"));
        let killed = Command::new("kill")
            .args(["-INT", "--", &group])
            .status()
            .await;
        assert!(killed.expect("kill runs").success());
    }

    /// The rest of its lines, and its exit code.
    async fn end(mut self) -> (Vec<String>, Option<i32>) {
        soon("the end", async {
            let mut rest = Vec::new();
            while let Some(line) = self.lines.next_line().await.expect("readable") {
                rest.push(line);
            }
            (rest, self.child.wait().await.expect("ends").code())
        })
        .await
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let group = format!("-{id}");
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
        }
    }
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
    let mut cli = Cli::start(
        &sandbox,
        &["--document-name", document, "--parameters", &parameters],
    )
    .await;
    let (seen, ()) = cli
        .until("waiting", |line| {
            (line == "Waiting for connections...").then_some(())
        })
        .await;
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
    cli.interrupt().await;
    let (rest, code) = cli.end().await;
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
    assert_eq!(code, Some(0));
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
    let mut cli = Cli::start(
        &sandbox,
        &["--document-name", document, "--parameters", parameters],
    )
    .await;
    let port = cli.port().await;
    let stream = connect(port).await;
    let (mut read, write) = stream.into_split();
    sandbox.cut_websockets();
    echoed(tokio::io::join(&mut read, write), 1, 500_000).await;
    assert!(sandbox.request_count("ResumeSession") >= 1);
    assert_eq!(sandbox.active_sessions().len(), 1, "it is another session");

    sandbox.terminate_sessions();
    let (rest, code) = cli.end().await;
    assert!(
        rest.iter()
            .any(|line| line.starts_with("Exiting session with sessionId: ")),
        "{rest:#?}"
    );
    assert_eq!(code, Some(0));
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
    let mut cli = Cli::start(
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
    cli.until("waiting", |line| {
        (line == "Waiting for connections...").then_some(())
    })
    .await;
    let stream = UnixStream::connect(&socket).await.expect("accepts");
    echoed(stream, 1, 100_000).await;
    cli.interrupt().await;
    assert_eq!(cli.end().await.1, Some(0));
    assert!(!socket.exists(), "the socket's file stays");

    // Taken on every address but the one it is given.
    let taken = closed_port().port();
    let parameters = format!("portNumber=3389,localPortNumber={taken}");
    let mut cli = Cli::start_with(
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
    assert_eq!(cli.port().await, taken);
    let there = TcpStream::connect(("127.0.0.2", taken))
        .await
        .expect("accepts");
    echoed(there, 2, 100_000).await;
    TcpStream::connect(("127.0.0.1", taken))
        .await
        .expect_err("nobody listens there");
    cli.interrupt().await;
    assert_eq!(cli.end().await.1, Some(0));
}

/// `AWS-StartSSHSession` as ssh's ProxyCommand has it: the connection on standard input and output.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI; .ci/run installs it"]
async fn the_ssh_document_connects_standard_input_and_output() {
    use tokio::io::AsyncWriteExt as _;

    const LENGTH: usize = 300_000;
    let destination = service(|mut tcp| async move {
        let mut data = vec![0; LENGTH];
        tcp.read_exact(&mut data).await.expect("the data");
        tcp.write_all(&data).await.expect("taken");
        // As sshd, it waits for the client to say that it is done.
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
    let mut cli = Cli::start(
        &sandbox,
        &[
            "--document-name",
            "AWS-StartPortForwardingSession",
            "--parameters",
            "portNumber=3389",
        ],
    )
    .await;
    let port = cli.port().await;
    let refused = "Connection to destination port failed, check SSM Agent logs.";
    is_reset(SocketAddr::from(([127, 0, 0, 1], port))).await;
    cli.until("the refusal", |line| (line == refused).then_some(()))
        .await;

    let taken = format!("portNumber=3389,localPortNumber={port}");
    let mut second = Cli::start(
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
    assert_eq!(second.end().await.1, Some(0));
    cli.interrupt().await;
    assert_eq!(cli.end().await.1, Some(0));
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
    // What the CLI takes the environment variable for, and what AWS supports at least.
    assert!(numbers > vec![1, 2, 764, 0], "{version}");
    assert!(run(&[]).await.contains("installed successfully"));
    assert!(run(&["help"]).await.contains("Unknown operation help"));
    assert_eq!(
        run(&["{}", "us-east-1", "GetSession"]).await,
        "Invalid Operation\n"
    );
    // Four arguments counting the program, as old CLIs call it; and a secret that is not repeated.
    let answer = r#"{"SessionId": "s", "TokenValue": ["MARKER"], "StreamUrl": "wss://h/"}"#;
    let text = run(&[answer, "us-east-1", "StartSession"]).await;
    assert!(text.starts_with("Cannot perform start session: "), "{text}");
    assert!(!text.contains("MARKER"), "{text}");
}
