//! The sandbox's control over HTTP, and its limits.

mod support;

use serde_json::{Value, json};
use ssm_protocol::wire::MessageType;
use ssm_sandbox::{Instance, ResumeUrl, Sandbox};
use support::{
    Channel, Received, Started, TARGET, control, http, sandbox, soon, ssm, start, started,
};

const PORT: Option<&str> = Some("AWS-StartPortForwardingSession");

async fn resume(sandbox: &Sandbox, session: &Started) -> Value {
    let request = json!({ "SessionId": session.id });
    let (status, answer) = ssm(sandbox, "ResumeSession", request).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn every_path_is_listed_and_refuses_what_it_does_not_know() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let (status, list) = control(&sandbox, "GET", "/sandbox/").await;
    assert_eq!(status, 200);
    for name in [
        "code",
        "requests",
        "sessions",
        "fault",
        "resume-url",
        "expire",
        "advance",
        "instance",
        "cut",
        "close",
        "silence",
        "speak",
        "break-agent",
        "forget",
        "terminate",
    ] {
        assert!(
            list.contains(&format!(" /sandbox/{name}")),
            "{name} in {list}"
        );
        let path = format!("/sandbox/{name}?colour=red");
        let method = match ["code", "requests", "sessions"].contains(&name) {
            true => "GET",
            false => "POST",
        };
        let (status, text) = control(&sandbox, method, &path).await;
        assert_eq!(status, 400, "{name}: {text}");
        assert!(
            text.contains("colour") || text.contains("no parameters"),
            "{text}"
        );
        let other = if method == "GET" { "POST" } else { "GET" };
        let (status, _) = control(&sandbox, other, &format!("/sandbox/{name}")).await;
        assert_eq!(status, 405, "{name}");
    }
    let (status, text) = control(&sandbox, "GET", "/sandbox/colour").await;
    assert_eq!(status, 404);
    assert!(text.contains("/sandbox/requests"), "{text}");
}

#[tokio::test]
async fn unknown_fault_actions_and_kinds_get_the_list_of_known_ones() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    for (query, known) in [
        (
            "action=StartSessions&kind=throttle",
            "StartSession, ResumeSession",
        ),
        ("kind=throttle", "StartSession, ResumeSession"),
        ("action=&kind=throttle", "StartSession, ResumeSession"),
        ("action=StartSession&kind=sulk", "throttle"),
        ("action=StartSession&kind=date-ahead&seconds=-1", "number"),
        (
            "action=StartSession&kind=date-ahead&seconds=18446744073709551615",
            "number",
        ),
    ] {
        let (status, text) = control(&sandbox, "POST", &format!("/sandbox/fault?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(text.contains(known), "{query}: {text}");
    }
    // Every action that is listed is answered, not unknown.
    let (_, text) = control(&sandbox, "POST", "/sandbox/fault").await;
    for action in [
        "DescribeSessions",
        "DescribeInstances",
        "AssumeRole",
        "ListMFADevices",
    ] {
        assert!(text.contains(action), "{text}");
    }
    let refuse =
        "/sandbox/fault?action=DescribeSessions&kind=refuse&code=InternalServerError&message=later";
    assert_eq!(control(&sandbox, "POST", refuse).await.0, 200);
    let request = json!({ "State": "Active" });
    let (status, answer) = ssm(&sandbox, "DescribeSessions", request.clone()).await;
    assert_eq!(
        (status, &answer["__type"]),
        (400, &"InternalServerError".into())
    );
    assert_eq!(ssm(&sandbox, "DescribeSessions", request).await.0, 200);
}

#[tokio::test]
async fn one_session_is_cut_closed_and_terminated_by_its_id() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let (one, other) = (
        start(&sandbox, PORT, json!({})).await,
        start(&sandbox, PORT, json!({})).await,
    );
    let open = async |url: &str, token: &str| {
        let mut channel = Channel::open(&sandbox, url, token).await.expect("opens");
        // The gateway says so once it relays.
        channel.next_of(&[MessageType::StartPublication]).await;
        channel
    };
    let mut left = open(&other.url, &other.token).await;
    let mut token = one.token.clone();
    for path in ["cut", "close"] {
        let mut channel = open(&one.url, &token).await;
        let path = format!("/sandbox/{path}?session={}", one.id);
        assert_eq!(control(&sandbox, "POST", &path).await.0, 200);
        let closed = [MessageType::ChannelClosed];
        assert!(
            channel.next_of(&closed).await.is_none(),
            "{path}: the session goes on"
        );
        token = started(&resume(&sandbox, &one).await).token;
    }
    let mut channel = open(&one.url, &token).await;
    let path = format!("/sandbox/terminate?session={}", one.id);
    assert_eq!(control(&sandbox, "POST", &path).await.0, 200);
    loop {
        if let Received::Closed(text) = channel.next().await {
            assert_eq!(text, "");
            break;
        }
    }
    let (status, text) = control(&sandbox, "POST", &path).await;
    assert_eq!((status, text.contains("has ended")), (400, true), "{text}");
    let (status, _) = control(&sandbox, "POST", "/sandbox/cut?session=nobody-0").await;
    assert_eq!(status, 400);

    let (_, lines) = control(&sandbox, "GET", "/sandbox/sessions").await;
    let states: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["Status"].clone())
        .collect();
    assert_eq!(states, ["Terminated", "Connected"]);
    assert_eq!(control(&sandbox, "POST", "/sandbox/terminate").await.0, 200);
    while !matches!(left.next().await, Received::Closed(_)) {}
}

