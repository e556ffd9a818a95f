//! A line cut into words as a shell's would be, without a shell: profile names with blanks, and
//! the command of `credential_process`.

/// As POSIX shells quote (Python's `shlex.split`). `None` when a quotation mark or an escape is
/// left open.
pub(crate) fn posix(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '\\' => match rest.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// As the C runtime of Windows does: blanks and tabs part words, double quotes hold them together,
/// and backslashes count only before a double quote.
#[cfg(any(windows, test))]
pub(crate) fn windows(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut backslashes = 0;
    for c in text.chars() {
        match c {
            '\\' => {
                backslashes += 1;
                continue;
            }
            '"' => {
                let word = word.get_or_insert_default();
                word.extend(std::iter::repeat_n('\\', backslashes / 2));
                if backslashes % 2 == 1 {
                    word.push('"');
                } else {
                    quoted = !quoted;
                }
                backslashes = 0;
                continue;
            }
            _ if backslashes > 0 => {
                let word = word.get_or_insert_default();
                word.extend(std::iter::repeat_n('\\', backslashes));
                backslashes = 0;
            }
            _ => {}
        }
        match c {
            ' ' | '\t' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if quoted {
        return None;
    }
    if backslashes > 0 {
        let word = word.get_or_insert_default();
        word.extend(std::iter::repeat_n('\\', backslashes));
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn posix_words_keep_what_is_quoted_together() {
        for (text, words) in [
            ("profile work", &["profile", "work"][..]),
            ("profile\t'My Mac'", &["profile", "My Mac"]),
            (r#"profile "a \"b\" c""#, &["profile", r#"a "b" c"#]),
            (r"profile a\ b", &["profile", "a b"]),
            (r"'a\b' c'd'e ''", &[r"a\b", "cde", ""]),
            (r#""a\b""#, &[r"a\b"]),
            ("", &[]),
            ("a\u{a0}b", &["a\u{a0}b"]),
        ] {
            assert_eq!(posix(text), owned(words), "{text}");
        }
        for open in ["profile 'a", "profile \"a", r"profile a\"] {
            assert_eq!(posix(open), None, "{open}");
        }
    }

    #[test]
    fn windows_words_keep_the_backslashes_of_paths() {
        for (text, words) in [
            (r"C:\bin\x.exe -a", &[r"C:\bin\x.exe", "-a"][..]),
            (r#""C:\Program Files\x" y"#, &[r"C:\Program Files\x", "y"]),
            (r#"a\\\"b "c\\""#, &[r#"a\"b"#, r"c\"]),
            (r"dir\", &[r"dir\"]),
            (r#"'a b' """#, &["'a", "b'", ""]),
        ] {
            assert_eq!(windows(text), owned(words), "{text}");
        }
        assert_eq!(windows(r#"a "b"#), None);
    }
}
