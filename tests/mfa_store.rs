//! Sessions shared by programs: stored, locked, replaced when they cannot be trusted.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use e2e::{config, soon};
use ssm_mfa::{
    BoxFuture, Challenge, CodeError, FileStore, MfaCode, MfaCodeSource, MfaProvider,
    MfaProviderBuilder, SessionInfo, SessionKind, SessionSource,
};
use ssm_sandbox::{Role, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The variable by which `another_program` knows that it was started by a test.
const DESK: &str = "SSM_MFA_TEST_DESK";

async fn sandbox() -> Arc<Sandbox> {
    let builder = Sandbox::builder().role(Role::new("dev"));
    Arc::new(builder.start().await.expect("starts"))
}

/// A program that reads the device at each prompt, and the number of prompts.
fn program(sandbox: &Arc<Sandbox>, place: &Path) -> (MfaProvider, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, device) = (asked.clone(), sandbox.clone());
    // Takes codes of several time steps within seconds: these tests are not about clocks.
    let provider = MfaProvider::builder()
        .sts_config(&config(sandbox))
        .serial(sandbox.mfa_serial().parse().expect("a serial"))
        .code_source(ssm_mfa::from_fn(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let code = device.next_unused_code().parse::<MfaCode>();
            async move { Ok(code?) }
        }))
        .store(FileStore::at(place))
        .build()
        .expect("complete");
    (provider, asked)
}

async fn logged_in(provider: &MfaProvider) -> SessionInfo {
    soon("the login", provider.login()).await.expect("logs in")
}

async fn peeked(provider: &MfaProvider) -> Option<SessionInfo> {
    soon("a look", provider.peek())
        .await
        .expect("there are keys")
}

