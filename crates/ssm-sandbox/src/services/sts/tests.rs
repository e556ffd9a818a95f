//! What STS and IAM grant and refuse, called without HTTP.

use std::sync::Arc;
use std::time::Duration;

use crate::account::role::Role;
use crate::account::user::User;
use crate::account::{Account, Caller};
use crate::clock::Clock;
use crate::services::query::Form;
use crate::services::response::ServiceResponse;
use crate::services::{iam, sts};
use crate::state::State;
use crate::state::faults::Faults;

const PHONE: &str = "arn:aws:iam::123456789012:mfa/phone";
const HARDWARE: &str = "GAHT12345678";
const HANAKO: &str = "arn:aws:iam::123456789012:mfa/hanako";
const KEY: &str = "arn:aws:iam::123456789012:u2f/user/taro/usb";
const HOUR: Duration = Duration::from_secs(3600);

/// Two users: one with two devices and a passkey, one who may not read IAM.
fn state(roles: Vec<Role>) -> Arc<State> {
    let taro = User::new("taro")
        .virtual_device("phone")
        .hardware_device(HARDWARE)
        .security_key("usb");
    let users = vec![taro, User::from("hanako").reads_iam(false)];
    let account = Account::new(users, roles, true, fastrand::Rng::with_seed(1));
    let region = "us-east-1".to_owned();
    let gateway = String::new();
    State::new(
        Clock::default(),
        region,
        gateway,
        Faults::default(),
        false,
        account,
    )
}

fn form(parameters: &[(&str, &str)]) -> Form {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    parameters.iter().map(pair).collect()
}

fn caller(state: &State, user: &str) -> Caller {
    let account = state.account();
    let key = &account.user(user).expect("a user").key;
    account.caller(&key.id).expect("a known key")
}

fn code(state: &State, serial: &str) -> String {
    let account = state.account();
    let device = account.device(serial).expect("a device");
    device.next_code(state.clock.unix())
}

/// The response's text: what it granted, or why it refused.
fn text(answer: &ServiceResponse) -> &str {
    let from = answer.body.find("<Message>").map_or(0, |at| at + 9);
    let to = answer.body.find("</Message>");
    answer
        .body
        .get(from..to.unwrap_or(answer.body.len()))
        .expect("in order")
}

fn session(state: &State, user: &str, serial: &str, code: &str) -> ServiceResponse {
    let form = form(&[
        ("Action", "GetSessionToken"),
        ("SerialNumber", serial),
        ("TokenCode", code),
    ]);
    sts::answer(state, &caller(state, user), &form)
}

/// The principal of the credentials in a response.
fn holder(state: &State, answer: &ServiceResponse) -> Caller {
    assert_eq!(answer.error, None, "{}", answer.body);
    let (_, rest) = answer
        .body
        .split_once("<AccessKeyId>")
        .expect("credentials");
    let (id, _) = rest.split_once('<').expect("credentials");
    state.account().caller(id).expect("a known key")
}

fn assume(state: &State, caller: &Caller, role: &str, more: &[(&str, &str)]) -> ServiceResponse {
    let arn = format!("arn:aws:iam::123456789012:role/{role}");
    let mut form = form(more);
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("RoleArn", arn.as_str()),
        ("RoleSessionName", "test"),
    ] {
        form.insert(name.to_owned(), value.to_owned());
    }
    sts::answer(state, caller, &form)
}

#[test]
fn a_code_is_good_once_and_each_device_has_its_own() {
    let state = state(Vec::new());
    let first = code(&state, PHONE);
    assert_eq!(session(&state, "taro", PHONE, &first).error, None);
    let again = session(&state, "taro", PHONE, &first);
    assert_eq!(
        text(&again),
        "MultiFactorAuthentication failed with invalid MFA one time pass code. "
    );
    let hardware = code(&state, HARDWARE);
    assert_eq!(session(&state, "taro", HARDWARE, &hardware).error, None);
    assert_ne!(code(&state, PHONE), code(&state, HARDWARE));
}

#[test]
fn other_users_devices_and_passkeys_are_refused() {
    let state = state(Vec::new());
    for serial in [HANAKO, KEY, "arn:aws:iam::123456789012:mfa/nobody"] {
        let answer = session(&state, "taro", serial, "123456");
        assert_eq!(
            text(&answer),
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
        );
    }
    let theirs = code(&state, HANAKO);
    assert_eq!(session(&state, "hanako", HANAKO, &theirs).error, None);
}

