//! Real programs at either end: ours, and peers from Debian and PyPI.

use std::env;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use ssm_sandbox::Sandbox;
use tokio::net::TcpSocket;
use tokio::process::Command;

use crate::soon;

/// The path of one of our examples, built if need be.
pub async fn example(name: &str) -> PathBuf {
    built("--example", name, "examples").await
}

/// The path of the program `ssm-tunnel`, built if need be.
pub async fn ssm_tunnel() -> PathBuf {
    built("--bin", "ssm-tunnel", "").await
}

async fn built(kind: &str, name: &str, folder: &str) -> PathBuf {
    // From the root, so that features are those of the whole workspace and nothing is built twice.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", kind, name])
        .current_dir(root.expect("the workspace"));
    let built = cargo.status().await.expect("cargo runs");
    assert!(built.success(), "{name} does not build");
    let test = env::current_exe().expect("the test's own path");
    let target = test
        .ancestors()
        .nth(2)
        .expect("target/PROFILE/deps/THIS TEST");
    let path = target
        .join(folder)
        .join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

/// The path of a program that must be installed, in PATH or in one of Debian's other folders.
///
/// # Panics
/// If it is not installed: a test without its peer proves nothing.
pub fn installed(program: &str, package: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders
        .iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed: {package}"))
}

/// A command with the sandbox's endpoint and the user's long-term keys in its environment, and none
/// of this machine's AWS settings, proxies, or folders for caches.
pub fn command(sandbox: &Sandbox, program: impl AsRef<OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("aws_") || text.starts_with("xdg_") || text.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", home)
        // The home on Windows, and its folder for caches.
        .env("USERPROFILE", home)
        .env("LOCALAPPDATA", home.join("AppData").join("Local"))
        .env("AWS_ENDPOINT_URL", sandbox.endpoint_url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", sandbox.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", sandbox.secret_access_key())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub async fn output(what: &str, command: &mut Command) -> Output {
    soon(what, command.output())
        .await
        .unwrap_or_else(|error| panic!("{what} does not start: {error}"))
}

/// What it printed, for a failure's message.
pub fn printed(output: &Output) -> String {
    format!(
        "{}\n--- standard output:\n{}\n--- standard error:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs it to its end, which must be a success, and returns its standard output.
pub async fn succeed(what: &str, command: &mut Command) -> Vec<u8> {
    let output = output(what, command).await;
    assert!(output.status.success(), "{what}: {}", printed(&output));
    output.stdout
}

/// A port for a program that is about to listen there. On Linux it is reserved: it stays bound by a
/// socket that does not listen, beside which servers may bind theirs (both with SO_REUSEADDR,
/// socket(7)).
pub fn free_port() -> SocketAddr {
    if !cfg!(target_os = "linux") {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        return listener.local_addr().expect("bound");
    }
    let socket = TcpSocket::new_v4().expect("a TCP socket");
    socket.set_reuseaddr(true).expect("a TCP socket");
    crate::hold(socket)
}

/// Waits until something accepts TCP connections there.
pub async fn accepts(what: &str, address: SocketAddr) {
    let mut tries = tokio::time::interval(Duration::from_millis(100));
    soon(what, async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tries.tick().await;
        }
    })
    .await;
}

/// Bytes that any text tool would change.
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut data);
    data
}
