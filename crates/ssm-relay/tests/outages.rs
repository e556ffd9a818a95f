//! Lost websockets, in virtual time, against a hand-played service.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use futures_util::SinkExt as _;
use ssm_relay::{ApiError, BoxFuture, End, EndKind, Event, OnSessionEnd, RelayConfig, Signer};
use support::{
    AGENT, Agent, Answer, accept, config, event, gone, relay, relay_with, service_with, soon,
    within, works,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn interruption(event: &Event) -> Option<String> {
    match event {
        Event::Interrupted { reason, .. } => Some(reason.clone()),
        Event::Resumed { .. } => panic!("nothing was lost yet"),
        _ => None,
    }
}

fn resumption(event: &Event) -> Option<Duration> {
    match event {
        Event::Resumed { after, .. } => Some(*after),
        Event::Closed { reason, .. } => panic!("over: {reason}"),
        _ => None,
    }
}

/// A stream is open, the websocket is lost this way, and the stream continues over the next one.
async fn survives(lose: impl AsyncFnOnce(Agent, &TcpListener) -> Agent) -> String {
    let (listener, api) = service_with(works).await;
    let relay = relay(Arc::new(api)).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    let mut agent = lose(agent, &listener).await;
    stream.write_all(b"still there?").await.expect("taken");
    let reason = event(&mut events, "the interruption", interruption).await;
    agent.accept_again(&listener).await;
    agent.received(b"still there?").await;
    event(&mut events, "the resumption", resumption).await;
    reason
}

/// A session for one connection ends with it, but not before the agent has everything.
#[tokio::test(start_paused = true)]
async fn last_bytes_of_a_one_connection_session_survive_an_outage() {
    let (listener, api) = service_with(works).await;
    let api = Arc::new(api);
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.0.196.0").await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    stream.write_all(b"last bytes").await.expect("taken");
    drop(stream);
    // The client has sent everything, and the agent has read nothing.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut agent = close_with(agent, CloseCode::Away, "going away").await;
    agent.accept_again(&listener).await;
    agent.received(b"last bytes").await;
    soon("the session's end", agent.serve()).await;
    assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
}

async fn close_with(mut agent: Agent, code: CloseCode, reason: &'static str) -> Agent {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    agent
        .websocket
        .send(Frame::Close(Some(frame)))
        .await
        .expect("taken");
    agent
}

#[tokio::test(start_paused = true)]
async fn every_way_to_lose_a_websocket_leads_to_a_resumption() {
    let codes = [
        (1000, "Bye"),
        (1001, "going away"),
        (1003, "bad"),
        (1011, ""),
    ];
    for (code, text) in codes {
        let reason =
            survives(async |agent, _| close_with(agent, CloseCode::from(code), text).await).await;
        assert!(reason.contains(&code.to_string()), "{reason}");
    }
    // 1006: end-of-file without a close frame.
    survives(async |mut agent: Agent, _| {
        let tcp = agent.websocket.get_mut();
        tcp.shutdown().await.expect("is open");
        agent
    })
    .await;
    // A TCP reset.
    survives(async |agent: Agent, _| {
        agent
            .websocket
            .get_ref()
            .set_zero_linger()
            .expect("a TCP socket");
        let Agent { websocket, session } = agent;
        drop(websocket);
        let (client, server) = other_websocket().await;
        drop(client);
        Agent {
            websocket: server,
            session,
        }
    })
    .await;
    // Silence: nothing reads and nothing answers.
    let reason = survives(async |agent, _| agent).await;
    assert!(reason.contains("did not answer a ping"), "{reason}");
}

/// A placeholder for a websocket that was taken.
async fn other_websocket() -> (
    tokio::net::TcpStream,
    tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>,
) {
    use tokio_tungstenite::tungstenite::protocol::Role;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (client, server) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
    let server = tokio_tungstenite::WebSocketStream::from_raw_socket(
        server.expect("accepted").0,
        Role::Server,
        None,
    )
    .await;
    (client.expect("connected"), server)
}

/// The token of a resumed session is rejected; the next one may not be. The session counts as resumed only
/// once the service was heard.
#[tokio::test(start_paused = true)]
async fn websocket_refused_after_its_opening_is_no_resumption() {
    let (listener, api) = service_with(works).await;
    let api = Arc::new(api);
    let relay = relay(api.clone()).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut agent = close_with(agent, CloseCode::Normal, "Bye").await;
    for _ in 0..3 {
        let mut websocket = accept(&listener).await;
        let frame = CloseFrame {
            code: CloseCode::Unsupported,
            reason: "Invalid token".into(),
        };
        websocket.close(Some(frame)).await.expect("taken");
    }
    agent.accept_again(&listener).await;
    event(&mut events, "the interruption", interruption).await;
    let serving = tokio::spawn(async move { agent.serve().await });
    event(&mut events, "the resumption", resumption).await;
    assert_eq!(api.resumed.load(Ordering::SeqCst), 4);
    // It was the only one, after a single interruption.
    soon("the end", relay.close()).await;
    soon("the agent", serving).await.expect("no panic");
    let rest = rest(&mut events).await;
    let again = |event: &Event| matches!(event, Event::Interrupted { .. } | Event::Resumed { .. });
    assert!(!rest.iter().any(again), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn resumption_uses_the_url_named_last() {
    let (listener, api) = service_with(works).await;
    let api = Arc::new(api);
    let _relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let moved = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = moved.local_addr().expect("bound");
    let url = format!("ws://{address}/v1/data-channel/s?cell-number=2");
    for (named, listener) in [
        ("", &listener),
        (url.as_str(), &moved),
        (" ", &moved),
        ("", &moved),
        (api.url.as_str(), &listener),
    ] {
        *api.resume_url.lock().expect("no panic") = Some(named.to_owned());
        agent = close_with(agent, CloseCode::Normal, "Bye").await;
        agent.accept_again(listener).await;
        agent.send(b"\x01\x03\0\0\0\0\0\0");
        agent.acknowledged().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_presigned_url_is_used_unsigned_and_never_resumed() {
    let (listener, mut api) = service_with(works).await;
    api.url += "?role=publish_subscribe&X-Amz-Signature=0123";
    let api = Arc::new(api);
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let credentials = SharedCredentialsProvider::new(credentials);
    let mut config = config();
    config.signer = Some(Signer::new(credentials, "us-east-1"));
    let relay = relay_with(config, api.clone()).await;
    let (mut tcp, _) = soon("a client", listener.accept())
        .await
        .expect("a connection");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(tcp.read_u8().await.expect("a request"));
    }
    let request = String::from_utf8(request).expect("text").to_lowercase();
    assert!(request.contains("x-amz-signature=0123"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
    assert!(!request.contains("x-amz-date"), "{request}");
    drop(tcp);
    let end = soon("the end", relay.closed()).await;
    assert_eq!(end.kind(), EndKind::NotResumable);
    assert!(end.to_string().contains("presigned"), "{end}");
    assert_eq!(api.resumed.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn websockets_that_break_after_one_message_back_off() {
    let (listener, api) = service_with(works).await;
    let api = Arc::new(api);
    let _relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        let Agent { websocket, session } = agent;
        drop(websocket);
        let websocket = accept(&listener).await;
        agent = Agent { websocket, session };
        // One message gets through, and its acknowledgement back.
        agent.session.disconnected();
        let now = Instant::now().into_std();
        agent.session.connected(now);
        agent.send(b"\x01\x03\0\0\0\0\0\0");
        agent.acknowledged().await;
    }
    let calls = api.resumed.load(Ordering::SeqCst);
    assert!((4..12).contains(&calls), "{calls} calls in 15 s");
}

/// Every event up to the last.
async fn rest(events: &mut ssm_relay::Events) -> Vec<Event> {
    soon("the last event", async {
        let mut rest = Vec::new();
        while !matches!(rest.last(), Some(Event::Closed { .. })) {
            rest.push(events.next().await.expect("a last one"));
        }
        rest
    })
    .await
}

/// Unavailable, or no answer, until two minutes have passed.
async fn fails_for_two_minutes(
    began: &'static std::sync::OnceLock<Instant>,
    number: usize,
) -> Answer {
    if began.get_or_init(Instant::now).elapsed() >= Duration::from_secs(120) {
        return Ok(true);
    }
    if number == 1 {
        std::future::pending::<()>().await;
    }
    Err(ApiError::retryable("503 Service Unavailable"))
}

#[tokio::test(start_paused = true)]
async fn resume_session_may_fail_for_two_minutes() {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let fails =
        |number| -> BoxFuture<'static, Answer> { Box::pin(fails_for_two_minutes(&BEGAN, number)) };
    let (listener, api) = service_with(fails).await;
    let api = Arc::new(api);
    let relay = relay(api.clone()).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    let mut agent = close_with(agent, CloseCode::Away, "").await;
    stream.write_all(b"later").await.expect("taken");
    agent
        .accept_again_within(&listener, Duration::from_secs(200))
        .await;
    agent.received(b"later").await;
    let after = event(&mut events, "the resumption", resumption).await;
    assert!(
        (120..140).contains(&after.as_secs()),
        "tried again too seldom: {after:?}"
    );
    // More than five attempts, and no storm.
    let calls = api.resumed.load(Ordering::SeqCst);
    assert!((8..30).contains(&calls), "{calls} calls");
}

fn unavailable(_: usize) -> BoxFuture<'static, Answer> {
    Box::pin(async { Err(ApiError::retryable("503 Service Unavailable")) })
}

#[tokio::test(start_paused = true)]
async fn resume_budget_is_a_time_that_ends_the_tunnel() {
    let (listener, api) = service_with(unavailable).await;
    let relay = relay(Arc::new(api)).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    let started = Instant::now();
    let agent = close_with(agent, CloseCode::Normal, "Bye").await;
    let end = within(Duration::from_secs(700), "the end", relay.closed()).await;
    let End::ConnectionLost { within, last } = end else {
        panic!("{end:?}");
    };
    assert_eq!(within.as_secs(), 600);
    assert!(last.contains("503"), "{last}");
    assert!(
        (570..=604).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
    let cut = stream.read(&mut [0]).await.expect_err("cut off");
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
    drop(agent);
}

fn fails_for_a_day(_: usize) -> BoxFuture<'static, Answer> {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    Box::pin(async move {
        let began = BEGAN.get_or_init(Instant::now);
        if began.elapsed() < Duration::from_secs(24 * 3600) {
            return Err(ApiError::retryable("dns error"));
        }
        Ok(true)
    })
}

#[tokio::test(start_paused = true)]
async fn unlimited_budget_survives_a_day_of_outage() {
    let (listener, api) = service_with(fails_for_a_day).await;
    let mut config = config();
    config.limits.resume_budget = None;
    let relay = relay_with(config, Arc::new(api)).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let _agent = close_with(agent, CloseCode::Normal, "Bye").await;
    within(
        Duration::from_secs(25 * 3600),
        "the client",
        listener.accept(),
    )
    .await
    .expect("comes back");
    drop(relay);
}

/// Eight hours pass at once for a process that did not run: a laptop that slept on Windows, or a
/// stopped process. No deadline counts them, and a websocket that died is detected in seconds.
#[tokio::test(start_paused = true)]
async fn laptop_resumes_at_once_after_a_sleep() {
    let (listener, api) = service_with(works).await;
    let api = Arc::new(api);
    // An agent that hangs up without keep-alives, and data that waits for its acknowledgement.
    let relay = relay(api.clone()).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, "3.1.1511.0").await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    soon("its beginning", agent.data()).await.expect("arrives");
    stream.write_all(b"unacknowledged").await.expect("taken");
    // Runs every task but the agent.
    tokio::time::sleep(Duration::from_millis(1)).await;
    tokio::time::advance(Duration::from_secs(8 * 3600)).await;
    let woken = Instant::now();
    let reason = event(&mut events, "the interruption", interruption).await;
    assert!(reason.contains("did not answer a ping"), "{reason}");
    agent.accept_again(&listener).await;
    assert!(
        woken.elapsed() <= Duration::from_secs(10),
        "{:?}",
        woken.elapsed()
    );
    agent.received(b"unacknowledged").await;
    let after = event(&mut events, "the resumption", resumption).await;
    assert!(after < Duration::from_secs(10), "{after:?}");
}

/// The same in the middle of an outage: its budget does not count the sleep, and the next attempt
/// does not wait.
#[tokio::test(start_paused = true)]
async fn a_sleep_during_an_outage_does_not_use_up_its_budget() {
    let (listener, api) = service_with(fails_thrice).await;
    let relay = relay(Arc::new(api)).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut agent = close_with(agent, CloseCode::Normal, "Bye").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::advance(Duration::from_secs(8 * 3600)).await;
    agent.accept_again(&listener).await;
    let serving = tokio::spawn(async move { agent.serve().await });
    soon("the end", relay.close()).await;
    soon("the agent", serving).await.expect("no panic");
}

fn fails_thrice(number: usize) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        match number {
            0..3 => Err(ApiError::retryable("dns error")),
            _ => Ok(true),
        }
    })
}

