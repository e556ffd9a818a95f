//! `BAD_INPUT.md`: its commands are run, its tests exist, its texts stand in the code. And the
//! answers of the API that are none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use e2e::peers::{command, example, output, printed};
use e2e::{TARGET, closed_port, echo, instance, open, sandbox, soon, tunnel};
use ssm_sandbox::{ApiFault, Sandbox};
use ssm_tunnel::{Error, ServiceError, Tunnel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One row: what is given, the text, the test.
#[derive(Debug)]
struct Row {
    given: String,
    /// In order; what lies between them varies.
    texts: Vec<String>,
    tests: Vec<String>,
}

/// The test that runs what stands in the first column.
const RUN: &str = "every_command_prints_its_text_and_exit_code";

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("BAD_INPUT.md")).expect("the page");
    let rows: Vec<_> = page
        .lines()
        .filter(|line| {
            line.starts_with('|') && !line.starts_with("|--") && !line.contains("| text |")
        })
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [given, text, tests] = cells[..] else {
                panic!("three columns: {line}");
            };
            Row {
                given: given.to_owned(),
                texts: code(text)
                    .iter()
                    .flat_map(|text| text.split('…'))
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect(),
                tests: code(tests).iter().map(|name| (*name).to_owned()).collect(),
            }
        })
        .collect();
    assert!(rows.len() > 40, "the table is read");
    rows
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(fs::read_to_string(path).expect("a source file"));
        }
    }
}

#[test]
fn every_row_names_an_existing_test_and_text() {
    let mut all = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        sources(&root().join(folder), &mut all);
    }
    for row in rows() {
        assert!(!row.tests.is_empty(), "no test: {row:?}");
        for test in &row.tests {
            let name = format!("fn {test}(");
            let found = all.iter().any(|text| {
                text.find(&name)
                    .is_some_and(|at| text[..at].contains("test"))
            });
            assert!(found, "there is no test {test}: {row:?}");
        }
        // The commands' texts are compared with what is printed.
        if row.tests.iter().any(|test| test == RUN) {
            continue;
        }
        for text in &row.texts {
            let written = text.replace('"', "\\\"");
            let found = all
                .iter()
                .any(|source| source.contains(text) || source.contains(&written));
            assert!(found, "nowhere in the code: {text:?} of {row:?}");
        }
    }
}

/// A command as in a shell: `unset A B; NAME=value program 'an argument'`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_its_text_and_exit_code() {
    let sandbox = sandbox(instance(echo().await)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let busy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let busy = busy.local_addr().expect("bound").port().to_string();
    let nobody = closed_port().to_string();
    fs::write(
        folder.path().join("broken.ini"),
        "[default\nregion = eu-west-1\n",
    )
    .expect("written");
    fs::write(folder.path().join("empty.pem"), "").expect("written");
    let mut programs = BTreeMap::new();
    for name in [
        "doctor",
        "mfa",
        "port_forward",
        "postgres",
        "rdp",
        "sandbox",
    ] {
        programs.insert(name, example(name).await);
    }
    let mut count = 0;
    for row in rows() {
        if !row.tests.iter().any(|test| test == RUN) {
            continue;
        }
        let [line] = code(&row.given)[..] else {
            panic!("one command: {row:?}")
        };
        let line = line.replace("$BUSY", &busy).replace("$NOBODY", &nobody);
        run(&sandbox, &programs, folder.path(), &line, &row).await;
        count += 1;
    }
    assert!(count > 20, "only {count} commands");
}

async fn run(
    sandbox: &Sandbox,
    programs: &BTreeMap<&str, PathBuf>,
    folder: &Path,
    line: &str,
    row: &Row,
) {
    let (unset, line) = match line
        .strip_prefix("unset ")
        .and_then(|rest| rest.split_once("; "))
    {
        Some((names, rest)) => (words(names), rest),
        None => (Vec::new(), line),
    };
    let words = words(line);
    let variables = words.iter().take_while(|word| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    });
    let count = variables.clone().count();
    let (program, arguments) = words[count..].split_first().expect("a program");
    let program = programs.get(program.as_str()).expect("one of the programs");
    let mut command = command(sandbox, program, folder);
    command.current_dir(folder).args(arguments);
    for name in unset {
        command.env_remove(name);
    }
    for variable in &words[..count] {
        let (name, value) = variable.split_once('=').expect("just seen");
        command.env(name, value);
    }
    let ended = output(line, &mut command).await;
    // The doctor's findings are its output.
    let said = printed(&ended);
    assert!(!ended.status.success(), "{line}: {said}");
    assert!(!said.contains("panicked"), "{line}: {said}");
    let mut rest = &*said;
    for text in &row.texts {
        let at = rest.find(text.as_str());
        let at = at.unwrap_or_else(|| panic!("{line}: {text:?} is not in {said}"));
        rest = &rest[at + text.len()..];
    }
}

/// An API that answers everything with the same bytes, and closes.
async fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(answer_one(tcp, answer.clone()));
        }
    });
    format!("http://{address}")
}

async fn answer_one(mut tcp: TcpStream, answer: String) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.is_some_and(|length| {
                length
                    .parse()
                    .is_ok_and(|length: usize| body.len() >= length)
            }) {
                break;
            }
        }
        match tcp.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&chunk[..count]),
        }
    }
    // The other side may have enough before it read everything.
    let _ = tcp.write_all(answer.as_bytes()).await;
    let _ = tcp.shutdown().await;
}

