//! One prompt and one request per code, and errors that say what is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sts::Client;
use e2e::{config, soon};
use ssm_mfa::{
    Challenge, CodeError, MfaCode, MfaCodeSource, MfaError, MfaProvider, SessionInfo, StaticCode,
};
use ssm_sandbox::{ApiFault, Clock, Sandbox};

async fn sandbox(clock: Clock) -> Sandbox {
    Sandbox::builder()
        .clock(clock)
        .start()
        .await
        .expect("starts")
}

fn provider(sandbox: &Sandbox, source: impl MfaCodeSource) -> MfaProvider {
    let builder = e2e::mfa(sandbox).code_source(source);
    builder.build().expect("complete")
}

fn code(sandbox: &Sandbox) -> MfaCode {
    sandbox.next_unused_code().parse().expect("six digits")
}

async fn peeked(provider: &MfaProvider) -> Option<SessionInfo> {
    soon("a look", provider.peek())
        .await
        .expect("the keys are there")
}

/// A person who answers each prompt once a permit is there.
struct Person {
    asked: Arc<AtomicUsize>,
    answer: Arc<tokio::sync::Semaphore>,
    codes: Vec<MfaCode>,
}

impl Person {
    fn new(codes: Vec<MfaCode>) -> (Self, Arc<AtomicUsize>, Arc<tokio::sync::Semaphore>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(tokio::sync::Semaphore::new(0));
        (
            Self {
                asked: asked.clone(),
                answer: answer.clone(),
                codes,
            },
            asked,
            answer,
        )
    }
}

