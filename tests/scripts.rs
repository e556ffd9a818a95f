//! `port_forward` in scripts: a command inside the tunnel, several forwards, a ready file, JSON.
//! Needs bash, sh and cat.
#![cfg(unix)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use e2e::peers::{command, example, output, printed};
use e2e::running::Running;
use e2e::{TARGET, echo, echoed, no_sessions, sandbox, service, soon, terminated};
use serde_json::Value;
use ssm_sandbox::{Instance, Sandbox};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

async fn port_forward(sandbox: &Sandbox, home: &Path, arguments: &[&str]) -> Command {
    let mut command = command(sandbox, example("port_forward").await, home);
    command.args(["--target", TARGET]).args(arguments);
    command
}

/// A sandbox whose hosts `first` and `second` answer with their names.
async fn two_hosts() -> Sandbox {
    let named = async |name: &'static str| {
        service(move |mut tcp| async move {
            let _ = tcp.write_all(name.as_bytes()).await;
        })
        .await
    };
    let instance = Instance::new(TARGET)
        .host("first", named("the first\n").await)
        .host("second", named("the second\n").await)
        .paced(false);
    sandbox(instance).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_command_runs_inside_the_tunnel_and_sets_the_exit_code() {
    let sandbox = two_hosts().await;
    let home = tempfile::tempdir().expect("a folder");
    let script = r#"
        exec 3<>"/dev/tcp/$SSM_TUNNEL_HOST/$SSM_TUNNEL_PORT" && cat <&3
        exec 3<>"/dev/tcp/$SSM_TUNNEL_HOST_2/$SSM_TUNNEL_PORT_2" && cat <&3
        [ "$SSM_TUNNEL_ADDR" = "$SSM_TUNNEL_HOST:$SSM_TUNNEL_PORT" ] || exit 1
        exit 42"#;
    let arguments = [
        "--host",
        "first",
        "--port-number",
        "1",
        "--forward",
        "second:2",
    ];
    let mut command = port_forward(&sandbox, home.path(), &arguments).await;
    let ended = output("the command", command.args(["--", "bash", "-c", script])).await;
    assert_eq!(ended.status.code(), Some(42), "{}", printed(&ended));
    // The command's output alone.
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "the first\nthe second\n"
    );
    assert_eq!(sandbox.request_count("StartSession"), 2);
    terminated(&sandbox, 2).await;
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn exit_codes_distinguish_tunnel_and_command_failures() {
    let sandbox = two_hosts().await;
    let home = tempfile::tempdir().expect("a folder");
    let code = async |target: &[&str], inside: &[&str]| {
        let mut command = command(&sandbox, example("port_forward").await, home.path());
        command
            .args(target)
            .args(["--port-number", "1", "--"])
            .args(inside);
        let ended = output("the command", &mut command).await;
        assert_eq!(ended.status.signal(), None, "{}", printed(&ended));
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "");
        ended.status.code()
    };
    let there = ["--target", TARGET];
    assert_eq!(code(&there, &["true"]).await, Some(0));
    assert_eq!(
        code(&there, &["sh", "-c", "kill -9 $$"]).await,
        Some(128 + 9)
    );
    assert_eq!(code(&there, &["there-is-no-such-command"]).await, Some(127));
    assert_eq!(code(&there, &["/etc/passwd"]).await, Some(126));
    assert_eq!(
        code(&["--target", "i-00000000000000000"], &["true"]).await,
        Some(125)
    );
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_ready_file_lists_the_addresses_until_sigterm() {
    let sandbox = sandbox(Instance::new(TARGET).destination(echo().await).paced(false)).await;
    let home = tempfile::tempdir().expect("a folder");
    let (ready, socket) = (home.path().join("ready"), home.path().join("socket"));
    // A ready file left by an earlier run, which is a link to another file.
    let elsewhere = home.path().join("elsewhere");
    std::fs::write(&elsewhere, "untouched").expect("written");
    std::os::unix::fs::symlink(&elsewhere, &ready).expect("a link");
    let forward = format!("{}=3389", socket.display());
    let arguments = [
        "--port-number",
        "1",
        "--forward",
        &forward,
        "--output",
        "json",
        "--ready-file",
    ];
    let mut command = port_forward(&sandbox, home.path(), &arguments).await;
    let running = Running::start(command.arg(&ready));
    let mut tries = tokio::time::interval(std::time::Duration::from_millis(20));
    let addresses = soon("the ready file", async {
        loop {
            tries.tick().await;
            match std::fs::read_to_string(&ready) {
                Ok(text) if text != "untouched" => return text,
                _ => {}
            }
        }
    })
    .await;
    let lines: Vec<&str> = addresses.lines().collect();
    let [address, path] = lines.as_slice() else {
        panic!("not two lines: {addresses}");
    };
    assert_eq!(Path::new(path), socket);
    echoed(
        TcpStream::connect(address).await.expect("accepts"),
        1,
        100_000,
    )
    .await;
    echoed(
        UnixStream::connect(&socket).await.expect("accepts"),
        2,
        100_000,
    )
    .await;

    running.signal("TERM").await;
    let (lines, status) = running.end().await;
    let mut closed = 0;
    for line in lines {
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["session_id"].is_string(), "no session: {line}");
        closed += usize::from(event["event"] == "closed");
    }
    assert_eq!((status.code(), closed), (Some(0), 2));
    assert!(!socket.exists(), "the socket's file stays");
    assert!(!ready.exists(), "the ready file stays");
    let untouched = std::fs::read_to_string(&elsewhere).expect("there");
    assert_eq!(untouched, "untouched");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn one_failed_forward_closes_all_forwards() {
    let sandbox = two_hosts().await;
    let home = tempfile::tempdir().expect("a folder");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let port = taken.local_addr().expect("bound").port();
    let forward = format!("{port}=second:2");
    let arguments = [
        "--host",
        "first",
        "--port-number",
        "1",
        "--forward",
        &forward,
    ];
    let mut command = port_forward(&sandbox, home.path(), &arguments).await;
    let ended = output("port_forward", &mut command).await;
    assert_eq!(ended.status.code(), Some(3), "{}", printed(&ended));
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(text.contains("cannot listen on"), "{text}");
    drop(taken);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn sigterm_reaches_the_command_before_the_session_ends() {
    let sandbox = two_hosts().await;
    let home = tempfile::tempdir().expect("a folder");
    let script = "trap 'echo told; exit 5' TERM; echo running; while :; do sleep 0.05; done";
    let arguments = ["--port-number", "1", "--", "sh", "-c", script];
    let mut running = Running::start(&mut port_forward(&sandbox, home.path(), &arguments).await);
    running.line("running").await;
    running.signal("TERM").await;
    let (lines, status) = running.end().await;
    assert_eq!(lines, ["told"]);
    assert_eq!(status.code(), Some(5));
    no_sessions(&sandbox).await;
}

/// As after Ctrl-S on a terminal, or while text is being selected in a Windows console.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_tunnel_keeps_running_while_its_output_is_unread() {
    /// Each causes two events of at least 60 bytes: far more than a pipe of 64 KiB and a queue of
    /// 256 events can hold.
    const CONNECTIONS: usize = 1000;

    let sandbox = sandbox(Instance::new(TARGET).destination(echo().await).paced(false)).await;
    let home = tempfile::tempdir().expect("a folder");
    let arguments = ["--port-number", "1", "--output", "json"];
    let mut running = Running::start(&mut port_forward(&sandbox, home.path(), &arguments).await);
    let listening = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let is_listening = event["event"] == "listening";
        is_listening.then(|| event["address"].as_str().expect("an address").to_owned())
    };
    let (_, address) = running.until("the port", listening).await;
    for seed in 0..CONNECTIONS {
        let tcp = soon("connecting", TcpStream::connect(&address)).await;
        echoed(tcp.expect("the local port accepts"), seed as u64, 100).await;
    }
    running.signal("TERM").await;
    let (printed, status) = running.end().await;
    // Events were dropped, so the output was full.
    assert!(printed.len() < 2 * CONNECTIONS, "{} events", printed.len());
    assert_eq!(status.code(), Some(0));
    no_sessions(&sandbox).await;
}

