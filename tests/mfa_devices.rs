//! The MFA devices of a user, as reported by an IAM that checks signatures.

use aws_credential_types::Credentials;
use e2e::{config, config_with, soon};
use ssm_mfa::{Devices, MemoryStore, MfaError, MfaProvider, MfaProviderBuilder, StaticCode};
use ssm_sandbox::{ApiFault, Sandbox, User};

const ACCOUNT: &str = "arn:aws:iam::123456789012";

async fn sandbox(user: User) -> Sandbox {
    let builder = Sandbox::builder().user(user);
    builder.start().await.expect("starts")
}

fn builder(sandbox: &Sandbox) -> MfaProviderBuilder {
    MfaProvider::builder()
        .sts_config(&config(sandbox))
        .store(MemoryStore::new())
}

async fn found(sandbox: &Sandbox) -> Devices {
    let builder = builder(sandbox);
    let found = soon("the devices", builder.find_devices()).await;
    found.expect("IAM or STS answers")
}

async fn error(builder: MfaProviderBuilder) -> String {
    let found = soon("the failure", builder.find_devices()).await;
    let error = found.expect_err("there are none");
    assert!(matches!(error, MfaError::Devices(_)), "{error:?}");
    format!("{error} {error:?}")
}

fn names(devices: &Devices) -> Vec<&str> {
    devices.usable.iter().map(|it| it.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_with_codes_is_found_and_used() {
    let user = User::new("ann").security_key("key").virtual_device("phone");
    let sandbox = sandbox(user).await;
    let phone = format!("{ACCOUNT}:mfa/phone");
    let devices = found(&sandbox).await;
    assert_eq!(names(&devices), [phone.as_str()]);
    let key = format!("{ACCOUNT}:u2f/user/ann/key");
    assert_eq!(devices.security_keys, [key]);
    assert!(!devices.guessed);

    let code = sandbox.next_unused_code_of(&phone).expect("it has codes");
    let source = StaticCode::new(code.parse().expect("six digits"));
    let builder = builder(&sandbox).code_source(source).find_serial();
    let provider = soon("the device", builder).await.expect("there is one");
    let provider = provider.build().expect("complete");
    soon("the login", provider.login()).await.expect("good");
    let requests = sandbox.requests();
    let login = requests.iter().find(|it| it.action == "GetSessionToken");
    let serial = login.and_then(|it| it.parameter("SerialNumber"));
    assert_eq!(serial, Some(phone.as_str()));
    assert_eq!(sandbox.request_count("ListMFADevices"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hardware_devices_are_listed_with_virtual_ones() {
    let user = User::new("bob").hardware_device("GAHT12345678");
    let sandbox = sandbox(user.virtual_device("bob")).await;
    let second = format!("{ACCOUNT}:mfa/bob");
    let devices = found(&sandbox).await;
    assert_eq!(names(&devices), ["GAHT12345678", second.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_only_a_passkey_gets_that_error() {
    let sandbox = sandbox(User::new("eve").security_key("key")).await;
    let found = soon("the failure", builder(&sandbox).find_serial()).await;
    let error = found.expect_err("it has no codes").to_string();
    assert!(error.contains("passkey or security key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_is_guessed_from_the_user_name_when_iam_denies() {
    let user = User::new("taro").path("/division/team/").reads_iam(false);
    let sandbox = sandbox(user).await;
    let devices = found(&sandbox).await;
    assert!(devices.guessed);
    assert_eq!(names(&devices), [format!("{ACCOUNT}:mfa/taro")]);
    let calls = ["ListMFADevices", "GetCallerIdentity"].map(|it| sandbox.request_count(it));
    assert_eq!(calls, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_quotes_iam_without_secrets() {
    let sandbox = sandbox(User::from("taro")).await;
    let wrong = "WRONG-SECRET-MARKER";
    let token = "TOKEN-MARKER";
    let id = sandbox.access_key_id();
    for (token, expected) in [
        (None, "SignatureDoesNotMatch"),
        (Some(token), "InvalidClientTokenId"),
    ] {
        let keys = Credentials::new(&id, wrong, token.map(str::to_owned), None, "test");
        let base = config_with(&sandbox, keys);
        let error = error(MfaProvider::builder().sts_config(&base)).await;
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("MARKER"), "{error}");
    }
    sandbox.fail_next("ListMFADevices", ApiFault::Throttle);
    let text = error(builder(&sandbox)).await;
    assert!(text.contains("Throttling"), "{text}");
    sandbox.fail_next("ListMFADevices", ApiFault::DropAfterHandling);
    let text = error(builder(&sandbox)).await;
    assert!(text.contains("no answer from IAM"), "{text}");
}
