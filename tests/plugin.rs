//! `session-manager-plugin` without the AWS CLI: what it does with the arguments, the profile and
//! the environment that a caller passes.
#![cfg(unix)]

use std::path::Path;

use aws_credential_types::Credentials;
use e2e::peers::{command, example, output, printed};
use e2e::running::Running;
use e2e::{TARGET, closed_port, config, config_with, echo, echoed, instance, no_sessions};
use serde_json::{Value, json};
use ssm_sandbox::{RequestOutcome, Role, Sandbox, User};
use tokio::net::TcpStream;
use tokio::process::Command;

const PORT: &str = "AWS-StartPortForwardingSession";
const SSH: &str = "AWS-StartSSHSession";
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";
const SHELLS: &str = "this session is a shell or a command, which ssm-tunnel's session-manager-plugin does not support yet: it forwards ports and carries ssh; use AWS's plugin for this session";
const ROLE: &str = "arn:aws:iam::123456789012:role/dev";

/// StartSession's answer, as the AWS CLI passes it.
struct Started {
    id: String,
    answer: Value,
}

async fn start(
    config: &aws_config::SdkConfig,
    document: &str,
    parameters: &[(&str, &str)],
) -> Started {
    let mut call = aws_sdk_ssm::Client::new(config)
        .start_session()
        .target(TARGET)
        .document_name(document);
    for (name, value) in parameters {
        call = call.parameters(*name, vec![(*value).to_owned()]);
    }
    let answer = call.send().await.expect("a session");
    let text = |value: Option<&str>| value.expect("answered").to_owned();
    let id = text(answer.session_id());
    Started {
        answer: json!({
            "SessionId": id,
            "TokenValue": text(answer.token_value()),
            "StreamUrl": text(answer.stream_url()),
        }),
        id,
    }
}

/// The plugin with these arguments, without the credentials and endpoint of the environment.
async fn plugin(sandbox: &Sandbox, home: &Path, arguments: &[&str]) -> Command {
    let program = example("session-manager-plugin").await;
    let mut command = command(sandbox, program, home);
    command
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .args(arguments);
    command
}

/// Writes `~/.aws/config` and `~/.aws/credentials`.
fn configure(home: &Path, config: &str, credentials: &str) {
    let folder = home.join(".aws");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("config"), config).expect("written");
    std::fs::write(folder.join("credentials"), credentials).expect("written");
}

fn keys(id: &str, secret: &str) -> String {
    format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
}

/// Starts the plugin, and waits until its port accepts connections.
async fn running(mut command: Command) -> (Running, u16) {
    let mut plugin = Running::start(&mut command);
    let line = plugin.line("Port ").await;
    let port = line.split(' ').nth(1).and_then(|port| port.parse().ok());
    plugin.line("Waiting for connections...").await;
    (plugin, port.unwrap_or_else(|| panic!("no port in {line}")))
}

/// Interrupts the plugin, which must end well.
async fn interrupt(plugin: Running) {
    plugin.signal("INT").await;
    let (_, status) = plugin.end().await;
    assert!(status.success(), "{status}");
}

