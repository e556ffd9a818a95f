//! Keys and files as the AWS CLI writes them.

use std::time::{Duration, SystemTime};

use super::*;

fn role(arn: &str) -> RoleSpec {
    RoleSpec::new(arn)
}

fn taro() -> Option<MfaSerial> {
    "arn:aws:iam::123456789012:mfa/taro".parse().ok()
}

const DEV: &str = "arn:aws:iam::123456789012:role/dev";

/// Measured with AWS CLI 1.45.11.
#[test]
fn key_is_that_of_the_aws_cli() {
    let seconds = Duration::from_secs;
    for (expected, role, serial) in [
        (
            "153455d5244badc7be9efb843c6b4eecd27b9b01",
            role(DEV),
            taro(),
        ),
        (
            "5cb64ab1f047f8cd68452b368d6141d0276c5ed0",
            role(DEV).duration(seconds(900)),
            taro(),
        ),
        (
            "fca43b780560a904f70d451a580168f92da36826",
            role(DEV)
                .duration(seconds(43_200))
                .external_id("ext/1")
                .session_name("太郎"),
            taro(),
        ),
        (
            "9648c2ce0a4eb4d731870ae9e911307bbb9f06df",
            role("arn:aws:iam::123456789012:role/inherit"),
            None,
        ),
    ] {
        assert_eq!(key(&role, serial.as_ref()), expected, "{role:?}");
    }
}

#[test]
fn string_is_escaped_as_in_python() {
    for (text, json) in [
        ("plain", r#""plain""#),
        ("a\"b\\c/d", r#""a\"b\\c/d""#),
        ("\n\r\t\u{8}\u{c}\u{1}\u{7f}", r#""\n\r\t\b\f\u0001\u007f""#),
        ("太郎", r#""\u592a\u90ce""#),
        ("\u{1f511}", r#""\ud83d\udd11""#),
    ] {
        assert_eq!(python_string(text), json);
    }
}

/// Computed by Python, if there is one, as the CLI does.
#[test]
fn key_is_that_of_python() {
    let program = "import hashlib,json,sys\n\
        args={'RoleArn':sys.argv[1],'ExternalId':sys.argv[2],'DurationSeconds':int(sys.argv[3])}\n\
        print(hashlib.sha1(json.dumps(args,sort_keys=True).encode()).hexdigest())";
    for external in ["ext", "\"\\/", "é太\u{1f511}\u{7f}", "a\u{2028}b"] {
        let arguments = ["-c", program, DEV, external, "7200"];
        let ran = std::process::Command::new("python3")
            .args(arguments)
            .output();
        let Ok(output) = ran else {
            return; // No Python here; the vectors above stand.
        };
        let expected = String::from_utf8_lossy(&output.stdout);
        let role = role(DEV)
            .external_id(external)
            .duration(Duration::from_secs(7200));
        assert_eq!(key(&role, None), expected.trim(), "{external:?}");
    }
}

fn session(left: u64) -> Session {
    let expiry = SystemTime::now() + Duration::from_secs(left);
    Session {
        credentials: Credentials::new("ASIAX", "s3cret", Some("t0ken".into()), Some(expiry), "x"),
        kind: SessionKind::RoleWithCode,
        account: None,
        arn: Some("arn:aws:sts::123456789012:assumed-role/dev/taro".to_owned()),
        code_needed: Some(expiry),
        source: SessionSource::Fresh,
    }
}

#[test]
fn cli_session_is_never_replaced_by_a_shorter_one() {
    let place = tempfile::tempdir().expect("a place");
    let at = place.path().join("cache");
    let dev = role(DEV);
    assert!(read(&at, "k", &dev).is_none());
    let long = session(7200);
    write(&at, "k", &dev, &long).expect("written");
    write(&at, "k", &dev, &session(3600)).expect("left alone");
    let back = read(&at, "k", &dev).expect("there");
    assert_eq!(back.credentials.session_token(), Some("t0ken"));
    let left = |session: &Session| session.credentials.expiry().map(rfc3339);
    assert_eq!(left(&back), left(&long));
    assert_eq!(back.source, SessionSource::CliCache);
    write(&at, "k", &dev, &session(9000)).expect("longer");
    assert_ne!(read(&at, "k", &dev).as_ref().and_then(left), left(&long));
}

#[cfg(unix)]
#[test]
fn damaged_exposed_or_foreign_cli_session_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = tempfile::tempdir().expect("a place");
    let at = place.path().join("cache");
    let dev = role(DEV);
    write(&at, "k", &dev, &session(3600)).expect("written");
    let path = at.join("k.json");
    let mode = |path: &Path| {
        let found = std::fs::metadata(path).expect("there");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(&path), 0o600);
    assert!(read(&at, "k", &role("arn:aws:iam::123456789012:role/devother")).is_none());
    assert!(read(&at, "k", &role("arn:aws:iam::999999999999:role/dev")).is_none());
    let text = std::fs::read_to_string(&path).expect("JSON");
    for form in ["+00:00", "UTC"] {
        let other = text.replace("Z\"}", &format!("{form}\"}}"));
        assert_ne!(other, text);
        std::fs::write(&path, other).expect("ours");
        assert!(read(&at, "k", &dev).is_some(), "{form}");
    }
    for damaged in ["", "{}", "not JSON", &text[..40], &text.replace("Arn", "X")] {
        std::fs::write(&path, damaged).expect("ours");
        assert!(read(&at, "k", &dev).is_none(), "{damaged}");
    }
    std::fs::write(&path, &text).expect("ours");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
    assert!(read(&at, "k", &dev).is_none());
}
