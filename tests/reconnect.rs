//! Lost websockets: the session is resumed, and local connections only see a pause.

use std::time::Duration;

use e2e::{connect, echo, echoed, event, instance, open, sandbox, soon, tunnel};
use ssm_sandbox::{ApiFault, Faults, Lossy, Sandbox};
use ssm_tunnel::{EndKind, ErrorKind, Event, Limits, OnSessionEnd, Tunnel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn faulty(faults: Faults) -> Sandbox {
    let builder = Sandbox::builder()
        .enforce_mfa(false)
        .instance(instance(echo().await));
    builder.faults(faults).start().await.expect("starts")
}

async fn resumed(tunnel: &Tunnel) -> Duration {
    let mut events = tunnel.events();
    event(&mut events, "the resumption", |event| match event {
        Event::Resumed { after, .. } => Some(*after),
        _ => None,
    })
    .await
}

/// Checks that an open connection survives `interrupt`.
async fn survives(interrupt: impl Fn(&Sandbox), limits: Limits) {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).limits(limits)).await;
    let mut tcp = connect(&tunnel).await;
    tcp.write_all(b"before").await.expect("taken");
    soon("the echo", tcp.read_exact(&mut [0; 6]))
        .await
        .expect("comes back");
    interrupt(&sandbox);
    tcp.write_all(b"after")
        .await
        .expect("the local connection stays open");
    let mut back = [0; 5];
    soon("the echo", tcp.read_exact(&mut back))
        .await
        .expect("comes back");
    assert_eq!(&back, b"after");
    resumed(&tunnel).await;
    assert_eq!(sandbox.request_count("StartSession"), 1);
    assert!(sandbox.request_count("ResumeSession") >= 1);
    soon("closing", tunnel.close()).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hourly_close_is_resumed() {
    survives(Sandbox::close_websockets, Limits::default()).await;
}

