//! A profile that does not exist: which ones have names like it, and which sections may be meant.

use super::{SharedConfig, Skipped};
use crate::config::error::ConfigError;
use crate::printable::printable;

/// Most names that an error lists.
const LISTED: usize = 10;
/// Most sections that an error explains.
const EXPLAINED: usize = 3;
/// Characters of a name that are compared.
const COMPARED: usize = 64;

/// The error for a profile that neither file has. `from` says who asked for it.
pub(crate) fn missing(
    shared: &SharedConfig,
    name: &str,
    from: Option<&'static str>,
) -> ConfigError {
    ConfigError::NoProfile {
        profile: name.to_owned(),
        from,
        hint: hint(shared, name),
    }
}

/// What to say of a profile that does not exist.
pub(crate) fn hint(shared: &SharedConfig, name: &str) -> String {
    let total = shared.profiles.len();
    let mut names: Vec<&str> = shared.profiles.keys().map(String::as_str).collect();
    names.sort_by_cached_key(|other| distance(name, other));
    names.truncate(LISTED);
    names.sort_unstable();
    let listed: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let mut text = match total - listed.len() {
        _ if total == 0 => "the configuration has no profiles".to_owned(),
        0 => format!("there are {}", listed.join(", ")),
        more => format!(
            "the nearest names are {}; {more} more exist",
            listed.join(", ")
        ),
    };
    let meant = shared
        .skipped
        .iter()
        .filter(|skipped| concerns(skipped, name));
    for skipped in meant.take(EXPLAINED) {
        text.push_str("; ");
        text.push_str(&explain(skipped));
    }
    text
}

fn concerns(skipped: &Skipped, name: &str) -> bool {
    let header = skipped.header.to_lowercase();
    header.contains(&name.to_lowercase())
}

fn explain(skipped: &Skipped) -> String {
    let Skipped { path, header } = skipped;
    let path = path.display();
    let shown = printable(header);
    if let Some(rest) = header.strip_prefix("profile") {
        let name = printable(super::strip(rest));
        if name.contains(['\'', '"']) || !name.contains(char::is_whitespace) {
            return format!(
                "[{shown}] in {path} is passed over: in that file the section is [{name}]"
            );
        }
        return format!(
            "[{shown}] in {path} is passed over: a name with blanks is quoted in the config file, [profile \"{name}\"], and stands alone in the credentials file, [{name}]"
        );
    }
    if *header != super::strip(header) {
        let name = printable(super::strip(header));
        return format!("[{shown}] in {path} has blanks in its name: write [{name}]");
    }
    format!("[{shown}] in {path} is passed over: in the config file it must be [profile {shown}]")
}

/// How many characters to change, add or remove to get from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().take(COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().take(COMPARED).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cb, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(ca != *cb);
            diagonal = *cell;
            left = changed.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
