//! Why the configuration cannot be used. No error holds a secret: only values of keys that are not
//! secret are shown.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::certificates::because;
use crate::printable::printable;

/// Why the AWS configuration cannot be used, and what to do next.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file is not UTF-8.
    #[error("{} is {encoding} (line {line}): save it as UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        encoding: &'static str,
        /// The first line that is not UTF-8.
        line: usize,
    },
    /// A line of a file cannot be parsed.
    #[error("{}, line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {error}{}", path.display(), named_by(.variable))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The variable that names it.
        variable: Option<&'static str>,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
    /// Neither file has the profile.
    #[error("profile {}: there is no such profile{}; {hint}", printable(.profile), asked_by(.from))]
    NoProfile {
        /// The name asked for.
        profile: String,
        /// The variable that asks for it.
        from: Option<&'static str>,
        /// Names like it, and sections that may be meant.
        hint: String,
    },
    /// A profile cannot be used.
    #[error("profile {}: {}{problem}", printable(.profile), setting(.key, .value))]
    Profile {
        /// Its name.
        profile: String,
        /// The key that is wrong.
        key: Option<&'static str>,
        /// The key's value, unless it is a secret.
        value: Option<String>,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A value cannot be used, wherever it comes from.
    #[error("{name}: {problem}")]
    Value {
        /// The variable, or the key and its profile.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate bundle holds no certificate.
    #[error(
        "{name}: {} holds no certificate: it must be PEM, with BEGIN CERTIFICATE lines{}", path.display(), because(.reason)
    )]
    CaBundle {
        /// What names the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, where it holds something like a certificate.
        reason: Option<String>,
    },
    /// The certificate bundle cannot be read.
    #[error("{name}: the certificate bundle {} cannot be read: {error}", path.display())]
    NoCaBundle {
        /// What names the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
    /// The AWS SDK panicked while the configuration was loaded.
    #[error("the AWS SDK failed on the configuration of {given}: {reason}")]
    Sdk {
        /// What it was given.
        given: String,
        /// What it panicked with.
        reason: String,
    },
}

fn named_by(variable: &Option<&'static str>) -> String {
    variable
        .map(|variable| format!("; check {variable}"))
        .unwrap_or_default()
}

fn asked_by(from: &Option<&'static str>) -> String {
    from.map(|from| format!(" ({from})")).unwrap_or_default()
}

fn setting(key: &Option<&'static str>, value: &Option<String>) -> String {
    match (key, value) {
        (Some(key), Some(value)) => format!("{key} = {}: ", printable(value)),
        (Some(key), None) => format!("{key}: "),
        _ => String::new(),
    }
}