#[test]
fn a_serial_without_a_code_has_its_own_error_text() {
    let state = state(Vec::new());
    let form = form(&[("Action", "GetSessionToken"), ("SerialNumber", PHONE)]);
    let answer = sts::answer(&state, &caller(&state, "taro"), &form);
    assert_eq!(
        text(&answer),
        "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
    );
}

#[test]
fn a_role_enforces_mfa_external_id_and_longest_session() {
    let state = state(vec![
        Role::new("dev").max_session_duration(2 * HOUR),
        Role::new("partner")
            .requires_mfa(false)
            .external_id("ext/1"),
    ]);
    let taro = caller(&state, "taro");
    let denied = "User: arn:aws:iam::123456789012:user/taro is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/";
    assert_eq!(
        text(&assume(&state, &taro, "dev", &[])),
        format!("{denied}dev")
    );
    let unknown = assume(&state, &taro, "unknown", &[]);
    assert_eq!(text(&unknown), format!("{denied}unknown"));
    let partner = assume(&state, &taro, "partner", &[]);
    assert_eq!(text(&partner), format!("{denied}partner"));
    let partner = assume(&state, &taro, "partner", &[("ExternalId", "ext/1")]);
    assert_eq!(holder(&state, &partner).mfa_at, None);

    let with_code = |seconds: &str| {
        let code = code(&state, PHONE);
        let parameters = [
            ("SerialNumber", PHONE),
            ("TokenCode", code.as_str()),
            ("DurationSeconds", seconds),
        ];
        assume(&state, &taro, "dev", &parameters)
    };
    let long = with_code("7201");
    assert_eq!(
        text(&long),
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    );
    let role = holder(&state, &with_code("7200"));
    assert_eq!(role.arn, "arn:aws:sts::123456789012:assumed-role/dev/test");
    assert!(role.mfa_at.is_some());
}

#[test]
fn a_role_chained_from_an_mfa_session_lasts_an_hour_at_most() {
    let state = state(vec![Role::new("dev").max_session_duration(12 * HOUR)]);
    let digits = code(&state, PHONE);
    let taro = holder(&state, &session(&state, "taro", PHONE, &digits));
    assert!(taro.mfa_at.is_some());
    let again = sts::answer(&state, &taro, &form(&[("Action", "GetSessionToken")]));
    assert_eq!(
        text(&again),
        "Cannot call GetSessionToken with session credentials"
    );
    let chained = assume(&state, &taro, "dev", &[("DurationSeconds", "3601")]);
    assert_eq!(
        text(&chained),
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    );
    let role = holder(&state, &assume(&state, &taro, "dev", &[]));
    assert_eq!(role.mfa_at, taro.mfa_at);
}

#[test]
fn a_role_refuses_an_mfa_that_is_too_old() {
    let role = Role::new("prod").max_mfa_age(Duration::from_secs(900));
    let state = state(vec![role]);
    let digits = code(&state, PHONE);
    let session = holder(&state, &session(&state, "taro", PHONE, &digits));
    assert_eq!(assume(&state, &session, "prod", &[]).error, None);
    state.clock.advance(Duration::from_secs(900));
    let old = assume(&state, &session, "prod", &[]);
    assert!(text(&old).contains("not authorized to perform: sts:AssumeRole"));
    let fresh = code(&state, PHONE);
    let parameters = [("SerialNumber", PHONE), ("TokenCode", fresh.as_str())];
    let taro = caller(&state, "taro");
    assert_eq!(assume(&state, &taro, "prod", &parameters).error, None);
}

#[test]
fn users_list_their_own_devices_if_allowed() {
    let state = state(Vec::new());
    let list = form(&[("Action", "ListMFADevices"), ("Version", "2010-05-08")]);
    let answer = iam::answer(&state, &caller(&state, "taro"), &list);
    for serial in [PHONE, HARDWARE, KEY] {
        let element = format!("<SerialNumber>{serial}</SerialNumber>");
        assert!(answer.body.contains(&element), "{}", answer.body);
    }
    assert!(!answer.body.contains(HANAKO), "{}", answer.body);
    let refused = iam::answer(&state, &caller(&state, "hanako"), &list);
    assert_eq!(refused.error.as_deref(), Some("AccessDenied"));
    assert!(text(&refused).contains("iam:ListMFADevices on resource: user hanako"));
}
