//! No duration in any setting of the libraries or the sandbox causes a panic or blocks closing.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use e2e::{config, echo, instance, soon, tunnel};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ssm_mfa::{Interaction, MemoryStore, MfaProvider, RoleSpec};
use ssm_sandbox::{ApiFault, Clock, Faults, Lossy, Sandbox};
use ssm_tunnel::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

static PANICS: AtomicUsize = AtomicUsize::new(0);
/// How long each step of a tunnel may take; its outcome does not matter.
const PATIENCE: Duration = Duration::from_millis(100);

/// tokio catches the panics of tasks: only the hook sees all of them.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }));
    });
}

fn any_duration() -> impl Strategy<Value = Duration> + Clone {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        (0..1000_u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_secs),
        Just(Duration::MAX),
    ]
}

#[derive(Debug, Clone)]
struct Durations {
    limits: Limits,
    keep_alive: Duration,
    delay: Duration,
    bye_after: Duration,
    dial_delay: Duration,
    handshake_timeout: Duration,
}

fn durations() -> impl Strategy<Value = Durations> {
    prop::array::uniform14(any_duration()).prop_map(|at| {
        let mut limits = Limits::default();
        limits.half_close_quiet = at[0];
        limits.tuning.handshake_timeout = at[1];
        limits.tuning.peer_timeout = at[2];
        limits.tuning.ping_interval = at[3];
        limits.tuning.pong_timeout = at[4];
        limits.connect_timeout = at[5];
        limits.resume_budget = Some(at[6]);
        limits.close_timeout = at[7];
        limits.tuning.session_idle = at[8];
        Durations {
            limits,
            keep_alive: at[9],
            // Short, so that the time after the handshake is tested too.
            delay: at[10].min(Duration::from_millis(1)),
            bye_after: at[11],
            dial_delay: at[12],
            handshake_timeout: at[13],
        }
    })
}

async fn carry(durations: Durations) {
    let instance = instance(echo().await)
        .dial_delay(durations.dial_delay)
        .handshake_timeout(durations.handshake_timeout);
    let faults = Faults::default()
        .to_client(Lossy::default().delay(durations.delay))
        .bye_after(durations.bye_after);
    let builder = Sandbox::builder().enforce_mfa(false).instance(instance);
    let sandbox = builder.faults(faults).start().await.expect("loopback");
    let opening = tunnel(&sandbox)
        .limits(durations.limits)
        .keep_alive(durations.keep_alive)
        .open();
    let Ok(Ok(tunnel)) = tokio::time::timeout(5 * PATIENCE, opening).await else {
        return;
    };
    let using = async {
        let mut stream = tunnel.connect().await.ok()?;
        stream.write_all(b"hello").await.ok()?;
        stream.shutdown().await.ok()?;
        stream.read_to_end(&mut Vec::new()).await.ok()
    };
    let _ = tokio::time::timeout(PATIENCE, using).await;
    let _ = tokio::time::timeout(PATIENCE, tunnel.close()).await;
}

#[test]
fn no_duration_in_a_tunnel_or_the_sandbox_panics() {
    count_panics();
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(40)
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&durations(), |durations| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(carry(durations));
        // A session that is still being terminated must not delay the next case.
        runtime.shutdown_background();
        prop_assert_eq!(PANICS.load(Ordering::SeqCst), 0);
        Ok(())
    });
    outcome.expect("no panic");
}

#[tokio::test]
async fn no_duration_in_an_mfa_provider_panics() {
    count_panics();
    let clock = Clock::default();
    let builder = Sandbox::builder().clock(clock.clone());
    let sandbox = builder.start().await.expect("loopback");
    clock.advance(Duration::MAX);
    sandbox.fail_next("GetSessionToken", ApiFault::DateAhead(Duration::MAX));
    let (id, secret) = (sandbox.access_key_id(), sandbox.secret_access_key());
    for at in [Duration::ZERO, Duration::from_secs(900), Duration::MAX] {
        let builder = || {
            MfaProvider::builder()
                .source_credentials(Credentials::new(&id, &secret, None, None, "test"))
                .sts_config(&config(&sandbox))
                .serial(sandbox.mfa_serial().parse().expect("a serial number"))
                .store(MemoryStore::new())
                .interaction(Interaction::LoginOnly)
                .code("123456".parse().expect("six digits"))
                .prompt_timeout(at)
        };
        let provider = builder().build().expect("any time-out will do");
        // The code is wrong, or the time for it is over at once.
        let login = soon("the login", provider.login()).await;
        assert!(login.is_err(), "{login:?}");
        let within_limits = at == Duration::from_secs(900);
        let role = RoleSpec::new("arn:aws:iam::123456789012:role/r").duration(at);
        assert_eq!(builder().role(role).build().is_ok(), within_limits);
        let lasting = builder().session_duration(at).build();
        assert_eq!(lasting.is_ok(), within_limits);
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
