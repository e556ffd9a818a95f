//! Abandoning a tunnel that is being opened terminates its session and blocks no thread of the runtime.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use support::{Api, Relay, config, service_with, soon, works};

/// A service whose StartSession waits, and whose TerminateSession hangs.
async fn slow_service() -> (tokio::net::TcpListener, Arc<Api>) {
    let (listener, api) = service_with(works).await;
    api.start_held.store(true, Ordering::SeqCst);
    api.terminate_hangs.store(true, Ordering::SeqCst);
    (listener, Arc::new(api))
}

/// Abandons the opening while StartSession is in flight, then lets it answer.
async fn give_up(api: &Arc<Api>) {
    let opening = Relay::open(config(), api.clone(), None);
    let given_up = tokio::time::timeout(Duration::from_millis(10), opening).await;
    assert!(given_up.is_err(), "StartSession is held");
    assert_eq!(api.started.load(Ordering::SeqCst), 1);
    api.allowed.notify_one();
}

async fn terminated(api: &Api) {
    soon("TerminateSession", async {
        while api.terminated.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The runtime's only thread makes the call itself, so nothing waits for another thread's.
#[tokio::test]
async fn a_late_start_is_terminated_by_a_task() {
    let (_listener, api) = slow_service().await;
    give_up(&api).await;
    terminated(&api).await;
    let here = std::thread::current().name().map(str::to_owned);
    assert_eq!(*api.terminated_on.lock().expect("unpoisoned"), [here]);
    // The runtime's end makes the call again.
    api.terminate_hangs.store(false, Ordering::SeqCst);
}

#[test]
fn runtime_shutdown_still_terminates_the_session() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (outer, inner) = (runtime(), runtime());
    let (_listener, api) = outer.block_on(slow_service());
    inner.block_on(async {
        give_up(&api).await;
        terminated(&api).await;
    });
    api.terminate_hangs.store(false, Ordering::SeqCst);
    drop(inner);
    let threads = api.terminated_on.lock().expect("unpoisoned").clone();
    assert_eq!(
        threads.len(),
        2,
        "the first call went down with the runtime"
    );
    assert_eq!(threads[1].as_deref(), Some("ssm-terminate"));
}
