//! From a file's bytes to its text: UTF-8, with or without a byte order mark. Any other encoding
//! is an error. Treating such a file as empty would lose a `role_arn` or `mfa_serial` in it, and
//! the caller would act under another identity.

use super::File;
use crate::config::error::ConfigError;

const BOM: char = '\u{feff}';

/// # Errors
/// When the file is not UTF-8.
pub(super) fn decode(file: &File) -> Result<&str, ConfigError> {
    let bytes = file.bytes.as_slice();
    let refuse = |encoding, at: usize| {
        let before = bytes.get(..at).unwrap_or_default();
        Err(ConfigError::Encoding {
            path: file.path.clone(),
            encoding,
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        })
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return refuse("UTF-16", 0);
    }
    // UTF-16 without a mark: every second byte of ASCII text is NUL.
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return refuse("UTF-16, or binary", at);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix(BOM).unwrap_or(text)),
        Err(error) => refuse(
            "in an 8-bit encoding such as Latin-1 or Windows-1252",
            error.valid_up_to(),
        ),
    }
}

/// Lines as Python's text files have them: ended by `\n`, `\r\n` or `\r`. A byte order mark at the
/// start of a line, as concatenated files have it, is read past.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
        .map(|line| line.strip_prefix(BOM).unwrap_or(line))
}

/// What Python's `str.isspace` counts: Unicode white space, and the four separators of ASCII.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_blank)
}
