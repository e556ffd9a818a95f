//! How often a provider is asked.

use std::sync::atomic::AtomicUsize;

use tokio::sync::Semaphore;

use super::*;

type Answer = fn(usize) -> Result<Credentials, CredentialsError>;

/// Counts how often it is asked, and answers once for each permit.
#[derive(Debug, Clone)]
struct Counted {
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    answer: Answer,
}

impl ProvideCredentials for Counted {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(async {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.gate.acquire().await.expect("open").forget();
            (self.answer)(asked)
        })
    }
}

fn counted(permits: usize, answer: Answer) -> (Counted, Cached) {
    let provider = Counted {
        asked: Arc::default(),
        gate: Arc::new(Semaphore::new(permits)),
        answer,
    };
    let cached = Cached::new(
        "profile x".to_owned(),
        Some("do this".to_owned()),
        provider.clone(),
    );
    (provider, cached)
}

fn keys(expiry: Option<Duration>) -> Credentials {
    let expiry = expiry.map(|left| SystemTime::now() + left);
    Credentials::new("AKIAEXAMPLE", "hidden", None, expiry, "test")
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn many_clients_cause_one_fetch() {
    let (provider, cached) = counted(1, |_| Ok(keys(Some(HOUR))));
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let cached = cached.clone();
            tokio::spawn(async move { cached.get().await })
        })
        .collect();
    for waiting in waiting {
        waiting.await.expect("ends").expect("credentials");
    }
    cached.get().await.expect("kept");
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn waiting_callers_share_a_failure_and_the_next_one_retries() {
    let (provider, cached) = counted(0, |asked| match asked {
        1 => Err(CredentialsError::provider_error("out of luck")),
        _ => Ok(keys(None)),
    });
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let cached = cached.clone();
            tokio::spawn(async move { cached.get().await })
        })
        .collect();
    // All of them have come once the first asks and the others hold no result yet.
    while provider.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    provider.gate.add_permits(1);
    for waiting in waiting {
        let error = waiting.await.expect("ends").expect_err("fails");
        assert_eq!(error.to_string(), "no credentials from profile x (do this)");
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
    provider.gate.add_permits(1);
    cached.get().await.expect("better luck");
    assert_eq!(provider.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_fetch() {
    let (provider, cached) = counted(0, |_| Ok(keys(None)));
    let first = tokio::spawn({
        let cached = cached.clone();
        async move { cached.get().await }
    });
    while provider.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    provider.gate.add_permits(1);
    cached.get().await.expect("the first caller's fetch");
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_panic_of_the_provider_is_an_error_of_its_source() {
    let (_, cached) = counted(1, |_| panic!("unexpected"));
    let error = cached.get().await.expect_err("fails");
    let cause = std::error::Error::source(&error).expect("a cause");
    let cause = std::error::Error::source(cause).expect("its text");
    assert!(
        error
            .to_string()
            .starts_with("no credentials from profile x"),
        "{error}"
    );
    assert!(cause.to_string().contains("unexpected"), "{cause}");
}

#[tokio::test]
async fn credentials_lose_line_ends_and_fit_a_header() {
    let (_, cached) = counted(1, |_| {
        Ok(Credentials::new(
            "AKIAEXAMPLE\n",
            "hidden",
            Some("abc\n".to_owned()),
            None,
            "test",
        ))
    });
    let found = cached.get().await.expect("usable");
    assert_eq!(
        (found.access_key_id(), found.session_token()),
        ("AKIAEXAMPLE", Some("abc"))
    );
    let (_, cached) = counted(1, |_| {
        Ok(Credentials::new(
            "AKIAEXAMPLE",
            "hidden",
            Some("hidden\nhidden".to_owned()),
            None,
            "test",
        ))
    });
    let error = format!("{:?}", cached.get().await.expect_err("refused"));
    assert!(
        error.contains("the session token") && !error.contains("hidden"),
        "{error}"
    );
}

#[test]
fn credentials_are_fresh_until_shortly_before_they_expire() {
    let now = SystemTime::now();
    let fetched = |left: Option<Duration>, age: Duration| Fetched {
        credentials: Credentials::new("a", "b", None, left.map(|left| now + left), "test"),
        at: now - age,
    };
    let minute = Duration::from_secs(60);
    for (left, age, fresh) in [
        (None, 14 * minute, true),
        (None, 15 * minute, false),
        (Some(6 * minute), 30 * minute, true),
        (Some(4 * minute), 30 * minute, false),
        // Their whole life is shorter than the margin.
        (Some(minute), minute / 2, true),
    ] {
        assert_eq!(fetched(left, age).is_fresh(now), fresh, "{left:?} {age:?}");
    }
}
