//! The syntax: what Python's `configparser.RawConfigParser` makes of a file, which botocore reads
//! both files with (`botocore/configloader.py`). Where that refuses a section or a key because it
//! appears twice, the last value counts here.

use std::collections::BTreeMap;

use super::text::{lines, strip};

/// The section whose keys every section has.
const DEFAULTS: &str = "DEFAULT";

/// A value of a section.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// On the key's line, and perhaps continued on indented lines.
    Text(String),
    /// Indented `key = value` lines below a key that has no value of its own.
    Nested(BTreeMap<String, String>),
}

/// The keys of a section, in lower case.
pub(crate) type Keys = BTreeMap<String, Value>;

/// A section, by what is between its brackets.
pub(crate) struct Section {
    pub(crate) header: String,
    pub(crate) keys: Keys,
}

/// Why a file cannot be read. The line itself is never part of it: it may hold a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) problem: &'static str,
}

/// A value while its lines are collected: each with its number.
type Lines<'a> = Vec<(usize, &'a str)>;
type RawKeys<'a> = BTreeMap<String, Lines<'a>>;

/// The sections in the order in which they first appear.
///
/// # Errors
/// The first line that is no section, key or continuation.
pub(crate) fn parse(text: &str) -> Result<Vec<Section>, SyntaxError> {
    let mut order: Vec<(String, RawKeys<'_>)> = vec![(DEFAULTS.to_owned(), RawKeys::new())];
    let mut index: BTreeMap<String, usize> = BTreeMap::from([(DEFAULTS.to_owned(), 0)]);
    let mut section: Option<usize> = None;
    let mut key: Option<String> = None;
    let mut indent = 0;
    for (at, line) in lines(text).enumerate() {
        let at = at + 1;
        let value = strip(line);
        let comment = value.starts_with(['#', ';']);
        let open = section
            .zip(key.as_ref())
            .and_then(|(section, key)| order.get_mut(section)?.1.get_mut(key));
        if value.is_empty() || comment {
            if let (Some(lines), false) = (open, comment) {
                lines.push((at, ""));
            }
            continue;
        }
        let depth = line
            .chars()
            .take_while(|c| super::text::is_blank(*c))
            .count();
        if let (Some(lines), true) = (open, depth > indent) {
            lines.push((at, value));
            continue;
        }
        indent = depth;
        if let Some(header) = header(value) {
            let place = *index.entry(header.to_owned()).or_insert_with(|| {
                order.push((header.to_owned(), RawKeys::new()));
                order.len() - 1
            });
            section = Some(place);
            key = None;
            continue;
        }
        let error = |problem| SyntaxError { line: at, problem };
        let Some(keys) = section.and_then(|section| order.get_mut(section)) else {
            return Err(error("a [section] is expected before the first key"));
        };
        let Some((name, value)) = value.split_once(['=', ':']) else {
            return Err(error("neither a [section] nor `key = value`"));
        };
        let name = name.trim_end_matches(super::text::is_blank).to_lowercase();
        if name.is_empty() {
            return Err(error("no key before the `=`"));
        }
        keys.1.insert(name.clone(), vec![(at, strip(value))]);
        key = Some(name);
    }
    finish(order)
}

/// Greedy, as `\[(?P<header>.+)\]` is: up to the last bracket of the line. Text behind it is
/// passed over.
fn header(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('[')?;
    let (header, _) = rest.rsplit_once(']')?;
    (!header.is_empty()).then_some(header)
}

fn finish(raw: Vec<(String, RawKeys<'_>)>) -> Result<Vec<Section>, SyntaxError> {
    let mut sections = Vec::new();
    let mut defaults = Keys::new();
    for (at, (header, keys)) in raw.into_iter().enumerate() {
        let mut finished = defaults.clone();
        for (key, lines) in keys {
            finished.insert(key, value(&lines)?);
        }
        if at == 0 {
            defaults = finished;
        } else {
            sections.push(Section {
                header,
                keys: finished,
            });
        }
    }
    Ok(sections)
}

fn value(lines: &[(usize, &str)]) -> Result<Value, SyntaxError> {
    let texts: Vec<&str> = lines.iter().map(|(_, text)| *text).collect();
    let joined = texts.join("\n");
    let joined = joined.trim_end_matches(super::text::is_blank);
    if !joined.starts_with('\n') {
        return Ok(Value::Text(joined.to_owned()));
    }
    let mut nested = BTreeMap::new();
    for (line, text) in lines {
        for text in text.split(is_line_break).map(strip) {
            if text.is_empty() {
                continue;
            }
            let Some((key, value)) = text.split_once('=') else {
                return Err(SyntaxError {
                    line: *line,
                    problem: "`key = value` is expected on the indented lines below a key without a value",
                });
            };
            nested.insert(strip(key).to_owned(), strip(value).to_owned());
        }
    }
    Ok(Value::Nested(nested))
}

/// What Python's `str.splitlines` splits at, besides the ends of the file's lines.
fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests;