fn restarting() -> RelayConfig {
    let mut config = config();
    config.on_session_end = OnSessionEnd::Restart;
    config
}

#[tokio::test(start_paused = true)]
async fn restart_resets_connections_and_gives_the_next_a_new_session() {
    let (listener, api) = service_with(gone).await;
    let api = Arc::new(api);
    let relay = relay_with(restarting(), api.clone()).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut old = soon("connecting", relay.connect()).await.expect("opens");
    let agent = close_with(agent, CloseCode::Normal, "Bye").await;
    let cut = soon("the cut", old.read(&mut [0])).await;
    assert_eq!(
        cut.expect_err("cut off").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    let ended = event(&mut events, "the session's end", |event| match event {
        Event::SessionEnded {
            session_id, end, ..
        } => Some((session_id.clone(), *end)),
        Event::Closed { reason, .. } => panic!("over: {reason}"),
        _ => None,
    });
    assert_eq!(ended.await, ("session-0".to_owned(), EndKind::SessionGone));
    drop(agent);
    // No connection needs a session, so the tunnel starts no session.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(api.started.load(Ordering::SeqCst), 1);

    let second = async {
        let mut agent = Agent::accept(&listener, AGENT).await;
        agent.ready().await;
        let data = agent.data().await.expect("the new stream");
        (agent, data)
    };
    let connecting = async {
        let mut stream = relay.connect().await.expect("opens");
        stream.write_all(b"again").await.expect("taken");
        stream
    };
    let (_stream, (mut agent, _)) = soon("the new session", async {
        tokio::join!(connecting, second)
    })
    .await;
    assert_eq!(api.started.load(Ordering::SeqCst), 2);
    assert_eq!(relay.session_id(), "session-1");
    let serving = tokio::spawn(async move { agent.serve().await });
    assert!(matches!(soon("closing", relay.close()).await, End::Closed));
    soon("the agent", serving).await.expect("no panic");
    assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_worked_is_not_restarted() {
    let (listener, api) = service_with(gone).await;
    let api = Arc::new(api);
    let relay = relay_with(restarting(), api.clone()).await;
    let websocket = accept(&listener).await;
    drop(websocket);
    let end = soon("the end", relay.closed()).await;
    assert!(matches!(end, End::SessionGone), "{end:?}");
    assert_eq!(api.started.load(Ordering::SeqCst), 1);
}

/// Credentials that expire this many minutes after the beginning, one after the other; the last ones
/// stay.
#[derive(Debug)]
struct Expiring(SystemTime, std::sync::Mutex<Vec<u64>>);

impl ProvideCredentials for Expiring {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let mut minutes = self.1.lock().expect("no panic");
        let left = match minutes.as_slice() {
            [left] => *left,
            _ => minutes.remove(0),
        };
        let expiry = self.0 + Duration::from_secs(left * 60);
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, Some(expiry), "test");
        future::ProvideCredentials::ready(provider::Result::Ok(credentials))
    }
}

