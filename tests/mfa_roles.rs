//! What a code is used for, and how long it lasts: users' sessions, roles, chains, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_sts::Client;
use aws_types::sdk_config::TimeSource;
use e2e::{closed_port, config, soon};
use ssm_mfa::{
    CodeFate, Interaction, LockAttempt, MemoryStore, MfaCode, MfaError, MfaProvider,
    MfaProviderBuilder, RoleSpec, SessionInfo, SessionKind, SessionSource, SessionStore,
    StaticCode, StoreError, Strategy, Zeroizing,
};
use ssm_sandbox::{ApiFault, Clock, Role, Sandbox};

const DEV: &str = "arn:aws:iam::123456789012:role/dev";
const HOUR: Duration = Duration::from_secs(3600);

/// The sandbox's clock, for the SDK and for the provider.
#[derive(Debug)]
struct Time(Clock);

impl TimeSource for Time {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// A sandbox, the clock that all share, and a device that is read when a code is asked for.
struct Account {
    sandbox: Arc<Sandbox>,
    clock: Clock,
    asked: Arc<AtomicUsize>,
}

impl Account {
    async fn with(roles: impl IntoIterator<Item = Role>) -> Self {
        let clock = Clock::default();
        let mut builder = Sandbox::builder().clock(clock.clone());
        for role in roles {
            builder = builder.role(role);
        }
        Self {
            sandbox: Arc::new(builder.start().await.expect("starts")),
            clock,
            asked: Arc::default(),
        }
    }

    fn config(&self) -> SdkConfig {
        let config = config(&self.sandbox).into_builder();
        config.time_source(Time(self.clock.clone())).build()
    }

