//! Codes from several sources, against an STS that accepts each one once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::soon;
use ssm_mfa::{
    Challenge, CodeError, CodeSourceChain, MfaCode, MfaCodeSource, MfaError, MfaProvider,
    StaticCode, Totp,
};
#[cfg(unix)]
use ssm_sandbox::RequestOutcome;
use ssm_sandbox::Sandbox;

async fn sandbox() -> Sandbox {
    Sandbox::builder().start().await.expect("starts")
}

fn provider(sandbox: &Sandbox, source: impl MfaCodeSource) -> MfaProvider {
    let builder = e2e::mfa(sandbox).code_source(source);
    builder.build().expect("complete")
}

fn code(text: &str) -> MfaCode {
    text.parse().expect("six digits")
}

/// A person at a terminal, or a missing terminal.
struct Person {
    code: Result<MfaCode, CodeError>,
    asked: Arc<AtomicUsize>,
}

impl MfaCodeSource for Person {
    fn code<'a>(&'a self, _: &'a Challenge) -> ssm_mfa::BoxFuture<'a, Result<MfaCode, CodeError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.code.clone();
        Box::pin(async move { answer })
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_given_code_falls_back_to_the_prompt() {
    let sandbox = sandbox().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let person = Person {
        code: Ok(code(&sandbox.next_unused_code())),
        asked: asked.clone(),
    };
    let given = StaticCode::new(code("000000"));
    let provider = provider(&sandbox, CodeSourceChain::new().or(given).or(person));
    soon("the login", provider.login())
        .await
        .expect("the person's is good");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let codes: Vec<_> = sandbox.requests().iter().map(|it| it.code).collect();
    assert_eq!(codes, [Some(1), Some(2)]);
    assert_eq!(sandbox.repeated_codes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_given_code_is_the_error_when_no_prompt_is_possible() {
    let sandbox = sandbox().await;
    let person = Person {
        code: Err(CodeError::NoTerminal),
        asked: Arc::default(),
    };
    let given = StaticCode::new(code("000000"));
    let provider = provider(&sandbox, CodeSourceChain::new().or(given).or(person));
    let error = soon("the failure", provider.login())
        .await
        .expect_err("wrong");
    assert!(
        matches!(error, MfaError::InvalidCode { attempts: 1, .. }),
        "{error}"
    );
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_code_program_is_not_rerun_after_a_wrong_code() {
    let sandbox = sandbox().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let person = Person {
        code: Ok(code(&sandbox.next_unused_code())),
        asked: asked.clone(),
    };
    let program = ssm_mfa::ProcessCode::new("/bin/echo", ["000000"]);
    let provider = provider(&sandbox, CodeSourceChain::new().or(program).or(person));
    let error = soon("the failure", provider.login())
        .await
        .expect_err("wrong");
    assert!(matches!(error, MfaError::InvalidCode { .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let requests = sandbox.requests();
    let [request] = requests.as_slice() else {
        panic!("one request, not {requests:?}");
    };
    assert_eq!(
        request.outcome,
        RequestOutcome::Error("AccessDenied".to_owned())
    );
    assert_eq!(
        request.parameter("SerialNumber"),
        Some(sandbox.mfa_serial().as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_generated_from_the_seed_is_accepted() {
    let sandbox = sandbox().await;
    let seed = base32(&sandbox.mfa_seed());
    let totp = Totp::from_base32(&seed).expect("Base32");
    assert!(!format!("{totp:?}").contains(&seed));
    let builder = e2e::mfa(&sandbox).totp(totp);
    let provider = builder.build().expect("complete");
    soon("the login", provider.login())
        .await
        .expect("the code is good");
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
}

/// RFC 4648, section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digits = bits.as_bytes().chunks(5).map(|chunk| {
        let value = chunk
            .iter()
            .fold(0, |value, bit| value << 1 | usize::from(bit & 1));
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value << (5 - chunk.len())])
    });
    digits.collect()
}
