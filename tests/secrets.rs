//! Looks for planted secrets in every text that the libraries produce, including logs.

use std::io;
use std::sync::{Arc, Mutex};

use e2e::{TARGET, config, echo, echoed, instance, sandbox_with_mfa, soon, tells};
use ssm_mfa::{
    FileStore, MemoryStore, MfaCode, MfaError, MfaProvider, RoleSpec, StaticCode, Strategy,
};
use ssm_sandbox::ApiFault;
use ssm_tunnel::Tunnel;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// TRACE for everything except two dependencies that print secrets at that level (documented in
/// ssm-tunnel).
const LEVELS: &str = "trace,aws_smithy_runtime=info,tungstenite=info";

#[tokio::test]
async fn no_secret_reaches_a_log_a_debug_or_an_error() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_env_filter(LEVELS)
        .with_ansi(false)
        // Microseconds would match a code's six digits now and then.
        .without_time()
        .with_writer(log.clone())
        .init();

    let sandbox = sandbox_with_mfa(instance(echo().await)).await;
    let mut texts = Vec::new();
    let mut secrets = vec![sandbox.secret_access_key()];

    // An unreadable answer that holds keys.
    let code = sandbox.next_unused_code();
    sandbox.fail_next("GetSessionToken", ApiFault::MalformedBody);
    let first = e2e::mfa(&sandbox)
        .code_source(StaticCode::new(code.parse().expect("six digits")))
        .build()
        .expect("complete");
    let error = soon("the failure", first.login())
        .await
        .expect_err("unreadable");
    texts.push(format!("{error} {error:?}"));
    secrets.push(code);

    // A wrong code may be the one that the user needs next.
    let right: u32 = sandbox.next_unused_code().parse().expect("digits");
    let wrong = format!("{:06}", (right + 314_159) % 1_000_000);
    let error = soon("the refusal", async {
        let provider = MfaProvider::builder()
            .sts_config(&config(&sandbox))
            .code_source(StaticCode::new(wrong.parse().expect("six digits")))
            .store(MemoryStore::new())
            .find_serial();
        let provider = provider.await.expect("a device").build().expect("complete");
        provider.login().await.expect_err("a wrong code")
    });
    let error = error.await;
    assert!(matches!(error, MfaError::InvalidCode { .. }), "{error:?}");
    texts.push(format!("{error} {error:?}"));
    secrets.push(wrong);

    let code = sandbox.next_unused_code();
    let parsed: MfaCode = code.parse().expect("six digits");
    texts.push(format!("{parsed:?}"));
    let source = StaticCode::new(parsed);
    texts.push(format!("{source:?}"));
    let builder = e2e::mfa(&sandbox).code_source(source);
    texts.push(format!("{builder:?}"));
    let provider = builder.build().expect("complete");
    let session = soon("the login", provider.login()).await.expect("good");
    texts.push(format!("{provider:?} {session:?}"));
    secrets.push(code);

    // A role's unreadable answer, which holds keys too.
    let place = tempfile::tempdir().expect("a place");
    let code = sandbox.next_unused_code();
    sandbox.fail_next("AssumeRole", ApiFault::MalformedBody);
    let role = e2e::mfa(&sandbox)
        .role(RoleSpec::new("arn:aws:iam::123456789012:role/dev"))
        .strategy(Strategy::Direct)
        .code_source(StaticCode::new(code.parse().expect("six digits")))
        .store(FileStore::at(place.path()))
        .build()
        .expect("complete");
    let error = soon("the failure", role.login())
        .await
        .expect_err("unreadable");
    texts.push(format!("{error} {error:?} {role:?}"));
    secrets.push(code);

    // An unreadable answer to StartSession, which holds a token.
    sandbox.fail_next("StartSession", ApiFault::MalformedBody);
    let config = provider.sdk_config(&config(&sandbox));
    let builder = Tunnel::builder(TARGET)
        .remote_port(3389)
        .sdk_config(&config);
    texts.push(format!("{builder:?}"));
    let error = soon("the failure", builder.clone().open())
        .await
        .expect_err("unreadable");
    texts.push(format!("{error} {error:?}"));

    let tunnel = soon("opening", builder.open()).await.expect("opens");
    texts.push(format!("{tunnel:?}"));
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    texts.push(format!("{stream:?}"));
    let marker = b"PAYLOAD-MARKER-PAYLOAD-MARKER";
    tokio::io::AsyncWriteExt::write_all(&mut stream, marker)
        .await
        .expect("taken");
    let mut back = [0; 29];
    soon(
        "the echo",
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut back),
    )
    .await
    .expect("comes back");
    texts.push(format!("{tunnel:?} {stream:?}"));
    // A resumed session has a new token.
    sandbox.cut_websockets();
    echoed(stream, 1, 1000).await;
    soon("closing", tunnel.close()).await.expect("clean");

    secrets.push("PAYLOAD-MARKER".to_owned());
    secrets.extend(sandbox.issued_secrets());
    assert!(
        secrets.len() >= 9,
        "too few secrets to mean anything: {}",
        secrets.len()
    );
    let log = String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned();
    assert!(log.contains("TRACE"), "the log does not go down to TRACE");
    texts.push(log);
    for text in &texts {
        for secret in &secrets {
            let found = match secret.len() {
                // A code.
                6 => tells(text, secret)
                    .then(|| text.find(secret.as_str()))
                    .flatten(),
                _ => text.find(secret.as_str()),
            };
            let around = found.map(|at| &text[at.saturating_sub(200)..at]);
            assert_eq!(
                around,
                None,
                "a secret of {} characters follows this text",
                secret.len()
            );
        }
    }
}