async fn with_credentials(minutes: &[u64]) -> (TcpListener, support::Relay) {
    let (listener, api) = service_with(works).await;
    let provider = Expiring(SystemTime::now(), std::sync::Mutex::new(minutes.to_vec()));
    let mut config = config();
    let provider = SharedCredentialsProvider::new(provider);
    config.signer = Some(Signer::new(provider, "us-east-1"));
    (listener, relay_with(config, Arc::new(api)).await)
}

#[tokio::test(start_paused = true)]
async fn expiring_credentials_are_warned_of_once() {
    let (listener, relay) = with_credentials(&[5]).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let serving = tokio::spawn(async move { agent.serve().await });
    let warning = |event: &Event| match event {
        Event::CredentialsExpiring { in_seconds, .. } => Some(*in_seconds),
        _ => None,
    };
    let left = event(&mut events, "the warning", warning).await;
    assert!((240..=300).contains(&left), "{left} s");
    tokio::time::sleep(Duration::from_secs(600)).await;
    soon("the end", relay.close()).await;
    soon("the agent", serving).await.expect("no panic");
    let rest = rest(&mut events).await;
    assert_eq!(rest.iter().find_map(warning), None, "warned again");
}

#[tokio::test(start_paused = true)]
async fn renewed_credentials_are_not_warned_of() {
    let (listener, relay) = with_credentials(&[5, 7, 60]).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let serving = tokio::spawn(async move { agent.serve().await });
    tokio::time::sleep(Duration::from_secs(600)).await;
    soon("the end", relay.close()).await;
    soon("the agent", serving).await.expect("no panic");
    for event in rest(&mut events).await {
        assert!(
            !matches!(event, Event::CredentialsExpiring { .. }),
            "{event:?}"
        );
    }
}

/// Agents of this age hang up on a client that sends no keep-alives, and are given up themselves when
/// they send none: while there is no websocket, neither applies.
#[tokio::test(start_paused = true)]
async fn outage_longer_than_an_old_agents_keep_alive_is_survived() {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let fails =
        |number| -> BoxFuture<'static, Answer> { Box::pin(fails_for_two_minutes(&BEGAN, number)) };
    let (listener, api) = service_with(fails).await;
    let relay = relay(Arc::new(api)).await;
    let mut agent = Agent::accept(&listener, "3.1.1511.0").await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    let mut agent = close_with(agent, CloseCode::Away, "").await;
    stream.write_all(b"later").await.expect("taken");
    agent
        .accept_again_within(&listener, Duration::from_secs(200))
        .await;
    agent.received(b"later").await;
    drop(relay);
}
