//! Text for terminals.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Maximum characters shown of a line.
pub const LONGEST_LINE: usize = 4096;
/// Maximum lines shown of a text.
pub const MOST_LINES: usize = 1000;

/// Makes a text safe for a terminal. Tabs and line feeds stay; a carriage return before a line feed is
/// removed.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\n' || c == '\t' || !is_hostile(c);
    if text.len() <= LONGEST_LINE.min(MOST_LINES) && text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(LONGEST_LINE));
    let mut lines = text.split('\n');
    for (at, line) in lines.by_ref().take(MOST_LINES).enumerate() {
        if at > 0 {
            shown.push('\n');
        }
        push_line(&mut shown, line.strip_suffix('\r').unwrap_or(line));
    }
    match lines.count() {
        0 => {}
        left => push(&mut shown, format_args!("\n... ({left} more lines)")),
    }
    Cow::Owned(shown)
}

/// Makes a text safe for one line of a terminal: line ends are shown as `\n` and `\r`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_LINE && !text.contains(is_hostile_or_line_end) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(LONGEST_LINE));
    push_line(&mut shown, text);
    Cow::Owned(shown)
}

fn is_hostile_or_line_end(c: char) -> bool {
    c == '\n' || (c != '\t' && is_hostile(c))
}

fn push_line(shown: &mut String, line: &str) {
    let mut chars = line.chars();
    for c in chars.by_ref().take(LONGEST_LINE) {
        push_char(shown, c);
    }
    match chars.count() {
        0 => {}
        left => push(shown, format_args!("... ({left} more characters)")),
    }
}

fn push_char(shown: &mut String, c: char) {
    match c {
        '\t' => shown.push(c),
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        c if is_hostile(c) => push(shown, format_args!("\\u{{{:x}}}", u32::from(c))),
        c => shown.push(c),
    }
}

fn push(shown: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = shown.write_fmt(text);
}

/// Whether a character controls a terminal, or hides or reorders text: Unicode's category Cc, and those
/// of Cf, Zl, Zp and the default-ignorable characters that have no use in the texts shown here.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in [
            "",
            "Port 17320 opened for sessionId s-1.\nWaiting for connections...",
            "a\tb",
            "Zürich, 東京, नमस्ते, 👍",
            r"C:\Users\x \u{1b}",
        ] {
            assert_eq!(printable(text), text);
            assert!(matches!(printable(text), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn terminal_controls_are_shown_as_escapes() {
        for (text, shown) in [
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("\u{1b}]52;c;ZXZpbA==\u{7}", r"\u{1b}]52;c;ZXZpbA==\u{7}"),
            ("\u{9b}2J\u{9d}0;x\u{9c}", r"\u{9b}2J\u{9d}0;x\u{9c}"),
            ("a\u{8}\u{7f}b\0", r"a\u{8}\u{7f}b\u{0}"),
            ("pass\rFAIL", r"pass\rFAIL"),
            ("abc\u{202e}fed", r"abc\u{202e}fed"),
            ("\u{2066}x\u{2069}\u{200f}", r"\u{2066}x\u{2069}\u{200f}"),
            ("i-\u{200b}1\u{feff}\u{ad}", r"i-\u{200b}1\u{feff}\u{ad}"),
            ("\u{e0041}", r"\u{e0041}"),
            ("a\u{2028}b", r"a\u{2028}b"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(one_line(text), shown);
        }
    }

    #[test]
    fn line_ends_stay_in_texts_and_are_escaped_in_lines() {
        assert_eq!(printable("a\r\nb\n"), "a\nb\n");
        assert_eq!(one_line("a\r\nb"), r"a\r\nb");
        assert_eq!(one_line("a\tb"), "a\tb");
    }

    #[test]
    fn long_lines_and_texts_are_cut_with_a_note() {
        let line = "é".repeat(LONGEST_LINE);
        assert_eq!(printable(&line), line);
        let longer = format!("{line}12345\nnext");
        assert_eq!(
            printable(&longer),
            format!("{line}... (5 more characters)\nnext")
        );
        assert_eq!(one_line(&longer), format!("{line}... (10 more characters)"));
        let shown = printable(&"x\n".repeat(MOST_LINES + 7)).into_owned();
        assert!(shown.ends_with("x\n... (8 more lines)"), "{shown}");
        assert_eq!(shown.lines().count(), MOST_LINES + 1);
    }
}