impl MfaCodeSource for Person {
    fn code<'a>(&'a self, _: &'a Challenge) -> ssm_mfa::BoxFuture<'a, Result<MfaCode, CodeError>> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let permit = self
                .answer
                .acquire()
                .await
                .map_err(|_| CodeError::Cancelled)?;
            permit.forget();
            self.codes.get(number).cloned().ok_or(CodeError::Cancelled)
        })
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_concurrent_callers_cause_one_prompt_and_one_request() {
    let sandbox = sandbox(Clock::default()).await;
    let (person, asked, answer) = Person::new(vec![code(&sandbox)]);
    let provider = provider(&sandbox, person);
    let base = config(&sandbox);
    let clients = [
        Client::new(&provider.sdk_config(&base)),
        Client::new(&provider.sdk_config(&base)),
    ];
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..16 {
        let client = clients[number % 2].clone();
        calls.spawn(async move { client.get_caller_identity().send().await.is_ok() });
    }
    // One of the callers gives up while the person is still typing.
    let impatient = tokio::spawn({
        let provider = provider.clone();
        async move { provider.login().await }
    });
    soon("the prompt", async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    impatient.abort();
    answer.add_permits(1);
    while let Some(call) = soon("the calls", calls.join_next()).await {
        assert!(call.expect("no panic"), "a call failed");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
    assert_eq!(sandbox.request_count("GetCallerIdentity"), 16);
}

/// The SDK's identity cache would drop a prompt after about 20 s and start it again.
#[tokio::test(start_paused = true)]
async fn a_prompt_open_for_two_minutes_is_shown_once() {
    let sandbox = sandbox(Clock::default()).await;
    let slow_code = code(&sandbox);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let source = ssm_mfa::from_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let code = slow_code.clone();
        async move {
            // Virtual time: the clock is paused.
            tokio::time::advance(Duration::from_secs(120)).await;
            Ok(code)
        }
    });
    let provider = provider(&sandbox, source);
    let client = Client::new(&provider.sdk_config(&config(&sandbox)));
    let answered = client.get_caller_identity().send().await;
    assert!(answered.is_ok(), "the call waited for the person");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_once_whatever_sts_answers() {
    for fault in [
        ApiFault::ErrorAfterHandling,
        ApiFault::DropAfterHandling,
        ApiFault::Throttle,
        ApiFault::MalformedBody,
    ] {
        let sandbox = sandbox(Clock::default()).await;
        sandbox.fail_next("GetSessionToken", fault.clone());
        let provider = provider(&sandbox, StaticCode::new(code(&sandbox)));
        let error = soon("the failure", provider.login())
            .await
            .expect_err("fails");
        assert!(error.is_retryable(), "{fault:?}: {error}");
        assert_eq!(sandbox.request_count("GetSessionToken"), 1, "{fault:?}");
        let again = soon("the failure", provider.login())
            .await
            .expect_err("used up");
        assert_eq!(again, MfaError::Code(CodeError::UsedUp));
        assert_eq!(sandbox.request_count("GetSessionToken"), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_prompts_again_and_a_reused_one_is_not_sent() {
    let sandbox = sandbox(Clock::default()).await;
    let good = code(&sandbox);
    let wrong: MfaCode = "000000".parse().expect("six digits");
    let (person, asked, answer) = Person::new(vec![wrong.clone(), wrong, good]);
    answer.add_permits(3);
    let provider = provider(&sandbox, person);
    soon("the login", provider.login())
        .await
        .expect("the third is good");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    // The second code was the same as the first.
    assert_eq!(sandbox.request_count("GetSessionToken"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_codes_end_the_login() {
    let sandbox = sandbox(Clock::default()).await;
    let wrong = ["000000", "000001", "000002", "000003"].map(|code| code.parse().expect("digits"));
    let (person, asked, answer) = Person::new(wrong.to_vec());
    answer.add_permits(4);
    let error = soon("the failure", provider(&sandbox, person).login())
        .await
        .expect_err("wrong");
    assert!(matches!(error, MfaError::InvalidCode { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("mistyped, expired, or already used"),
        "{error}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_device_is_prompted_for_only_once() {
    let sandbox = sandbox(Clock::default()).await;
    let (person, asked, answer) = Person::new(vec![code(&sandbox)]);
    answer.add_permits(1);
    let other = "arn:aws:iam::123456789012:mfa/hana";
    let builder = e2e::mfa(&sandbox).serial(other.parse().expect("a serial number"));
    let provider = builder.code_source(person).build().expect("complete");
    let error = soon("the failure", provider.login())
        .await
        .expect_err("not theirs");
    assert!(matches!(error, MfaError::WrongDevice { .. }), "{error}");
    let key = sandbox.access_key_id();
    assert!(error.to_string().contains(&key[key.len() - 4..]), "{error}");
    assert!(!error.to_string().contains(&key), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_credentials_are_refused_before_any_prompt() {
    let sandbox = sandbox(Clock::default()).await;
    let first = provider(&sandbox, StaticCode::new(code(&sandbox)));
    soon("the login", first.login()).await.expect("good");
    let second = e2e::mfa(&sandbox)
        .source_credentials(first)
        .code_source(StaticCode::new("123456".parse().expect("six digits")))
        .build()
        .expect("complete");
    let error = soon("the failure", second.login())
        .await
        .expect_err("temporary credentials");
    assert!(
        matches!(error, MfaError::SourceIsTemporary { .. }),
        "{error}"
    );
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named_beside_a_wrong_code() {
    let sandbox = sandbox(Clock::default()).await;
    sandbox.fail_next(
        "GetSessionToken",
        ApiFault::DateAhead(Duration::from_secs(90)),
    );
    let wrong = StaticCode::new("000000".parse().expect("six digits"));
    let error = soon("the failure", provider(&sandbox, wrong).login())
        .await
        .expect_err("wrong");
    assert!(error.to_string().contains("clock is"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_reused_until_a_renewal_is_requested() {
    let clock = Clock::default();
    let sandbox = sandbox(clock.clone()).await;
    let codes = [code(&sandbox)];
    let (person, asked, answer) = Person::new(codes.to_vec());
    answer.add_permits(1);
    let provider = provider(&sandbox, person);
    assert_eq!(peeked(&provider).await, None);
    let first = soon("the login", provider.login()).await.expect("good");
    let second = soon("the login", provider.login()).await.expect("good");
    assert_eq!(first, second);
    assert_eq!(peeked(&provider).await, Some(first.clone()));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    answer.add_permits(1);
    let error = soon("the renewal", provider.renew())
        .await
        .expect_err("the person cancels");
    assert_eq!(error, MfaError::Cancelled);
    assert_eq!(
        peeked(&provider).await,
        Some(first),
        "the old session stays"
    );
}

/// The cause can be found from the SDK call's error.
#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_call_fails_with_the_mfa_error_as_its_source() {
    let sandbox = sandbox(Clock::default()).await;
    let provider = provider(
        &sandbox,
        ssm_mfa::from_fn(|_| async { Err(CodeError::Cancelled) }),
    );
    let client = Client::new(&provider.sdk_config(&config(&sandbox)));
    let error = soon("the failure", client.get_caller_identity().send())
        .await
        .expect_err("cancelled");
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut found = None;
    while let Some(error) = source {
        found = found.or(error.downcast_ref::<MfaError>());
        source = error.source();
    }
    assert_eq!(found, Some(&MfaError::Cancelled));
}