    fn provider(&self) -> MfaProviderBuilder {
        let (sandbox, asked) = (self.sandbox.clone(), self.asked.clone());
        let device = ssm_mfa::from_fn(move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            let code = sandbox.next_unused_code().parse::<MfaCode>();
            async move { Ok(code?) }
        });
        MfaProvider::builder()
            .sts_config(&self.config())
            .serial(self.sandbox.mfa_serial().parse().expect("a serial"))
            .code_source(device)
            .store(MemoryStore::new())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// GetSessionToken and AssumeRole calls, and how often a code was sent twice.
    fn calls(&self) -> (usize, usize, usize) {
        let count = |action| self.sandbox.request_count(action);
        let repeated = self.sandbox.repeated_codes();
        (count("GetSessionToken"), count("AssumeRole"), repeated)
    }
}

fn built(builder: MfaProviderBuilder) -> MfaProvider {
    builder.build().expect("complete")
}

async fn logged_in(provider: &MfaProvider) -> SessionInfo {
    soon("the login", provider.login()).await.expect("logs in")
}

async fn refused(provider: &MfaProvider) -> MfaError {
    soon("the failure", provider.login())
        .await
        .expect_err("is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_a_day_covers_all_roles_and_renewals() {
    let account = Account::with([Role::new("dev"), Role::new("ops")]).await;
    let store = MemoryStore::new();
    let role = |name: &str| {
        let arn = format!("arn:aws:iam::123456789012:role/{name}");
        let provider = account.provider().role(RoleSpec::new(arn));
        built(provider.store(store.clone()))
    };
    let (dev, ops) = (role("dev"), role("ops"));
    let info = logged_in(&dev).await;
    assert_eq!(info.kind, SessionKind::Role);
    assert_eq!(info.account.as_deref(), Some("123456789012"));
    assert!(info.arn.expect("a role's").contains(":assumed-role/dev/"));
    let lasts =
        |at: Option<SystemTime>| at.and_then(|at| at.duration_since(account.clock.now()).ok());
    assert!(lasts(info.expires) <= Some(HOUR));
    assert!(lasts(info.code_needed) > Some(11 * HOUR));
    logged_in(&ops).await;
    assert_eq!((account.asked(), account.calls()), (1, (1, 2, 0)));

    // The role is renewed every hour, before it expires and without a code.
    let client = Client::new(&dev.sdk_config(&account.config()));
    for hour in 1..=11 {
        // The SDK refreshes credentials 2.5 to 5 minutes before they expire.
        account.clock.advance(Duration::from_secs(3500));
        let answer = soon("a call", client.get_caller_identity().send()).await;
        assert!(answer.is_ok(), "after {hour} hours");
        assert_eq!((account.asked(), account.calls().1), (1, 2 + hour));
    }
    // A caller that warns ten minutes ahead, as a tunnel does, gets new credentials by then.
    account.clock.advance(HOUR - Duration::from_secs(600));
    soon("credentials", dev.provide_credentials())
        .await
        .expect("renewed");
    assert_eq!((account.asked(), account.calls().1), (1, 14));
    account.clock.advance(2 * HOUR);
    let answer = soon("a call", client.get_caller_identity().send()).await;
    assert!(answer.is_ok(), "the next day");
    assert_eq!((account.asked(), account.calls().0), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_longer_than_an_hour_is_assumed_with_the_code() {
    let account = Account::with([Role::new("dev").max_session_duration(8 * HOUR)]).await;
    let role = |hours| {
        account
            .provider()
            .role(RoleSpec::new(DEV).duration(hours * HOUR))
    };
    let info = logged_in(&built(role(8))).await;
    assert_eq!(info.kind, SessionKind::RoleWithCode);
    assert_eq!(info.code_needed, info.expires);
    assert_eq!((account.asked(), account.calls()), (1, (0, 1, 0)));

    let error = refused(&built(role(12))).await;
    assert!(matches!(error, MfaError::DurationTooLong { .. }), "{error}");
    assert!(error.to_string().contains("duration_seconds"), "{error}");
    assert_eq!(account.asked(), 2, "no other code is asked for");
}

/// A role assumed from a session lasts at most an hour: a longer request is repeated for an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_over_a_session_falls_back_to_one_hour() {
    let account = Account::with([Role::new("dev").max_session_duration(8 * HOUR)]).await;
    let role = RoleSpec::new(DEV).duration(2 * HOUR);
    let provider = account.provider().role(role).strategy(Strategy::Session);
    let info = logged_in(&built(provider)).await;
    assert_eq!(info.kind, SessionKind::Role);
    assert_eq!((account.asked(), account.calls()), (1, (1, 2, 0)));
    let requests = account.sandbox.requests();
    let durations: Vec<_> = requests
        .iter()
        .filter(|request| request.action == "AssumeRole")
        .filter_map(|request| request.parameter("DurationSeconds"))
        .collect();
    assert_eq!(durations, ["7200", "3600"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_requiring_recent_mfa_prompts_once() {
    let account = Account::with([Role::new("dev").max_mfa_age(HOUR / 2)]).await;
    let provider = built(account.provider().role(RoleSpec::new(DEV)));
    assert_eq!(logged_in(&provider).await.kind, SessionKind::Role);
    account.clock.advance(HOUR);
    // The session is too old for the role now.
    let info = logged_in(&provider).await;
    assert_eq!(info.kind, SessionKind::RoleWithCode);
    assert_eq!((account.asked(), account.calls()), (2, (1, 3, 0)));
    // From now on the role is assumed with the code directly.
    account.clock.advance(HOUR);
    logged_in(&provider).await;
    assert_eq!((account.asked(), account.calls()), (3, (1, 4, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_denied_to_the_user_costs_at_most_one_more_code() {
    let account = Account::with([Role::new("dev").external_id("agreed")]).await;
    let error = refused(&built(account.provider().role(RoleSpec::new(DEV)))).await;
    assert!(matches!(error, MfaError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("trust policy"), "{error}");
    assert_eq!(account.asked(), 2);
    let role = RoleSpec::new(DEV).external_id("agreed");
    account.clock.advance(Duration::from_secs(60));
    let provider = built(account.provider().role(role));
    assert_eq!(logged_in(&provider).await.kind, SessionKind::Role);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_assumed_in_a_chain() {
    let account = Account::with([Role::new("dev"), Role::new("far")]).await;
    let far = RoleSpec::new("arn:aws:iam::123456789012:role/far").session_name("taro-far");
    let chain = account.provider().role(RoleSpec::new(DEV)).role(far);
    let arn = logged_in(&built(chain)).await.arn.expect("a role's");
    assert!(arn.ends_with(":assumed-role/far/taro-far"), "{arn}");
    assert_eq!((account.asked(), account.calls()), (1, (1, 2, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_without_a_device_names_the_missing_mfa_serial() {
    let account = Account::with([Role::new("dev"), Role::new("open").requires_mfa(false)]).await;
    let plain = || {
        let builder = MfaProvider::builder().sts_config(&account.config());
        builder.store(MemoryStore::new())
    };
    let error = refused(&built(plain().role(RoleSpec::new(DEV)))).await;
    assert!(matches!(error, MfaError::MfaRequired { .. }), "{error}");
    assert!(error.to_string().contains("mfa_serial = "), "{error}");
    let open = RoleSpec::new("arn:aws:iam::123456789012:role/open");
    let provider = built(plain().role(open));
    assert_eq!(logged_in(&provider).await.kind, SessionKind::RoleWithoutMfa);
    assert!(provider.hint_after_denial().is_some());

    // Without a role, the configured keys are returned.
    let provider = built(plain());
    let info = logged_in(&provider).await;
    assert_eq!(info.kind, SessionKind::Configured);
    assert_eq!(info.access_key_id, account.sandbox.access_key_id());
    let hint = provider.hint_after_denial().expect("without MFA");
    assert!(hint.contains("mfa_serial"), "{hint}");
    assert_eq!(account.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_may_not_prompt_require_a_login() {
    let account = Account::with([]).await;
    let quiet = built(account.provider().interaction(Interaction::LoginOnly));
    let error = soon("the failure", quiet.provide_credentials())
        .await
        .expect_err("no session");
    let cause =
        std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<MfaError>());
    assert!(
        matches!(cause, Some(MfaError::LoginRequired { .. })),
        "{cause:?}"
    );
    assert!(cause.is_some_and(MfaError::needs_user));
    assert_eq!(account.asked(), 0);
    logged_in(&quiet).await;
    let credentials = || soon("credentials", quiet.provide_credentials());
    credentials().await.expect("logged in");
    assert_eq!(quiet.hint_after_denial(), None);
    // Credentials about to expire are better than none.
    account.clock.advance(12 * HOUR - Duration::from_secs(60));
    credentials().await.expect("a minute left");
    account.clock.advance(Duration::from_secs(61));
    credentials().await.expect_err("over");
    assert_eq!(account.asked(), 1);

    let never = built(account.provider().interaction(Interaction::Never));
    let error = refused(&never).await;
    assert!(matches!(error, MfaError::LoginRequired { .. }), "{error}");
    assert_eq!(account.asked(), 1);
}

/// AWS may revoke a session: a stored one must not be retried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_session_rejected_by_aws_is_replaced() {
    let account = Account::with([Role::new("dev")]).await;
    let store = MemoryStore::new();
    logged_in(&built(account.provider().store(store.clone()))).await;
    account.sandbox.expire_sessions();
    let role = account.provider().store(store).role(RoleSpec::new(DEV));
    let info = logged_in(&built(role)).await;
    assert_eq!(info.source, SessionSource::Fresh);
    assert_eq!((account.asked(), account.calls()), (2, (2, 2, 0)));
}

/// Neither the store nor memory may bring a withdrawn session back.
#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_session_is_replaced_though_the_store_keeps_it() {
    /// Removes nothing.
    struct Sticky(MemoryStore);

    impl SessionStore for Sticky {
        fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
            self.0.load(key)
        }

        fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError> {
            self.0.save(key, body)
        }

        fn remove(&self, key: &str) -> Result<(), StoreError> {
            Err(StoreError::new(key, "read only"))
        }

        fn try_lock(&self, name: &str) -> LockAttempt {
            self.0.try_lock(name)
        }
    }

    let account = Account::with([Role::new("dev")]).await;
    let store = MemoryStore::new();
    logged_in(&built(account.provider().store(store.clone()))).await;
    account.sandbox.expire_sessions();
    let role = account.provider().store(Sticky(store));
    logged_in(&built(role.role(RoleSpec::new(DEV)))).await;
    assert_eq!((account.asked(), account.calls()), (2, (2, 2, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_session_is_replaced_in_the_program_that_started_it() {
    let account = Account::with([Role::new("dev")]).await;
    let provider = built(account.provider().role(RoleSpec::new(DEV)));
    logged_in(&provider).await;
    account.sandbox.expire_sessions();
    // The role's session is due for renewal; the user's, in memory, looks good for hours.
    account.clock.advance(HOUR - Duration::from_secs(300));
    logged_in(&provider).await;
    assert_eq!((account.asked(), account.calls()), (2, (2, 3, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_credentials_use_a_code_for_roles_only() {
    let account = Account::with([Role::new("dev")]).await;
    let base = built(account.provider());
    logged_in(&base).await;
    let role = || {
        account
            .provider()
            .source_credentials(base.clone())
            .role(RoleSpec::new(DEV))
    };
    let info = logged_in(&built(role())).await;
    assert_eq!(info.kind, SessionKind::RoleWithCode);
    let error = refused(&built(role().strategy(Strategy::Session))).await;
    assert!(
        matches!(error, MfaError::SourceIsTemporary { .. }),
        "{error}"
    );
    assert_eq!(account.calls().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_renewal_keeps_the_working_credentials() {
    let account = Account::with([Role::new("dev")]).await;
    let provider = built(account.provider().role(RoleSpec::new(DEV)));
    logged_in(&provider).await;
    account.clock.advance(HOUR - Duration::from_secs(120));
    for _ in 0..3 {
        account.sandbox.fail_next("AssumeRole", ApiFault::Throttle);
    }
    soon("credentials", provider.provide_credentials())
        .await
        .expect("two minutes left");
    let info = logged_in(&provider).await;
    let renewed = info.expires > Some(account.clock.now() + HOUR / 2);
    assert!(renewed, "in the end: {info:?}");
    assert_eq!(account.asked(), 1);
}

/// An operation timeout ends the call but not the prompt, whose code serves the next call.
#[tokio::test(start_paused = true)]
async fn an_operation_timeout_does_not_end_a_slow_prompt() {
    let account = Account::with([]).await;
    let (asked, code) = (account.asked.clone(), account.sandbox.next_unused_code());
    let slow = ssm_mfa::from_fn(move |_| {
        asked.fetch_add(1, Ordering::SeqCst);
        let code = code.parse::<MfaCode>();
        async move {
            tokio::time::sleep(Duration::from_secs(40)).await;
            Ok(code?)
        }
    });
    let provider = built(account.provider().code_source(slow));
    let hasty = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5));
    let base = account.config().into_builder();
    let base = base.timeout_config(hasty.build()).build();
    let client = Client::new(&provider.sdk_config(&base));
    let first = client.get_caller_identity().send().await;
    assert!(first.is_err(), "the call's own timeout stays as it is");
    let info = provider.login().await.expect("the prompt went on");
    assert_eq!(info.kind, SessionKind::Mfa);
    let second = client.get_caller_identity().send().await;
    assert!(second.is_ok(), "the session serves the next call");
    assert_eq!((account.asked(), account.calls().0), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_never_sent_stays_usable() {
    let account = Account::with([]).await;
    let closed = format!("http://{}", closed_port());
    let config = account.config().into_builder().endpoint_url(closed).build();
    let same = ssm_mfa::from_fn(|_| async { Ok("123456".parse()?) });
    let provider = built(account.provider().sts_config(&config).code_source(same));
    for _ in 0..2 {
        let error = refused(&provider).await;
        let unsent = matches!(
            error,
            MfaError::Network {
                code: CodeFate::NotSent,
                ..
            }
        );
        assert!(unsent, "{error}");
        assert!(
            error.to_string().contains("the code was not sent"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_warns_before_it_ends() {
    let account = Account::with([]).await;
    let store = MemoryStore::new();
    let provider = built(account.provider().store(store.clone()));
    logged_in(&provider).await;
    let ahead = Duration::from_secs(600);
    let early = tokio::time::timeout(HOUR, provider.code_needed_within(ahead)).await;
    assert!(early.is_err(), "there are hours left");
    account.clock.advance(12 * HOUR - ahead);
    let info = soon("the warning", provider.code_needed_within(ahead)).await;
    assert_eq!(info.kind, SessionKind::Mfa);
    // A login elsewhere postpones the warning.
    let elsewhere = built(account.provider().store(store));
    soon("the renewal", elsewhere.renew())
        .await
        .expect("logs in");
    let early = tokio::time::timeout(HOUR, provider.code_needed_within(ahead)).await;
    assert!(early.is_err(), "another program has logged in");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_device_error_names_the_keys_owner() {
    let account = Account::with([]).await;
    let serial = "arn:aws:iam::123456789012:mfa/hana";
    let code = StaticCode::new("123456".parse().expect("six digits"));
    let provider = account.provider().code_source(code);
    let provider = provider.serial(serial.parse().expect("a serial"));
    let text = refused(&built(provider)).await.to_string();
    let endpoint = account.sandbox.endpoint_url();
    for part in [serial, ":user/taro", "mfa_serial", &endpoint] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}
