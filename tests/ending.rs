//! The tunnel's end, intended or not: written data arrives, and no session is left behind.

use std::sync::Arc;

use e2e::{
    PATIENCE, echo, instance, no_sessions, open, sandbox, service, soon, terminated, tunnel,
};
use ssm_tunnel::{EndKind, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Enough time to close on a slow machine.
fn patient() -> Limits {
    let mut limits = Limits::default();
    limits.close_timeout = PATIENCE / 4;
    limits
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_tunnel_terminates_its_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    drop(tunnel);
    no_sessions(&sandbox).await;
    terminated(&sandbox, 1).await;
}

/// A program that ends right after dropping its tunnel leaves no session behind either.
#[test]
fn dropping_a_tunnel_with_its_runtime_terminates_its_session() {
    let outer = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let sandbox = outer.block_on(async { sandbox(instance(echo().await)).await });
    let inner = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tunnel = inner.block_on(async {
        let tunnel = open(tunnel(&sandbox)).await;
        tunnel.ready().await.expect("ready");
        tunnel
    });
    drop(inner);
    drop(tunnel);
    assert_eq!(sandbox.request_count("TerminateSession"), 1);
    assert_eq!(sandbox.active_sessions(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_delivers_what_was_written() {
    let received = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let sink = received.clone();
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
    let destination = service(move |mut tcp| {
        let (sink, done) = (sink.clone(), done.clone());
        async move {
            let mut all = Vec::new();
            let _ = tcp.read_to_end(&mut all).await;
            *sink.lock().await = all;
            let _ = done.send(());
        }
    });
    let sandbox = sandbox(instance(destination.await)).await;
    let tunnel = open(tunnel(&sandbox).limits(patient())).await;
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    let data: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    soon("writing", stream.write_all(&data))
        .await
        .expect("taken");
    drop(stream);
    let end = soon("closing", tunnel.close()).await.expect("a clean end");
    assert!(end.kind() == EndKind::Closed);
    soon("the destination's end-of-file", finished.recv()).await;
    assert!(*received.lock().await == data);
}

/// Unwinding drops the tunnel.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_callers_task_terminates_the_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let panicked = tokio::spawn(async move {
        tunnel.ready().await.expect("ready");
        panic!(
            "on purpose, with {} open",
            tunnel.local_addr().expect("a local port")
        );
    });
    soon("the panic", panicked).await.expect_err("it panics");
    no_sessions(&sandbox).await;
    terminated(&sandbox, 1).await;
}

/// A program that panics in its main function takes its runtime down right away.
#[test]
fn a_panic_that_takes_the_runtime_down_terminates_the_session() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let outer = runtime();
    let sandbox = outer.block_on(async { sandbox(instance(echo().await)).await });
    let program = || {
        let inner = runtime();
        inner.block_on(async {
            let tunnel = open(tunnel(&sandbox)).await;
            tunnel.ready().await.expect("ready");
            panic!("on purpose");
        });
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(program)).expect_err("it panics");
    // Two calls if the runtime went down during the first: the tunnel cannot know whether it arrived.
    let calls = sandbox.request_count("TerminateSession");
    assert!((1..=2).contains(&calls), "{calls} calls");
    assert_eq!(sandbox.active_sessions(), Vec::<String>::new());
}

/// "Does not exist" means that the session has been terminated.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_already_gone_counts_as_terminated() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).limits(patient())).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    sandbox.fail_next("TerminateSession", ssm_sandbox::ApiFault::DropAfterHandling);
    // The SDK retries a call that has terminated the session already.
    let end = soon("closing", tunnel.close()).await.expect("a clean end");
    assert!(end.kind() == EndKind::Closed, "{end:?}");
    assert!(sandbox.request_count("TerminateSession") >= 2);
    no_sessions(&sandbox).await;
}
