//! Output of processes, good and bad.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

const PAIR: &str = r#""Version":1,"AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"hidden""#;

fn answer(rest: &str) -> Result<Credentials, CredentialsError> {
    credentials(format!("{{{PAIR}{rest}}}").as_bytes())
}

fn chain(error: &CredentialsError) -> String {
    let source = std::error::Error::source(error).expect("a cause");
    format!("{error}: {source}")
}

#[test]
fn empty_tokens_are_absent_and_zones_may_be_spelled_out() {
    for rest in [
        "",
        r#","SessionToken":"""#,
        r#","SessionToken":null,"Expiration":null"#,
    ] {
        let found = answer(rest).expect(rest);
        assert_eq!(
            (found.session_token(), found.expiry()),
            (None, None),
            "{rest}"
        );
    }
    let at = UNIX_EPOCH + Duration::from_secs(4_102_444_800);
    for zone in ["Z", "+00:00", "+0000", "UTC", " UTC"] {
        let found = answer(&format!(r#","Expiration":"2100-01-01T00:00:00{zone}""#)).expect(zone);
        assert_eq!(found.expiry(), Some(at), "{zone}");
    }
}

#[test]
fn wrong_output_is_named_without_its_secrets() {
    for (text, words) in [
        ("hidden", "not JSON (line 1, column 1)"),
        ("{}", "`Version` is not 1"),
        (
            r#"{"Version":1,"AccessKeyId":"a"}"#,
            "`SecretAccessKey` is missing",
        ),
        (
            r#"{"Version":1,"AccessKeyId":"","SecretAccessKey":"hidden"}"#,
            "`AccessKeyId` is missing",
        ),
        (
            r#"{"Version":1,"AccessKeyId":1,"SecretAccessKey":"hidden"}"#,
            "`AccessKeyId` is not a string",
        ),
        (
            r#"{"Version":1,"AccessKeyId":"a","SecretAccessKey":"hidden","Expiration":"soon"}"#,
            "`Expiration` \"soon\"",
        ),
        (
            r#"{"Version":1,"AccessKeyId":"a","SecretAccessKey":"hidden","Expiration":"2001-01-01T00:00:00Z"}"#,
            "have expired already",
        ),
    ] {
        let error = chain(&credentials(text.as_bytes()).expect_err(text));
        assert!(
            error.contains(words) && !error.contains("hidden"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_is_run_word_by_word_without_a_shell() {
    let script = format!("printf %s '{{{PAIR}}}'; exec cat >&2");
    let found = run(&format!("sh -c {}", quoted(&script)))
        .await
        .expect("an answer");
    assert_eq!(found.access_key_id(), "AKIAEXAMPLE");
    let error = chain(
        &run("sh -c 'echo why >&2; exit 3'")
            .await
            .expect_err("fails"),
    );
    assert!(
        error.contains("exit status: 3") && error.contains("why"),
        "{error}"
    );
    let error = chain(
        &run("/no/such/program $HOME")
            .await
            .expect_err("is not there"),
    );
    assert!(
        error.contains("\"/no/such/program\"") && error.contains("no shell"),
        "{error}"
    );
    for wrong in ["'open", " "] {
        let error = chain(&run(wrong).await.expect_err("no command"));
        assert!(error.contains("no command"), "{error}");
    }
}

#[cfg(unix)]
fn quoted(script: &str) -> String {
    format!("\"{}\"", script.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_with_endless_output_does_not_fill_memory() {
    let error = chain(
        &run("sh -c 'head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2'")
            .await
            .expect_err("no answer"),
    );
    assert!(error.contains("not JSON"), "{error}");
}