#[tokio::test]
async fn resumed_sessions_get_a_new_cell_no_url_or_an_empty_one() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let session = start(&sandbox, PORT, json!({})).await;
    let kind = async |kind: ResumeUrl| {
        let path = format!("/sandbox/resume-url?kind={}", kind.name());
        assert_eq!(control(&sandbox, "POST", &path).await.0, 200);
        resume(&sandbox, &session).await
    };
    assert_eq!(
        kind(ResumeUrl::Same).await["StreamUrl"],
        session.url.as_str()
    );
    assert_eq!(kind(ResumeUrl::Empty).await["StreamUrl"], "");
    let absent = kind(ResumeUrl::Absent).await;
    assert_eq!(absent.get("StreamUrl"), None);
    let token = started(&absent).token;
    assert!(Channel::open(&sandbox, &session.url, &token).await.is_ok());

    let moved = started(&kind(ResumeUrl::NewCell).await);
    assert!(
        moved
            .url
            .starts_with(&format!("{}&cell-number=", session.url)),
        "{}",
        moved.url
    );
    let refused = Channel::open(&sandbox, &session.url, &moved.token).await;
    assert_eq!(refused.err(), Some(403), "the old URL leads nowhere");
    let opened = Channel::open(&sandbox, &moved.url, &moved.token).await;
    let mut channel = opened.expect("the new one is good");
    let relays = channel.next_of(&[MessageType::StartPublication]).await;
    assert!(relays.is_some(), "the new one is good");
    let again = started(&kind(ResumeUrl::NewCell).await);
    assert_ne!(again.url, moved.url);

    let (status, text) = control(&sandbox, "POST", "/sandbox/resume-url?kind=none").await;
    assert_eq!(status, 400);
    assert!(text.contains("same, new-cell, empty, absent"), "{text}");
}

#[tokio::test]
async fn the_agent_refuses_names_that_resolve_to_denied_addresses() {
    let metadata = "169.254.169.254".parse().expect("an address");
    let instance = Instance::new(TARGET).resolves("innocent.example", metadata);
    let sandbox = sandbox(instance).await;
    for host in [
        "innocent.example",
        "Innocent.Example.",
        "localhost",
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "[::1]",
        "0.0.0.0",
        "2130706433",
        "169.254.170.2",
        "fd00:ec2::23",
        "10.0.0.2",
    ] {
        let document = Some("AWS-StartPortForwardingSessionToRemoteHost");
        let session = start(
            &sandbox,
            document,
            json!({ "host": [host], "portNumber": ["80"] }),
        )
        .await;
        let opened = Channel::open(&sandbox, &session.url, &session.token).await;
        let mut channel = opened.expect("opens");
        channel.next().await;
        let response = br#"{"ClientVersion":"1.2.764.0","ProcessedClientActions":[],"Errors":[]}"#;
        let kind = ssm_protocol::wire::PayloadType::HandshakeResponse;
        channel.send(kind, response.to_vec()).await;
        let end = loop {
            if let Received::Closed(text) = channel.next().await {
                break text;
            }
        };
        assert_eq!(
            end,
            format!("Forwarding to IP address {host} is forbidden.")
        );
    }
}

#[tokio::test]
async fn web_pages_cannot_steer_the_sandbox() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example:80"),
    ] {
        let header = [(name.to_owned(), value.to_owned())];
        let (status, text) = http(&sandbox, "POST", "/sandbox/expire", &header, b"").await;
        assert_eq!(status, 403, "{name}: {value}: {text}");
    }
    for host in ["localhost:1", "[::1]:80", "127.0.0.1"] {
        let header = [("host".to_owned(), host.to_owned())];
        let (status, _) = http(&sandbox, "POST", "/sandbox/expire", &header, b"").await;
        assert_eq!(status, 200, "{host}");
    }
}

#[tokio::test]
async fn hostile_requests_are_refused_and_little_of_them_is_kept() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let (status, _) = http(&sandbox, "POST", "/", &[], &vec![b'a'; (1 << 20) + 1]).await;
    assert_eq!(status, 413);
    let target = (
        "x-amz-target".to_owned(),
        format!("AmazonSSM.{}", "x".repeat(40_000)),
    );
    let (status, _) = http(&sandbox, "POST", "/", &[target], b"{}").await;
    assert_eq!(status, 400);
    let deep = "[".repeat(500_000);
    let target = (
        "x-amz-target".to_owned(),
        "AmazonSSM.StartSession".to_owned(),
    );
    let (status, _) = http(&sandbox, "POST", "/", &[target], deep.as_bytes()).await;
    assert_eq!(status, 400);
    let long = format!(
        "Version=2016-11-15&Action={0}&InstanceId={0}",
        "y".repeat(500_000)
    );
    let (status, _) = http(&sandbox, "POST", "/", &[], long.as_bytes()).await;
    assert_eq!(status, 403);
    for request in sandbox.requests() {
        assert!(request.action.len() <= 512, "{}", request.action.len());
        assert!(request.parameters.values().all(|value| value.len() <= 512));
    }
    // Connections that send nothing are in no other client's way.
    let address = sandbox.endpoint_url().replace("http://", "");
    let mut idle = Vec::new();
    for _ in 0..100 {
        let tcp = soon("a connection", tokio::net::TcpStream::connect(&address)).await;
        idle.push(tcp.expect("accepted"));
    }
    assert_eq!(control(&sandbox, "GET", "/sandbox/").await.0, 200);
}