/// As the service closes websockets about every hour.
#[tokio::test(flavor = "multi_thread")]
async fn websockets_closed_for_age_are_resumed_every_time() {
    let faults = Faults::default().bye_after(Duration::from_millis(100));
    let sandbox = faulty(faults).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    let mut tcp = connect(&tunnel).await;
    for round in 0..3 {
        let reason = event(&mut events, "the interruption", |event| match event {
            Event::Interrupted { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let reason = reason.await;
        assert!(reason.contains("1000 Bye"), "{reason}");
        tcp.write_all(&[round]).await.expect("taken");
        let mut back = [0];
        soon("the echo", tcp.read_exact(&mut back))
            .await
            .expect("comes back");
        assert_eq!(back, [round]);
    }
    assert_eq!(sandbox.request_count("StartSession"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_without_a_close_is_resumed() {
    survives(Sandbox::cut_websockets, Limits::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_service_is_detected_by_its_missing_pong() {
    let mut limits = Limits::default();
    limits.tuning.ping_interval = Duration::from_millis(100);
    // Long enough for the pongs of a slow machine, before and after the silence.
    limits.tuning.pong_timeout = Duration::from_secs(3);
    survives(Sandbox::go_silent, limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_across_many_cuts_arrives_unchanged() {
    // The agent repeats lost messages one at a time, so its pace keeps their number small.
    let faults = Faults::default().seed(3).cut_after(300);
    let builder = Sandbox::builder().enforce_mfa(false).faults(faults);
    let instance = instance(echo().await).paced(true);
    let sandbox = builder.instance(instance).start().await.expect("starts");
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let transfers = (0..4).map(|seed| {
        let tunnel = &tunnel;
        async move { echoed(connect(tunnel).await, seed, 200_000).await }
    });
    let mut transfers: Vec<_> = transfers.map(Box::pin).collect();
    let (a, b, c, d) = (
        transfers.pop(),
        transfers.pop(),
        transfers.pop(),
        transfers.pop(),
    );
    let all = async {
        tokio::join!(
            a.expect("four"),
            b.expect("four"),
            c.expect("four"),
            d.expect("four")
        )
    };
    soon("all transfers", all).await;
    assert!(
        sandbox.request_count("ResumeSession") >= 5,
        "too few cuts to mean anything"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_duplicates_and_reordering_lose_nothing() {
    let lossy = Lossy::default().drop(0.02).duplicate(0.05).reorder(0.05);
    let faults = Faults::default().seed(11).to_client(lossy).to_agent(lossy);
    let sandbox = faulty(faults).await;
    let tunnel = open(tunnel(&sandbox)).await;
    for seed in 0..3 {
        let stream = soon("connecting", tunnel.connect()).await.expect("opens");
        echoed(stream, seed, 300_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_session_failures_are_retried() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    soon("ready", tunnel.ready()).await.expect("ready");
    for fault in [
        ApiFault::DropAfterHandling,
        ApiFault::ErrorAfterHandling,
        ApiFault::Throttle,
    ] {
        sandbox.fail_next("ResumeSession", fault);
    }
    sandbox.cut_websockets();
    stream.write_all(b"still there").await.expect("taken");
    soon("the echo", stream.read_exact(&mut [0; 11]))
        .await
        .expect("comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_gone_before_its_resumption_is_reported() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    sandbox.forget_sessions();
    sandbox.cut_websockets();
    let error = soon("the end", tunnel.closed()).await.expect_err("gone");
    assert!(error.kind() == ErrorKind::SessionGone, "{error}");
    let cut = soon("the cut", stream.read(&mut [0]))
        .await
        .expect_err("cut off");
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_beyond_the_budget_ends_the_tunnel_with_its_cause() {
    let sandbox = sandbox(instance(echo().await)).await;
    let mut limits = Limits::default();
    limits.resume_budget = Some(Duration::from_millis(200));
    let tunnel = open(tunnel(&sandbox).limits(limits)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    sandbox.stop_listening();
    sandbox.cut_websockets();
    let error = soon("the end", tunnel.closed()).await.expect_err("lost");
    assert!(error.kind() == ErrorKind::ConnectionLost, "{error}");
    assert!(
        error.to_string().contains("could not be resumed"),
        "{error}"
    );
}

fn session_ended(event: &Event) -> Option<EndKind> {
    match event {
        Event::SessionEnded { end, .. } => Some(*end),
        Event::Closed { reason, .. } => panic!("over: {reason}"),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_restart_policy_gives_the_next_connection_a_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let builder = tunnel(&sandbox)
        .local_port(0)
        .on_session_end(OnSessionEnd::Restart);
    let tunnel = open(builder).await;
    let mut events = tunnel.events();
    let mut old = connect(&tunnel).await;
    old.write_all(b"x").await.expect("taken");
    soon("the echo", old.read_exact(&mut [0]))
        .await
        .expect("comes back");
    let first = tunnel.session_id();
    sandbox.forget_sessions();
    sandbox.cut_websockets();
    let cut = soon("the reset", old.read(&mut [0])).await;
    assert_eq!(
        cut.expect_err("reset").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    let end = event(&mut events, "the session's end", session_ended).await;
    assert_eq!(end, EndKind::SessionGone);
    assert_eq!(sandbox.request_count("StartSession"), 1);
    echoed(connect(&tunnel).await, 1, 100_000).await;
    assert_eq!(sandbox.request_count("StartSession"), 2);
    assert_ne!(tunnel.session_id(), first);
    // Once more, ended by an administrator.
    sandbox.terminate_sessions();
    let end = event(&mut events, "the session's end", session_ended).await;
    assert_eq!(end, EndKind::ByService);
    echoed(connect(&tunnel).await, 2, 1000).await;
    soon("closing", tunnel.close()).await.expect("a clean end");
}

/// An instance that reboots is not connected for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_waits_for_a_rebooting_target() {
    let echo = echo().await;
    let sandbox = sandbox(instance(echo)).await;
    let builder = tunnel(&sandbox).on_session_end(OnSessionEnd::Restart);
    let tunnel = open(builder).await;
    let mut events = tunnel.events();
    soon("ready", tunnel.ready()).await.expect("ready");
    sandbox.set_instance(instance(echo).online(false));
    sandbox.terminate_sessions();
    event(&mut events, "the session's end", session_ended).await;
    let (stream, ()) = soon("the new session", async {
        tokio::join!(tunnel.connect(), async {
            while sandbox.request_count("StartSession") < 3 {
                tokio::task::yield_now().await;
            }
            sandbox.set_instance(instance(echo));
        })
    })
    .await;
    echoed(stream.expect("opens"), 1, 1000).await;
}

/// The next attempt may get a readable answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_retries_after_an_unreadable_answer() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).on_session_end(OnSessionEnd::Restart)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    let mut events = tunnel.events();
    sandbox.fail_next("StartSession", ApiFault::MalformedBody);
    sandbox.terminate_sessions();
    event(&mut events, "the session's end", session_ended).await;
    let stream = soon("connecting", tunnel.connect()).await.expect("opens");
    echoed(stream, 1, 1000).await;
    assert!(sandbox.request_count("StartSession") >= 3);
}
