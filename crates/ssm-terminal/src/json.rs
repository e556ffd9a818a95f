//! Lines of JSON.

use std::fmt::Write as _;

use crate::text::is_hostile;

/// Makes a JSON text safe: its strings decode to what [`printable`](crate::printable) would show, except
/// that line ends stay and nothing is cut, because `jq -r` and other programs print them to a terminal.
/// Outside strings, JSON has no such characters.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut shown, c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                match u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
                {
                    Some('\n') => shown.push_str("\\n"),
                    Some('\t') => shown.push_str("\\t"),
                    Some(c) if is_hostile(c) => push(&mut shown, c),
                    // Half of a pair of surrogates, or an ordinary character.
                    _ => {
                        shown.push_str("\\u");
                        shown.push_str(&digits);
                    }
                }
            }
            Some('b') => push(&mut shown, '\u{8}'),
            Some('f') => push(&mut shown, '\u{c}'),
            Some('r') => push(&mut shown, '\r'),
            Some(c) => shown.extend(['\\', c]),
            None => shown.push('\\'),
        }
    }
    shown
}

fn push(shown: &mut String, c: char) {
    match c {
        '\r' => shown.push_str(r"\\r"),
        // White space of the document; never inside a string.
        '\n' | '\t' => shown.push(c),
        c if is_hostile(c) => {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\\\u{{{:x}}}", u32::from(c));
        }
        c => shown.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_decode_to_text_that_is_safe_to_show() {
        for (text, shown) in [
            (r#"{"a":"x"}"#, r#"{"a":"x"}"#),
            (r#""\u001b[2J\u0007""#, r#""\\u{1b}[2J\\u{7}""#),
            (r#""\u001B""#, r#""\\u{1b}""#),
            ("\"\u{9b}\u{202e}\u{7f}\"", r#""\\u{9b}\\u{202e}\\u{7f}""#),
            (r#""\u009b\u202E""#, r#""\\u{9b}\\u{202e}""#),
            (r#""a\nb\tc\r\b\f""#, r#""a\nb\tc\\r\\u{8}\\u{c}""#),
            (r#""\u000a\u0009""#, r#""\n\t""#),
            // An escaped backslash before a u does not begin an escape.
            (r#""\\u001b""#, r#""\\u001b""#),
            (r#""\\\u001b""#, r#""\\\\u{1b}""#),
            (r#""\"\/é\ud83d\ude00""#, r#""\"\/é\ud83d\ude00""#),
            ("\"\u{1f44d}\"", "\"\u{1f44d}\""),
            (r#""\u12""#, r#""\u12""#),
            ("\\", "\\"),
        ] {
            assert_eq!(json(text), shown, "{text}");
        }
    }
}