/// The access keys that signed these calls, each of which must have succeeded.
fn callers(sandbox: &Sandbox, action: &str) -> Vec<String> {
    let calls = sandbox.requests().into_iter();
    calls
        .filter(|call| call.action == action)
        .map(|call| {
            assert_eq!(call.outcome, RequestOutcome::Answered, "{action}");
            call.access_key_id.expect("signed")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_profile_takes_precedence_over_environment_keys() {
    let sandbox = Sandbox::builder()
        .enforce_mfa(false)
        .user(User::new("taro"))
        .user(User::new("hana"))
        .instance(instance(echo().await))
        .start()
        .await
        .expect("starts");
    let taro = sandbox.access_key_of("taro").expect("a user");
    let hana = sandbox.access_key_of("hana").expect("a user");
    let home = tempfile::tempdir().expect("a folder");
    configure(
        home.path(),
        "[profile work]\nregion = us-east-1\n",
        &format!("[work]\n{}", keys(&taro.id, &taro.secret)),
    );
    let work = Credentials::new(&taro.id, &taro.secret, None, None, "test");
    let session = start(&config_with(&sandbox, work), PORT, &[("portNumber", "9")]).await;
    let request = json!({ "Target": TARGET, "DocumentName": PORT }).to_string();
    let answer = session.answer.to_string();
    let endpoint = sandbox.endpoint_url();
    let arguments = [
        &answer,
        "us-east-1",
        "StartSession",
        "work",
        &request,
        &endpoint,
    ];
    let mut command = plugin(&sandbox, home.path(), &arguments).await;
    command
        .env("AWS_ACCESS_KEY_ID", &hana.id)
        .env("AWS_SECRET_ACCESS_KEY", &hana.secret);
    let (running, port) = running(command).await;
    sandbox.cut_websockets();
    let tcp = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("accepts");
    echoed(tcp, 1, 10_000).await;
    interrupt(running).await;
    for action in ["ResumeSession", "TerminateSession"] {
        let callers = callers(&sandbox, action);
        assert!(!callers.is_empty(), "{action}");
        assert!(callers.iter().all(|key| *key == taro.id), "{action}");
    }
    no_sessions(&sandbox).await;
}

/// Callers other than the AWS CLI assume roles too, without using its cache.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_role_is_assumed_again_under_the_same_session_name() {
    let sandbox = Sandbox::builder()
        .enforce_mfa(false)
        .role(Role::new("dev").requires_mfa(false))
        .instance(instance(echo().await))
        .start()
        .await
        .expect("starts");
    let home = tempfile::tempdir().expect("a folder");
    let url = sandbox.endpoint_url();
    configure(
        home.path(),
        &format!(
            "[profile base]\n[profile dev]\nendpoint_url = {url}\nsource_profile = base\nrole_arn = {ROLE}\n"
        ),
        &format!(
            "[base]\n{}",
            keys(&sandbox.access_key_id(), &sandbox.secret_access_key())
        ),
    );
    let role = aws_sdk_sts::Client::new(&config(&sandbox))
        .assume_role()
        .role_arn(ROLE)
        .role_session_name("jo.doe@example.com")
        .send()
        .await
        .expect("assumed");
    let role = role.credentials().expect("answered");
    let token = Some(role.session_token().to_owned());
    let role = Credentials::new(
        role.access_key_id(),
        role.secret_access_key(),
        token,
        None,
        "test",
    );
    let session = start(&config_with(&sandbox, role), PORT, &[("portNumber", "9")]).await;
    let request = json!({ "Target": TARGET, "DocumentName": PORT }).to_string();
    let answer = session.answer.to_string();
    let arguments = [&answer, "us-east-1", "StartSession", "dev", &request, &url];
    let command = plugin(&sandbox, home.path(), &arguments).await;
    let (running, _) = running(command).await;
    interrupt(running).await;
    assert_eq!(callers(&sandbox, "TerminateSession").len(), 1);
    assert_eq!(
        callers(&sandbox, "AssumeRole").len(),
        2,
        "once here, once there"
    );
    no_sessions(&sandbox).await;
}

/// The session is started with one port, which the agent's handshake repeats; the caller's request
/// names another.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_caller_and_not_the_agent_chooses_the_listener() {
    let sandbox = e2e::sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let (agents, callers) = (closed_port().port(), e2e::peers::free_port().port());
    let text = agents.to_string();
    let url = sandbox.endpoint_url();
    configure(
        home.path(),
        "",
        &format!(
            "[default]\n{}",
            keys(&sandbox.access_key_id(), &sandbox.secret_access_key())
        ),
    );
    for asked in [Some(callers), None] {
        let handshake = [("portNumber", "9"), ("localPortNumber", text.as_str())];
        let session = start(&config(&sandbox), PORT, &handshake).await;
        let mut parameters = json!({ "portNumber": ["9"] });
        if let Some(port) = asked {
            parameters["localPortNumber"] = json!([port.to_string()]);
        }
        let request = json!({ "Target": TARGET, "DocumentName": PORT, "Parameters": parameters });
        // In the spelling of `aws ecs execute-command`, and in a variable of another name.
        let answer = session.answer.to_string();
        let answer = answer
            .replace("SessionId", "sessionId")
            .replace("TokenValue", "tokenValue")
            .replace("StreamUrl", "streamUrl");
        let request = request.to_string();
        let arguments = [
            "THE_SESSION",
            "us-east-1",
            "StartSession",
            "",
            &request,
            &url,
        ];
        let mut command = plugin(&sandbox, home.path(), &arguments).await;
        command.env("THE_SESSION", answer);
        let (running, port) = running(command).await;
        assert_ne!(port, agents);
        assert!(asked.is_none_or(|asked| port == asked), "{port}");
        let tcp = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("accepts");
        echoed(tcp, 1, 10_000).await;
        interrupt(running).await;
    }
    // A session of the other kind is refused: a connection on standard output, or a port.
    for (document, asked) in [(SSH, PORT), (PORT, SSH)] {
        let session = start(&config(&sandbox), document, &[("portNumber", "9")]).await;
        let request = json!({ "Target": TARGET, "DocumentName": asked }).to_string();
        let answer = session.answer.to_string();
        let arguments = [&answer, "us-east-1", "StartSession", "", &request, &url];
        let mut command = plugin(&sandbox, home.path(), &arguments).await;
        let ended = output("the plugin", &mut command).await;
        let text = String::from_utf8_lossy(&ended.stdout);
        let expected = format!(
            "Cannot perform start session: the agent offers another kind of session than {asked} asks for\n"
        );
        assert!(text.ends_with(&expected), "{}", printed(&ended));
        no_sessions(&sandbox).await;
    }
}

/// Checks the whole text after the first line, and the reference plugin's exit code.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn wrong_arguments_are_named_and_end_the_session() {
    let sandbox = e2e::sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let url = sandbox.endpoint_url();
    configure(
        home.path(),
        "",
        &format!(
            "[default]\n{}",
            keys(&sandbox.access_key_id(), &sandbox.secret_access_key())
        ),
    );
    let argument = "the request's parameters (argument 5) cannot be used: ";
    for (request, expected) in [
        (
            "{",
            format!("{argument}they are not a JSON object (line 1, column 1)"),
        ),
        (
            "[]",
            format!("{argument}they are not a JSON object (line 1, column 0)"),
        ),
        (
            r#"{"Parameters": {"localPortNumber": ["99999"]}}"#,
            format!(
                "{argument}localPortNumber \"99999\" is not a port: give 0 to 65535, 0 for a free one"
            ),
        ),
        (
            r#"{"Parameters": {"localPortNumber": {}}}"#,
            format!("{argument}localPortNumber is an object: one text is expected"),
        ),
        (
            r#"{"DocumentName": "SSM-SessionManagerRunShell"}"#,
            SHELLS.to_owned(),
        ),
        (
            r#"{"DocumentName": "AWS-StartInteractiveCommand"}"#,
            SHELLS.to_owned(),
        ),
    ] {
        let session = start(&config(&sandbox), PORT, &[("portNumber", "9")]).await;
        let arguments = [RESPONSE, "us-east-1", "StartSession", "", request, &url];
        let mut command = plugin(&sandbox, home.path(), &arguments).await;
        command.env(RESPONSE, session.answer.to_string());
        let ended = output("the plugin", &mut command).await;
        let id = &session.id;
        assert_eq!(
            String::from_utf8_lossy(&ended.stdout),
            format!(
                "\nStarting session with SessionId: {id}\nCannot perform start session: {expected}\n"
            ),
        );
        assert!(
            ended.status.success() && ended.stderr.is_empty(),
            "{}",
            printed(&ended)
        );
        no_sessions(&sandbox).await;
    }
    // An unknown profile never falls back to other credentials.
    let session = start(&config(&sandbox), PORT, &[("portNumber", "9")]).await;
    let answer = session.answer.to_string();
    let arguments = [&answer, "us-east-1", "StartSession", "eu-west-1", "", &url];
    let mut command = plugin(&sandbox, home.path(), &arguments).await;
    let ended = output("the plugin", &mut command).await;
    let text = String::from_utf8_lossy(&ended.stdout);
    let named = "Cannot perform start session: profile eu-west-1: there is no such profile";
    assert!(text.contains(named), "{}", printed(&ended));
}