/// The stored sessions, without the record of used codes beside them.
fn sessions(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).expect("made").flatten();
    let paths = entries.map(|entry| entry.path());
    let is_session = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        path.extension().is_some_and(|it| it == "json") && text.contains("SessionToken")
    };
    paths.filter(is_session).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_program_reuses_the_session() {
    let sandbox = sandbox().await;
    let place = tempfile::tempdir().expect("a place");
    let fresh = logged_in(&program(&sandbox, place.path()).0).await;
    assert_eq!(fresh.source, SessionSource::Fresh);
    let (second, asked) = program(&sandbox, place.path());
    let peeked_at = peeked(&second).await;
    let kept = logged_in(&second).await;
    assert_eq!(peeked_at.as_ref(), Some(&kept));
    assert_eq!(kept.source, SessionSource::Cache);
    assert_eq!(kept.access_key_id, fresh.access_key_id);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);

    // A renewal or a logout by one program holds for the others.
    let renewed = soon("the renewal", second.renew()).await.expect("logs in");
    assert_ne!(renewed.access_key_id, fresh.access_key_id);
    let (third, asked) = program(&sandbox, place.path());
    assert_eq!(logged_in(&third).await.access_key_id, renewed.access_key_id);
    soon("the logout", third.logout()).await.expect("removed");
    assert_eq!(sessions(place.path()), Vec::<PathBuf>::new());
    assert_eq!(peeked(&third).await, None);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_exposed_entries_are_replaced() {
    for number in 0..6 {
        let sandbox = sandbox().await;
        let place = tempfile::tempdir().expect("a place");
        logged_in(&program(&sandbox, place.path()).0).await;
        let found = sessions(place.path());
        let path = found.first().expect("one session");
        let whole = fs::read_to_string(path).expect("text");
        match number {
            0 => fs::write(path, "").expect("ours"),
            1 => fs::write(path, "{}").expect("ours"),
            2 => fs::write(path, "not JSON").expect("ours"),
            3 => fs::write(path, &whole[..whole.len() - 1]).expect("ours"),
            // Another kind of session than the file's name says.
            4 => fs::write(path, whole.replace("\"Mfa\"", "\"Role\"")).expect("ours"),
            _ => expose(path),
        }
        let again = logged_in(&program(&sandbox, place.path()).0).await;
        assert_eq!(again.source, SessionSource::Fresh, "{number}");
        let (next, asked) = program(&sandbox, place.path());
        assert_eq!(
            logged_in(&next).await.source,
            SessionSource::Cache,
            "{number}"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        assert_eq!(sandbox.request_count("GetSessionToken"), 2, "{number}");
    }
}

#[cfg(unix)]
fn expose(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("ours");
}

/// On Windows the directory's permissions apply; the file is damaged instead.
#[cfg(not(unix))]
fn expose(path: &Path) {
    fs::write(path, "").expect("ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_store_costs_only_a_prompt() {
    let sandbox = sandbox().await;
    let place = tempfile::tempdir().expect("a place");
    let file = place.path().join("file");
    fs::write(&file, "").expect("written");
    let (provider, asked) = program(&sandbox, &file.join("below"));
    assert_eq!(logged_in(&provider).await.kind, SessionKind::Mfa);
    logged_in(&provider).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Another user's keys with the same device name must not lead to this user's session.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_stored_per_access_key() {
    let (ours, theirs) = (sandbox().await, sandbox().await);
    let place = tempfile::tempdir().expect("a place");
    assert_eq!(ours.mfa_serial(), theirs.mfa_serial());
    logged_in(&program(&ours, place.path()).0).await;
    let (other, asked) = program(&theirs, place.path());
    assert_eq!(peeked(&other).await, None);
    logged_in(&other).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// A person whom programs reach over TCP: `ask` asks for a code, `notice TEXT` shows a text.
struct Desk(String);

impl MfaCodeSource for Desk {
    fn code<'a>(&'a self, _: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        Box::pin(async move {
            let failed = |error: std::io::Error| CodeError::Other(error.to_string());
            let mut tcp = TcpStream::connect(&self.0).await.map_err(failed)?;
            tcp.write_all(b"ask\n").await.map_err(failed)?;
            let mut line = String::new();
            let read = BufReader::new(tcp).read_line(&mut line).await;
            read.map_err(failed)?;
            Ok(line.parse()?)
        })
    }

    fn notice(&self, text: &str) {
        let mut tcp = std::net::TcpStream::connect(&self.0).expect("the desk is there");
        let line = format!("notice {text}\n");
        tcp.write_all(line.as_bytes()).expect("the desk listens");
    }
}

/// Not a test by itself: the tests below start it as another program.
#[tokio::test]
async fn another_program() {
    let Ok(desk) = std::env::var(DESK) else {
        return;
    };
    let variable = |name: &str| std::env::var(name).expect(name);
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(variable("ENDPOINT"))
        .build();
    let builder = match std::env::var("PROFILE") {
        Ok(name) => MfaProviderBuilder::from_profile(Some(&name), &config)
            .await
            .expect("a profile"),
        Err(_) => {
            let (id, secret) = (variable("KEY"), variable("SECRET"));
            MfaProvider::builder()
                .sts_config(&config)
                .source_credentials(Credentials::new(id, secret, None, None, "test"))
                .serial(variable("SERIAL").parse().expect("a serial"))
        }
    };
    let builder = match std::env::var("HOURS") {
        Ok(hours) => {
            let hours: u64 = hours.parse().expect("a number");
            builder.session_duration(std::time::Duration::from_secs(hours * 3600))
        }
        Err(_) => builder,
    };
    let builder = builder.code_source(Desk(desk));
    let provider = builder.store(FileStore::at(variable("PLACE")));
    logged_in(&provider.build().expect("complete")).await;
}

/// Another program, with the keys and the device in its environment.
fn command(sandbox: &Sandbox, place: &Path, desk: &TcpListener) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test program"));
    command
        .args(["--exact", "another_program"])
        .env(DESK, desk.local_addr().expect("bound").to_string())
        .env("KEY", sandbox.access_key_id())
        .env("SECRET", sandbox.secret_access_key())
        .env("ENDPOINT", sandbox.endpoint_url())
        .env("SERIAL", sandbox.mfa_serial())
        .env("PLACE", place)
        .stdout(Stdio::null());
    command
}

/// What a program says to the person, and the connection on which it awaits an answer.
async fn heard(desk: &TcpListener) -> (String, TcpStream) {
    let accepted = soon("word from a program", desk.accept()).await;
    let mut reader = BufReader::new(accepted.expect("accepts").0);
    let mut line = String::new();
    let read = soon("a line", reader.read_line(&mut line)).await;
    read.expect("text");
    (line.trim().to_owned(), reader.into_inner())
}

async fn answer(sandbox: &Sandbox, mut asking: TcpStream) {
    let code = format!("{}\n", sandbox.next_unused_code());
    asking.write_all(code.as_bytes()).await.expect("it waits");
}

async fn finished(mut child: Child) -> bool {
    let waiting = tokio::task::spawn_blocking(move || child.wait());
    let status = soon("a program's end", waiting).await.expect("no panic");
    status.expect("waited for").success()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_simultaneous_programs_prompt_once() {
    let sandbox = sandbox().await;
    let place = tempfile::tempdir().expect("a place");
    let desk = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let start = || {
        command(&sandbox, place.path(), &desk)
            .spawn()
            .expect("starts")
    };
    let first = start();
    let (word, asking) = heard(&desk).await;
    assert_eq!(word, "ask");
    let second = start();
    let (word, _) = heard(&desk).await;
    assert!(word.starts_with("notice "), "{word}");
    assert!(word.contains(&format!("(pid {})", first.id())), "{word}");
    answer(&sandbox, asking).await;
    assert!(finished(first).await, "the first logs in");
    assert!(finished(second).await, "the second has the first's session");
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_at_its_prompt_blocks_no_other() {
    let sandbox = sandbox().await;
    let place = tempfile::tempdir().expect("a place");
    let desk = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let start = || {
        command(&sandbox, place.path(), &desk)
            .spawn()
            .expect("starts")
    };
    let mut first = start();
    let (word, _unanswered) = heard(&desk).await;
    assert_eq!(word, "ask");
    let second = start();
    let (word, _) = heard(&desk).await;
    assert!(word.starts_with("notice "), "{word}");
    first.kill().expect("it runs");
    first.wait().expect("it is over");
    let (word, asking) = heard(&desk).await;
    assert_eq!(word, "ask", "the second asks now");
    answer(&sandbox, asking).await;
    assert!(finished(second).await, "it logs in");
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
}

/// Sessions of different durations are stored separately, so each needs a code.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_sent_by_one_program_is_sent_by_no_other() {
    let sandbox = sandbox().await;
    let place = tempfile::tempdir().expect("a place");
    let desk = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let log_in = async |hours: &str, code: &str| {
        let mut command = command(&sandbox, place.path(), &desk);
        let child = command.env("HOURS", hours).spawn().expect("starts");
        let (word, mut asking) = heard(&desk).await;
        assert_eq!(word, "ask");
        let line = format!("{code}\n");
        asking.write_all(line.as_bytes()).await.expect("it waits");
        finished(child).await
    };
    let first = sandbox.next_unused_code();
    assert!(log_in("1", &first).await, "the first logs in");
    assert!(!log_in("2", &first).await, "the code was used");
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
    let second = sandbox.next_unused_code();
    assert!(log_in("2", &second).await, "another code is good");
    assert_eq!(sandbox.request_count("GetSessionToken"), 2);
    assert_eq!(sandbox.repeated_codes(), 0);
    // The record of used codes does not hold the codes.
    for entry in fs::read_dir(place.path()).expect("made").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        assert!(!e2e::tells(&text, &first), "{text}");
    }
}

/// The configuration holds the keys, the role and the device.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_all_that_a_program_needs() {
    let sandbox = sandbox().await;
    let place = tempfile::tempdir().expect("a place");
    let desk = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let configuration = place.path().join("config");
    let text = format!(
        "[profile keys]\naws_access_key_id = {}\naws_secret_access_key = {}\n\
         [profile dev]\nrole_arn = arn:aws:iam::123456789012:role/dev\nsource_profile = keys\n\
         mfa_serial = {}\n",
        sandbox.access_key_id(),
        sandbox.secret_access_key(),
        sandbox.mfa_serial()
    );
    fs::write(&configuration, text).expect("written");
    let start = || {
        command(&sandbox, &place.path().join("store"), &desk)
            .env("AWS_CONFIG_FILE", &configuration)
            .env("AWS_SHARED_CREDENTIALS_FILE", place.path().join("none"))
            .env("PROFILE", "dev")
            .spawn()
            .expect("starts")
    };
    let first = start();
    let (word, asking) = heard(&desk).await;
    assert_eq!(word, "ask");
    answer(&sandbox, asking).await;
    assert!(finished(first).await, "it logs in");
    assert!(finished(start()).await, "the next is not asked");
    let calls = ["GetSessionToken", "AssumeRole"].map(|action| sandbox.request_count(action));
    assert_eq!(calls, [1, 1]);
}
