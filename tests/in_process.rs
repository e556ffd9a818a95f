//! The programs without a local port, with real servers: PostgreSQL (Debian: postgresql) and an
//! HTTP server (python3).
#![cfg(unix)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::peers::{
    accepts, command, example, free_port, installed, output, printed, random_bytes, succeed,
};
use e2e::{TARGET, no_sessions, sandbox};
use ssm_sandbox::{Instance, Sandbox};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const POSTGRESQL: &str = "apt-get install postgresql";
const HOST: &str = "db.internal";

/// A database with TLS and a password, run by an unprivileged user, as PostgreSQL requires.
struct Postgres {
    folder: TempDir,
    address: SocketAddr,
    _server: Child,
}

/// The command as a user that PostgreSQL accepts: its package's own if this is root.
fn unprivileged(program: PathBuf, root: bool) -> Command {
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new(installed("runuser", "apt-get install util-linux"));
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

async fn id(arguments: &[&str]) -> u32 {
    let mut command = Command::new("id");
    let text = succeed("id", command.args(arguments)).await;
    String::from_utf8_lossy(&text)
        .trim()
        .parse()
        .expect("a number")
}

impl Postgres {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = id(&["-u"]).await == 0;
        let at = |name: &str| folder.path().join(name);
        let run = async |what: &str, command: &mut Command| {
            succeed(what, command.current_dir("/").env("LC_ALL", "C")).await
        };

        let mut openssl = Command::new(installed("openssl", "apt-get install openssl"));
        openssl
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=test",
                "-addext",
                &format!("subjectAltName=DNS:{HOST}"),
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(at("server.key"))
            .arg("-out")
            .arg(at("server.crt"));
        run("openssl", &mut openssl).await;
        std::fs::write(at("password"), "a password\n").expect("written");
        if root {
            let (user, group) = (id(&["-u", "postgres"]).await, id(&["-g", "postgres"]).await);
            for path in [folder.path().to_owned(), at("server.key"), at("password")] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may");
            }
        }
        let mut initdb = unprivileged(installed("initdb", POSTGRESQL), root);
        initdb
            .args([
                "--auth=scram-sha-256",
                "--username=app",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .arg("--pwfile")
            .arg(at("password"))
            .arg(at("data"));
        run("initdb", &mut initdb).await;

        let address = free_port();
        let mut server = unprivileged(installed("postgres", POSTGRESQL), root);
        server.arg("-D").arg(at("data"));
        for setting in [
            format!("listen_addresses={}", address.ip()),
            format!("port={}", address.port()),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", at("server.crt").display()),
            format!("ssl_key_file={}", at("server.key").display()),
        ] {
            server.args(["-c", &setting]);
        }
        let server = server
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(at("log")).expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("postgres starts");
        accepts("postgres", address).await;
        Self {
            folder,
            address,
            _server: server,
        }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }
}

impl Drop for Postgres {
    /// `runuser` does not forward the kill, and the server must not outlive the test.
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid"));
        if let Some(pid) = pid.unwrap_or_default().lines().next() {
            let _ = std::process::Command::new("kill")
                .args(["-QUIT", pid])
                .status();
        }
    }
}

async fn behind(address: SocketAddr) -> Sandbox {
    sandbox(Instance::new(TARGET).host(HOST, address).paced(false)).await
}

async fn postgres(sandbox: &Sandbox, home: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = command(sandbox, example("postgres").await, home);
    command.args(["--target", TARGET]).args(arguments);
    output("postgres", command.env("PGPASSWORD", "a password")).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; .ci/run installs it"]
async fn a_query_to_a_private_database_needs_no_local_port() {
    let database = Postgres::start().await;
    let sandbox = behind(database.address).await;
    let home = tempfile::tempdir().expect("a folder");
    let root = database.certificate().display().to_string();
    let url = format!("postgres://app@{HOST}/postgres?sslmode=require");

    // One answer larger than a window, through TLS.
    let sql = "select repeat('x', 1000), ssl from generate_series(1, 3000), pg_stat_ssl where pid = pg_backend_pid()";
    let answer = postgres(&sandbox, home.path(), &["--sslrootcert", &root, &url, sql]).await;
    assert!(answer.status.success(), "{}", printed(&answer));
    let line = format!("{}\tt\n", "x".repeat(1000));
    assert!(
        answer.stdout == line.repeat(3000).as_bytes(),
        "the rows differ"
    );

    let json = [
        "--output",
        "json",
        "--sslrootcert",
        &root,
        &url,
        "select 1 as one, null as two",
    ];
    let answer = postgres(&sandbox, home.path(), &json).await;
    assert!(answer.status.success(), "{}", printed(&answer));
    let row: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("one object");
    let expected = serde_json::json!({ "event": "row", "columns": { "one": "1", "two": null } });
    assert_eq!(row, expected);
    let events = String::from_utf8_lossy(&answer.stderr);
    assert!(events.contains(r#""event":"ready""#), "{events}");
    assert!(!events.contains(r#""event":"listening""#), "{events}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; .ci/run installs it"]
async fn a_wrong_certificate_and_database_errors_are_reported() {
    let database = Postgres::start().await;
    let sandbox = behind(database.address).await;
    let home = tempfile::tempdir().expect("a folder");
    let url = format!("postgres://app@{HOST}/postgres?sslmode=require");
    let answer = postgres(&sandbox, home.path(), &[&url, "select 1"]).await;
    assert_eq!(answer.status.code(), Some(1), "{}", printed(&answer));
    let text = String::from_utf8_lossy(&answer.stderr);
    assert!(text.contains("certificate"), "{text}");

    let root = database.certificate().display().to_string();
    let answer = postgres(
        &sandbox,
        home.path(),
        &["--sslrootcert", &root, &url, "selekt 1"],
    )
    .await;
    assert_eq!(answer.status.code(), Some(1), "{}", printed(&answer));
    let text = String::from_utf8_lossy(&answer.stderr);
    assert!(text.contains("syntax error"), "{text}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 for its HTTP server; .ci/run installs it"]
async fn a_private_web_page_is_fetched_over_hyper() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = random_bytes(2, 1_000_000);
    std::fs::write(folder.path().join("page"), &page).expect("written");
    let address = free_port();
    let _server = Command::new(installed("python3", "apt-get install python3"))
        .args(["-m", "http.server", "--bind", &address.ip().to_string()])
        .arg("--directory")
        .arg(folder.path())
        .arg(address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 starts");
    accepts("the HTTP server", address).await;
    let sandbox = behind(address).await;
    let get = async |path: &str| {
        let mut command = command(&sandbox, example("http").await, folder.path());
        let url = format!("http://{HOST}/{path}");
        output("http", command.args(["--target", TARGET, &url])).await
    };
    let answer = get("page").await;
    assert!(answer.status.success(), "{}", printed(&answer));
    assert!(answer.stdout == page, "the page differs");
    let missing = get("missing").await;
    assert_eq!(missing.status.code(), Some(1), "{}", printed(&missing));
    let text = String::from_utf8_lossy(&missing.stderr);
    assert!(text.contains("404"), "{text}");
    no_sessions(&sandbox).await;
}
