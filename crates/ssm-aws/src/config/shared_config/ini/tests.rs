//! What Python's parser makes of files that people write.

use super::*;

fn parsed(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let sections = parse(text).unwrap_or_else(|error| panic!("{error:?} in {text:?}"));
    let value = |value: Value| match value {
        Value::Text(text) => text,
        Value::Nested(keys) => format!("{keys:?}"),
    };
    sections
        .into_iter()
        .map(|section| {
            let keys = section.keys.into_iter();
            (
                section.header,
                keys.map(|(key, of)| (key, value(of))).collect(),
            )
        })
        .collect()
}

/// One section `[s]` with these keys.
fn keys(text: &str, expected: &[(&str, &str)]) {
    let mut sections = parsed(&format!("[s]\n{text}"));
    let (_, found) = sections.remove(0);
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn keys_are_read_however_they_are_spaced() {
    keys("  a = 1\n  b = 2\n", &[("a", "1"), ("b", "2")]);
    keys("    a = 1\n  b = 2\n", &[("a", "1"), ("b", "2")]);
    keys("a=1\r\nb\t=\t2\r\n", &[("a", "1"), ("b", "2")]);
    keys(
        "a: 1\nb : 2\nc = x:y\nd: x=y",
        &[("a", "1"), ("b", "2"), ("c", "x:y"), ("d", "x=y")],
    );
    keys("A =\u{a0}1\u{a0}\nÄ = 2", &[("a", "1"), ("ä", "2")]);
    keys("a b = 1", &[("a b", "1")]);
    keys("a = 1\ra2 = 2", &[("a", "1"), ("a2", "2")]);
    keys("a =\nb =", &[("a", ""), ("b", "")]);
    keys("a = 100%s %(b)s", &[("a", "100%s %(b)s")]);
}

#[test]
fn comments_are_whole_lines() {
    keys(
        "# x\n  ; y\na = 1 # no comment ; here\n\t# z\nb = 2",
        &[("a", "1 # no comment ; here"), ("b", "2")],
    );
    keys("a = #1", &[("a", "#1")]);
}

#[test]
fn deeper_lines_continue_a_value() {
    keys(
        "a = 1\n  2\n\n  3\n\nb = 4",
        &[("a", "1\n2\n\n3"), ("b", "4")],
    );
    keys("a = 1\n  # between\n  2", &[("a", "1\n2")]);
    keys("  a = 1\n    [x]\n  b = 2", &[("a", "1\n[x]"), ("b", "2")]);
}

#[test]
fn indented_keys_below_an_empty_one_are_nested() {
    keys(
        "s3 =\n  B = 1 = 2\n\n  c=\nregion = x",
        &[("region", "x"), ("s3", r#"{"B": "1 = 2", "c": ""}"#)],
    );
}

#[test]
fn headers_reach_to_the_last_bracket() {
    let headers = |text: &str| {
        let sections = parsed(text).into_iter();
        sections.map(|(header, _)| header).collect::<Vec<_>>()
    };
    assert_eq!(
        headers("[a] /* s3://x */\n[ b ]\n[c]]\n[d] # ]"),
        ["a", " b ", "c]", "d] # "]
    );
}

#[test]
fn the_last_of_two_values_counts() {
    let found = parsed("[a]\nx = 1\nx = 2\n[b]\ny = 1\n[a]\nz = 3\nx = 4");
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        found,
        [
            ("a".to_owned(), vec![text("x", "4"), text("z", "3")]),
            ("b".to_owned(), vec![text("y", "1")]),
        ]
    );
}

#[test]
fn every_section_has_the_keys_of_the_default_section() {
    let found = parsed("[a]\nx = 1\n[DEFAULT]\nx = 2\ny = 3\n[b]\n");
    assert_eq!(
        format!("{found:?}"),
        r#"[("a", [("x", "1"), ("y", "3")]), ("b", [("x", "2"), ("y", "3")])]"#
    );
}

#[test]
fn a_line_that_is_nothing_is_named_by_its_number() {
    for (text, line, words) in [
        ("x = 1", 1, "[section] is expected"),
        ("[a]\nx = 1\nnonsense", 3, "neither"),
        ("[a]\n\n= 1", 3, "no key"),
        ("[]\n", 1, "[section] is expected"),
        ("[a]\n[b\n", 2, "neither"),
        (
            "[a]\nx =\n  y = 1\n  nonsense",
            4,
            "`key = value` is expected",
        ),
    ] {
        let error = parse(text).err().unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!(error.line, line, "{text:?}");
        assert!(error.problem.contains(words), "{error:?}");
    }
}

#[test]
fn any_text_is_parsed_or_refused_without_a_panic() {
    use proptest::prelude::*;
    proptest!(|(text in "[\\[\\]a-c=:#; \t\r\n\u{feff}\u{a0}\u{1c}ü]{0,60}")| {
        let _ = parse(&text);
    });
}