/// As from `aws ssm start-session` without a document, `aws ecs execute-command`, and a custom
/// document: the agent's handshake shows what it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_shell_session_is_named_and_ended() {
    let sandbox = e2e::sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let url = sandbox.endpoint_url();
    configure(
        home.path(),
        "",
        &format!(
            "[default]\n{}",
            keys(&sandbox.access_key_id(), &sandbox.secret_access_key())
        ),
    );
    for request in [
        json!({ "Target": TARGET }),
        json!({ "Target": "ecs:cluster_task_runtime" }),
        json!({ "Target": TARGET, "DocumentName": "Team-Shell" }),
    ] {
        let session = start(&config(&sandbox), "SSM-SessionManagerRunShell", &[]).await;
        let (answer, request) = (session.answer.to_string(), request.to_string());
        let arguments = [&answer, "us-east-1", "StartSession", "", &request, &url];
        let mut command = plugin(&sandbox, home.path(), &arguments).await;
        let ended = output("the plugin", &mut command).await;
        let text = String::from_utf8_lossy(&ended.stdout);
        let id = &session.id;
        assert_eq!(
            text,
            format!(
                "\nStarting session with SessionId: {id}\nCannot perform start session: {SHELLS}\n"
            )
        );
        assert!(ended.status.success(), "{}", printed(&ended));
        no_sessions(&sandbox).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_first_request_is_unsigned_when_the_environment_asks() {
    let sandbox = e2e::sandbox(instance(echo().await)).await;
    let home = tempfile::tempdir().expect("a folder");
    let session = start(&config(&sandbox), PORT, &[("portNumber", "9")]).await;
    let (answer, url) = (session.answer.to_string(), sandbox.endpoint_url());
    let arguments = [&answer, "us-east-1", "StartSession", "", "", &url];
    for (value, expected) in [("true", "HTTP 403"), ("false", "no credentials")] {
        let mut command = plugin(&sandbox, home.path(), &arguments).await;
        command.env("SSM_PLUGIN_SKIP_CLIENT_CONFIGURE", value);
        let ended = output("the plugin", &mut command).await;
        // The sandbox requires a signature, as the service does.
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(text.contains(expected), "{value}: {}", printed(&ended));
    }
}
