//! Every tunnel ends in bounded time, with a reason, and with its session terminated.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ssm_relay::{End, Event, Listener, OpenError, RelayConfig};
use support::{
    AGENT, Agent, Relay, accept, config, event, relay, relay_with, service, service_with, soon,
    within, works,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The limit of [`Relay::close`]: three times `close_timeout`, and a second.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn closing_is_bounded_when_service_and_api_hang() {
    let (listener, api) = service_with(works).await;
    let api = Arc::new(api);
    api.terminate_hangs.store(true, Ordering::SeqCst);
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    // More than the sockets in between can buffer.
    let filling = tokio::spawn(async move {
        let data = vec![0; 1 << 20];
        while stream.write_all(&data).await.is_ok() {}
        stream
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let end = within(CLOSE_LIMIT, "closing", relay.close()).await;
    assert!(matches!(end, End::Closed), "{end:?}");
    assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
    let mut stream = soon("the writer", filling).await.expect("no panic");
    stream.read(&mut [0]).await.expect_err("cut off");
    drop(agent);
}

/// The server accepts the connection and sends nothing, neither a websocket's answer nor TLS.
#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_an_endless_opening() {
    for scheme in ["ws", "wss"] {
        let (listener, mut api) = service_with(works).await;
        api.url = api.url.replace("ws://", &format!("{scheme}://"));
        let relay = relay(Arc::new(api)).await;
        let (_black_hole, _) = soon("the client", listener.accept())
            .await
            .expect("connects");
        let started = tokio::time::Instant::now();
        let end = within(CLOSE_LIMIT, "closing", relay.close()).await;
        assert!(matches!(end, End::Closed), "{end:?}");
        assert_eq!(started.elapsed().as_secs(), 0, "{scheme}");
    }
}

#[tokio::test(start_paused = true)]
async fn endless_opening_is_given_up_and_the_session_terminated() {
    for scheme in ["ws", "wss"] {
        let (listener, mut api) = service_with(works).await;
        api.url = api.url.replace("ws://", &format!("{scheme}://"));
        let api = Arc::new(api);
        let relay = relay(api.clone()).await;
        let holding = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((tcp, _)) = listener.accept().await {
                held.push(tcp);
            }
        });
        let end = within(Duration::from_secs(90), "the end", relay.closed()).await;
        let End::ConnectionLost { last, .. } = &end else {
            panic!("{end:?}");
        };
        assert!(last.contains("did not answer within"), "{last}");
        assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
        holding.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn abandoned_start_session_is_terminated() {
    let (_listener, api) = service_with(works).await;
    let api = Arc::new(api);
    api.start_held.store(true, Ordering::SeqCst);
    let opening = Relay::open(RelayConfig::default(), api.clone(), None);
    tokio::time::timeout(Duration::from_secs(1), opening)
        .await
        .expect_err("StartSession is held");
    api.allowed.notify_one();
    soon("TerminateSession", async {
        while api.terminated.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The program may exit at once, with tasks that still run: once `closed` returns, everything is over.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn every_socket_file_is_gone_when_the_relay_is_closed() {
    // The order in which waiting tasks are woken is random.
    for _ in 0..32 {
        let (listener, api) = service_with(works).await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name| folder.path().join(name);
        let first = Listener::socket(path("first")).expect("binds");
        let relay = Relay::open(config(), Arc::new(api), Some(first))
            .await
            .expect("StartSession answers");
        relay.listen(Listener::socket(path("second")).expect("binds"));
        let mut agent = Agent::accept(&listener, AGENT).await;
        agent.ready().await;
        let _open = tokio::net::UnixStream::connect(path("second"))
            .await
            .expect("accepts");
        within(CLOSE_LIMIT, "closing", relay.close()).await;
        assert!(!path("first").exists() && !path("second").exists());
        relay.listen(Listener::socket(path("late")).expect("binds"));
        assert!(!path("late").exists(), "nothing accepts there any more");
    }
}

/// A connection that waits for one of an old agent's sessions fails when the tunnel is closed.
#[tokio::test(start_paused = true)]
async fn closing_wakes_connections_that_wait_for_a_session() {
    let (listener, api) = service(true).await;
    let mut config = config();
    config.limits.max_sessions = 1;
    let relay = Arc::new(relay_with(config, api.clone()).await);
    let serving = tokio::spawn(async move {
        let mut agents = Vec::new();
        for _ in 0..2 {
            let mut agent = Agent::accept(&listener, "3.0.196.0").await;
            agent.ready().await;
            agents.push(tokio::spawn(async move { agent.serve().await }));
        }
        for agent in agents {
            agent.await.expect("no panic");
        }
    });
    let first = soon("the first", relay.connect()).await.expect("opens");
    let second = soon("the second", relay.connect()).await.expect("opens");
    let third = tokio::spawn({
        let relay = relay.clone();
        async move { relay.connect().await }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!third.is_finished(), "there was no place for it");
    within(CLOSE_LIMIT, "closing", relay.close()).await;
    let refused = soon("the third", third).await.expect("no panic");
    assert!(matches!(refused, Err(OpenError::Ended(_))), "{refused:?}");
    drop((first, second));
    soon("the agents", serving).await.expect("no panic");
    assert_eq!(api.terminated.load(Ordering::SeqCst), 2);
}

/// Tasks of another runtime do not wait for ever for a tunnel whose runtime is gone.
#[test]
fn streams_and_waiters_learn_of_a_dropped_runtime() {
    let runtime = |_: &str| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (inner, outer) = (runtime("the tunnel's"), runtime("another"));
    let (relay, mut events, mut stream, api) = inner.block_on(async {
        let (listener, api) = service_with(works).await;
        let api = Arc::new(api);
        let relay = relay(api.clone()).await;
        let events = relay.events();
        let mut agent = Agent::accept(&listener, AGENT).await;
        agent.ready().await;
        let stream = soon("connecting", relay.connect()).await.expect("opens");
        (relay, events, stream, api)
    });
    drop(inner);
    assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
    outer.block_on(async {
        let end = soon("the end", relay.closed()).await;
        assert!(matches!(end, End::Aborted), "{end:?}");
        let cut = soon("the cut", stream.read(&mut [0])).await;
        assert_eq!(
            cut.expect_err("cut off").kind(),
            std::io::ErrorKind::ConnectionReset
        );
        let refused = soon("connecting", relay.connect()).await;
        assert!(matches!(refused, Err(OpenError::Ended(_))), "{refused:?}");
        let clean = event(&mut events, "the last event", |event| match event {
            Event::Closed { clean, .. } => Some(*clean),
            _ => None,
        });
        assert!(!clean.await);
    });
}

async fn listening(limit: usize) -> (Listener, std::net::SocketAddr, RelayConfig) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = tcp.local_addr().expect("bound");
    let mut config = config();
    config.limits.max_connections = limit;
    (tcp.into(), address, config)
}

/// Beyond the limit, connections wait in the system's backlog: none is lost, and none costs memory
/// here.
#[tokio::test]
async fn accepted_connections_stay_within_the_limit() {
    let (listener, api) = service_with(works).await;
    let (local, address, config) = listening(2).await;
    let relay = Relay::open(config, Arc::new(api), Some(local))
        .await
        .expect("StartSession answers");
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let serving = tokio::spawn(async move { agent.serve().await });
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(TcpStream::connect(address).await.expect("connects"));
    }
    let opened = |event: &Event| match event {
        Event::ConnectionOpened { connection, .. } => Some(*connection),
        _ => None,
    };
    for number in 1..=2 {
        assert_eq!(event(&mut events, "a connection", opened).await, number);
    }
    // Each gets its turn; the third only after another one ended.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let first = clients.remove(0);
    first.set_zero_linger().expect("a TCP socket");
    drop(first);
    let story = soon("its turn", async {
        let mut story = Vec::new();
        while story.len() < 2 {
            match events.next().await.expect("goes on") {
                Event::ConnectionClosed { .. } => story.push("closed"),
                Event::ConnectionOpened { .. } => story.push("opened"),
                _ => {}
            }
        }
        story
    })
    .await;
    assert_eq!(story, ["closed", "opened"]);
    drop(clients);
    soon("the end", relay.close()).await;
    soon("the agent", serving).await.expect("no panic");
}

/// A cut-off connection is reset, whatever cut it off.
#[tokio::test]
async fn session_end_resets_waiting_and_open_local_connections() {
    let (listener, api) = service_with(support::gone).await;
    let (local, address, config) = listening(10).await;
    let relay = Relay::open(config, Arc::new(api), Some(local))
        .await
        .expect("StartSession answers");
    let mut events = relay.events();
    // Held, since there is no agent yet.
    let mut waiting = TcpStream::connect(address).await.expect("connects");
    waiting.write_all(b"early").await.expect("taken");
    let websocket = accept(&listener).await;
    drop(websocket);
    let reset = soon("the reset", waiting.read(&mut [0])).await;
    assert_eq!(
        reset.expect_err("reset").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    let failed = event(&mut events, "the failure", |event| match event {
        Event::ConnectionFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(failed.await.contains("the session is gone"));
    let end = soon("the end", relay.closed()).await;
    assert!(matches!(end, End::SessionGone), "{end:?}");
}

/// Virtual time advances only while every task is idle: a task that spins would keep the hour from
/// passing.
#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_does_nothing_after_its_first_connection() {
    let (listener, api) = service_with(works).await;
    let relay = relay(Arc::new(api)).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let stream = soon("connecting", relay.connect()).await.expect("opens");
    let serving = tokio::spawn(async move { agent.serve().await });
    drop(stream);
    let (done, watchdog) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if watchdog.recv_timeout(support::PATIENCE)
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            // Nothing else ends a test whose time does not advance.
            std::process::abort();
        }
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drop(done);
    soon("the end", relay.close()).await;
    soon("the agent", serving).await.expect("no panic");
}

/// A queue bounded by a number of messages grows with their size; this one is bounded in bytes.
#[tokio::test(start_paused = true)]
async fn unacknowledged_data_has_a_limit_in_bytes() {
    let (listener, api) = service_with(works).await;
    let mut config = config();
    config.limits.tuning.max_unacknowledged = 256 << 10;
    config.limits.tuning.stream_send_buffer = 64 << 10;
    let relay = relay_with(config, Arc::new(api)).await;
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let mut stream = soon("connecting", relay.connect()).await.expect("opens");
    // The agent reads nothing more and sends no pongs either, so the test must end before a ping.
    let mut taken = 0;
    let data = vec![0; 10_000];
    while let Ok(wrote) = tokio::time::timeout(Duration::from_secs(1), stream.write(&data)).await {
        taken += wrote.expect("the stream is open");
        assert!(taken <= 400 << 10, "{taken} bytes were taken");
    }
    assert!(taken >= 64 << 10, "only {taken} bytes were taken");
    drop(agent);
}