fn http(status: &str, content: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn json(status: &str, body: &str) -> String {
    http(status, "application/x-amz-json-1.1", body)
}

fn config(url: String) -> SdkConfig {
    let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build()
}

/// The error of a tunnel whose StartSession is answered like this.
async fn start_answered(answer: String) -> Error {
    let config = config(answering(answer).await);
    let builder = Tunnel::builder(TARGET).remote_port(22).sdk_config(&config);
    match soon("the answer", builder.open()).await {
        Err(error) => error,
        Ok(tunnel) => soon("the end", tunnel.closed())
            .await
            .expect_err("no session can come of it"),
    }
}

fn is_unreadable(error: &Error) -> bool {
    matches!(error, Error::Service(error) if matches!(**error, ServiceError::Unreadable { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_start_session_answer_is_rejected() {
    let url = "wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/s";
    for body in [
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        format!(r#"{{"SessionId":"s","StreamUrl":"{url}"}}"#),
        format!(r#"{{"SessionId":"s","StreamUrl":"{url}","TokenValue":""}}"#),
        format!(r#"{{"SessionId":"s","StreamUrl":"{url}","TokenValue":null}}"#),
        format!(r#"{{"SessionId":"","StreamUrl":"{url}","TokenValue":"MARKER"}}"#),
        format!(r#"{{"StreamUrl":"{url}","TokenValue":"MARKER"}}"#),
        r#"{"SessionId":"s","TokenValue":"MARKER"}"#.to_owned(),
        r#"{"SessionId":"s","TokenValue":"MARKER","StreamUrl":7}"#.to_owned(),
        r#"{"SessionId":"s","TokenValue":"MARKER","StreamUrl":"#.to_owned(),
    ] {
        let error = start_answered(json("200 OK", &body)).await;
        assert!(is_unreadable(&error), "{body}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("MARKER"),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("is not an answer of Systems Manager"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_answer_in_the_services_place_is_rejected() {
    let page = "<html><body>Sign in to the network</body></html>";
    for answer in [
        http("200 OK", "text/html", page),
        http("403 Forbidden", "text/html", page),
        http("407 Proxy Authentication Required", "text/html", page),
        http("502 Bad Gateway", "text/html", page),
        http("503 Service Unavailable", "text/plain", ""),
        json("200 OK", ""),
        json("400 Bad Request", "{}"),
        json("500 Internal Server Error", "{"),
        "220 smtp.example ESMTP\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_owned(),
        String::new(),
    ] {
        let error = start_answered(answer.clone()).await;
        let Error::Service(service) = &error else {
            panic!("{answer}: {error}")
        };
        let text = error.to_string();
        match **service {
            ServiceError::Unreadable { .. } => {
                assert!(text.contains("check the endpoint"), "{text}")
            }
            // Nothing that is HTTP, or half of it.
            ServiceError::Network { .. } if !answer.contains("connection: close") => {
                assert!(text.contains("check the network"), "{text}");
            }
            _ => panic!("{answer}: {text}"),
        }
        assert!(!text.contains("<html>"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_errors_keep_their_text_and_name_a_remedy() {
    for (code, expected) in [
        ("AccessDeniedException", "StartSession was denied: WORDS"),
        ("TargetNotConnected", "is not connected to Systems Manager"),
        (
            "InvalidDocument",
            "cannot be used: WORDS; check its name and the region",
        ),
        (
            "ValidationException",
            "StartSession does not take these parameters: WORDS",
        ),
        (
            "ExpiredTokenException",
            "the credentials have expired (StartSession): log in again",
        ),
        (
            "UnrecognizedClientException",
            "AWS does not accept the credentials (StartSession): WORDS",
        ),
        (
            "ThrottlingException",
            "StartSession was throttled: try again in a while",
        ),
        (
            "InternalServerError",
            "StartSession failed with InternalServerError: WORDS",
        ),
        (
            "SomethingNew",
            "StartSession failed with SomethingNew: WORDS",
        ),
    ] {
        let body = format!(r#"{{"__type":"com.amazonaws.ssm#{code}","message":"WORDS"}}"#);
        let error = start_answered(json("400 Bad Request", &body)).await;
        assert!(error.to_string().contains(expected), "{code}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_stream_url_is_never_connected_to() {
    for (url, expected) in [
        ("nonsense", "is not a websocket URL"),
        ("", "is not a websocket URL"),
        (
            "https://ssmmessages.us-east-1.amazonaws.com/x",
            "wss is required",
        ),
        (
            "ws://ssmmessages.us-east-1.amazonaws.com/x",
            "wss is required",
        ),
        (
            "wss://evil.example/x?token=MARKER",
            "is not a Session Manager endpoint",
        ),
    ] {
        let body = format!(r#"{{"SessionId":"s","StreamUrl":"{url}","TokenValue":"t"}}"#);
        let error = start_answered(json("200 OK", &body)).await;
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!error.to_string().contains("MARKER"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_resume_session_answer_is_retried() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    let stream = soon("connecting", tunnel.connect()).await.expect("opens");
    sandbox.fail_next("ResumeSession", ApiFault::MalformedBody);
    sandbox.fail_next("ResumeSession", ApiFault::DropAfterHandling);
    sandbox.cut_websockets();
    e2e::echoed(stream, 3, 5000).await;
    assert!(sandbox.request_count("ResumeSession") >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_terminate_session_still_closes_the_tunnel() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    sandbox.fail_next(
        "TerminateSession",
        ApiFault::Refuse {
            code: "AccessDeniedException".to_owned(),
            message: "no".to_owned(),
        },
    );
    soon("the end", tunnel.close())
        .await
        .expect("it closes all the same");
}
