//! Two files as one configuration.

use super::*;

fn shared(config: &[u8], credentials: &[u8]) -> Result<SharedConfig, ConfigError> {
    SharedConfig::new(&ConfigFiles {
        config: Some(File::new("/aws/config", config)),
        credentials: Some(File::new("/aws/credentials", credentials)),
    })
}

fn text<'a>(shared: &'a SharedConfig, profile: &str, key: &str) -> Option<&'a str> {
    match shared.profiles.get(profile)?.get(key)? {
        Value::Text(text) => Some(text),
        Value::Nested(_) => panic!("{key} is nested"),
    }
}

#[test]
fn profile_names_may_be_anything() {
    let config = "[profile 'My Mac']\nr=1\n[profile büro]\nr=2\n[profile \"tab\there\"]\nr=3\n[profile\ta]\nr=4\n[profile 50%]\nr=5\n[profile b#c;d]\nr=6\n[default]\nr=7\n[profile 東京]\nr=8";
    let all = shared(config.as_bytes(), b"[My Mac]\nk=1\n[b\xc3\xbcro]\nk=2").expect("readable");
    for (name, value) in [
        ("My Mac", "1"),
        ("büro", "2"),
        ("tab\there", "3"),
        ("a", "4"),
        ("50%", "5"),
        ("b#c;d", "6"),
        ("default", "7"),
        ("東京", "8"),
    ] {
        assert_eq!(text(&all, name, "r"), Some(value), "{name}");
    }
    assert_eq!(text(&all, "My Mac", "k"), Some("1"));
    assert_eq!(text(&all, "büro", "k"), Some("2"));
}

#[test]
fn the_credentials_file_goes_first_and_empty_values_are_unset() {
    let config = b"[profile a]\nx = config\ny = config\nz = config";
    let all = shared(config, b"[a]\nx = credentials\ny =\n").expect("readable");
    assert_eq!(text(&all, "a", "x"), Some("credentials"));
    assert_eq!(text(&all, "a", "y"), Some("config"));
    assert_eq!(text(&all, "a", "z"), Some("config"));
}

#[test]
fn a_later_section_of_the_same_profile_replaces_the_former() {
    let all = shared(b"[default]\nx=1\ny=1\n[profile default]\nx=2", b"").expect("readable");
    assert_eq!(text(&all, "default", "x"), Some("2"));
    assert_eq!(text(&all, "default", "y"), None);
}

#[test]
fn byte_order_marks_are_read_past() {
    let all = shared(
        b"\xef\xbb\xbf[default]\r\nx = 1\r\n",
        b"\xef\xbb\xbf[default]\ny=2\n\xef\xbb\xbf[b]\ny=3",
    )
    .expect("readable");
    assert_eq!(text(&all, "default", "x"), Some("1"));
    assert_eq!(text(&all, "default", "y"), Some("2"));
    assert_eq!(text(&all, "b", "y"), Some("3"));
}

#[test]
fn other_encodings_are_refused_with_file_and_line() {
    let utf16 = |big: bool, mark: bool| {
        let text = if mark {
            "\u{feff}[default]\n"
        } else {
            "[default]\n"
        };
        let bytes = |unit: u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    for (bytes, words) in [
        (utf16(false, true), "/aws/config is UTF-16 (line 1)"),
        (utf16(true, true), "/aws/config is UTF-16 (line 1)"),
        (
            utf16(false, false),
            "/aws/config is UTF-16, or binary (line 1)",
        ),
        (
            utf16(true, false),
            "/aws/config is UTF-16, or binary (line 1)",
        ),
        (
            b"[default]\nx = 1\n[profile b\xfcro]\n".to_vec(),
            "8-bit encoding such as Latin-1 or Windows-1252 (line 3)",
        ),
    ] {
        let error = shared(&bytes, b"").err().expect("refused").to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn syntax_errors_show_file_and_line_but_not_the_line() {
    let error = shared(b"", b"[a]\naws_secret_access_key hidden")
        .err()
        .expect("refused")
        .to_string();
    assert!(error.starts_with("/aws/credentials, line 2: "), "{error}");
    assert!(!error.contains("hidden"), "{error}");
}

fn hint(config: &str, credentials: &str, name: &str) -> String {
    let all = shared(config.as_bytes(), credentials.as_bytes()).expect("readable");
    missing(&all, name, None).to_string()
}

#[test]
fn sections_that_may_be_meant_are_named() {
    for (config, credentials, name, words) in [
        ("[work]\n", "", "work", "must be [profile work]"),
        (
            "",
            "[profile work]\n",
            "work",
            "in that file the section is [work]",
        ),
        ("[profile My Mac]\n", "", "My Mac", "[profile \"My Mac\"]"),
        ("", "[ work ]\n", "work", "write [work]"),
        (
            "[profile 'open]\n",
            "",
            "open",
            "[profile 'open] in /aws/config is passed over",
        ),
    ] {
        let text = hint(config, credentials, name);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn at_most_ten_near_names_are_listed() {
    let config: String = (0..3000)
        .map(|i| format!("[profile customer-{i}]\n"))
        .collect();
    let text = hint(&(config + "[profile prod]\n"), "", "pord");
    assert!(
        text.contains("prod") && text.contains("2991 more exist"),
        "{text}"
    );
    assert!(text.len() < 400, "{text}");
    let text = hint("[profile a]\n[profile b]\n", "", "c");
    assert!(text.ends_with("there are a, b"), "{text}");
    let text = hint("", "", "c");
    assert!(
        text.ends_with("the configuration has no profiles"),
        "{text}"
    );
    let text = hint("[profile \"x\x1b[31m\"]\n", "", "c");
    assert!(!text.contains('\x1b'), "{text}");
}