/// `script` provides the terminal; the other tests here show that there is no status line without
/// one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_status_line_on_a_terminal_shows_the_traffic() {
    use e2e::peers::installed;
    use tokio::io::AsyncReadExt as _;

    let sandbox = sandbox(Instance::new(TARGET).destination(echo().await).paced(false)).await;
    let home = tempfile::tempdir().expect("a folder");
    let ready = home.path().join("ready");
    let line = format!(
        "{} --target {TARGET} --port-number 1 --ready-file {}",
        example("port_forward").await.display(),
        ready.display()
    );
    let script = installed("script", "apt-get install bsdutils");
    let mut child = command(&sandbox, script, home.path())
        .env("TERM", "xterm")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut screen = child.stdout.take().expect("piped");
    let mut shown = Vec::new();
    let mut transferred = false;
    soon("the status", async {
        // As a whole: the terminal hands over what there is.
        let line = "1 open, 97.66 KiB up, 97.66 KiB down";
        let told = |shown: &[u8]| {
            let text = String::from_utf8_lossy(shown);
            text.split_once(line)
                .is_some_and(|(_, rest)| rest.contains("round trip"))
        };
        while !told(&shown) {
            let read = screen.read_buf(&mut shown).await.expect("readable");
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&shown));
            let address = std::fs::read_to_string(&ready).unwrap_or_default();
            if !transferred && let Some(address) = address.lines().next() {
                transferred = true;
                let mut tcp = TcpStream::connect(address).await.expect("accepts");
                echoed(&mut tcp, 1, 100_000).await;
                // Stays open, so that it is counted.
                std::mem::forget(tcp);
            }
        }
    })
    .await;
    drop(child);
    sandbox.terminate_sessions();
    no_sessions(&sandbox).await;
}
