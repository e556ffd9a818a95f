//! The two files, `config` and `credentials`, merged as botocore merges them
//! (`botocore/configloader.py` and `Session.full_config` in `botocore/session.py`, AWS CLI 1.46).
//! Pure: bytes in, sections out.

mod ini;
mod missing;
mod text;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::error::ConfigError;
pub(crate) use ini::{Keys, Value};
pub(crate) use missing::missing;
pub(crate) use text::strip;
pub(crate) use words::posix;
#[cfg(windows)]
pub(crate) use words::windows;

/// The profile that is used when none is named.
pub(crate) const DEFAULT_PROFILE: &str = "default";

/// A file that was read: where from, for errors, and its bytes.
#[derive(Clone)]
pub struct File {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    /// A file's content and the path that errors name.
    pub fn new(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            bytes: bytes.into(),
        }
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Both files; `None` for one that does not exist.
#[derive(Debug, Clone, Default)]
pub struct ConfigFiles {
    /// `~/.aws/config`, or the file that `AWS_CONFIG_FILE` names.
    pub config: Option<File>,
    /// `~/.aws/credentials`, or the file that `AWS_SHARED_CREDENTIALS_FILE` names.
    pub credentials: Option<File>,
}

/// A profile: what either file says of it.
#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) config: Keys,
    pub(crate) credentials: Keys,
}

/// Everything in the two files.
#[derive(Default)]
pub(crate) struct SharedConfig {
    pub(crate) profiles: BTreeMap<String, Profile>,
    pub(crate) sso_sessions: BTreeMap<String, Keys>,
    pub(crate) services: BTreeMap<String, Keys>,
    /// Headers of sections that are no profile, and how one is written.
    pub(crate) skipped: Vec<Skipped>,
}

/// A section that the rules pass over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) path: PathBuf,
    pub(crate) header: String,
}

impl SharedConfig {
    /// # Errors
    /// When a file is not UTF-8 or cannot be parsed.
    pub(crate) fn new(files: &ConfigFiles) -> Result<Self, ConfigError> {
        let mut all = Self::default();
        if let Some(file) = &files.config {
            for section in sections(file)? {
                all.add_config(file, section);
            }
        }
        if let Some(file) = &files.credentials {
            for section in sections(file)? {
                let name = section.header;
                if name.starts_with("profile") || name != strip(&name) {
                    all.skip(file, &name); // a profile of just that name, which is seldom meant
                }
                all.profiles.entry(name).or_default().credentials = section.keys;
            }
        }
        Ok(all)
    }

    /// The header's first letters decide what a section is; its second word is the name. A later
    /// section of the same name, such as `[default]` and `[profile default]`, replaces the former.
    fn add_config(&mut self, file: &File, section: ini::Section) {
        let header = section.header;
        let name = || match posix(&header)?.as_slice() {
            [_, name] => Some(name.clone()),
            _ => None,
        };
        if header.starts_with("profile") {
            match name() {
                Some(name) => self.profiles.entry(name).or_default().config = section.keys,
                None => self.skip(file, &header),
            }
        } else if header.starts_with("sso-session") {
            match name() {
                Some(name) => drop(self.sso_sessions.insert(name, section.keys)),
                None => self.skip(file, &header),
            }
        } else if header.starts_with("services") {
            match name() {
                Some(name) => drop(self.services.insert(name, section.keys)),
                None => self.skip(file, &header),
            }
        } else if header == DEFAULT_PROFILE {
            self.profiles.entry(header).or_default().config = section.keys;
        } else {
            self.skip(file, &header);
        }
    }

    fn skip(&mut self, file: &File, header: &str) {
        self.skipped.push(Skipped {
            path: file.path.clone(),
            header: header.to_owned(),
        });
    }
}

fn sections(file: &File) -> Result<Vec<ini::Section>, ConfigError> {
    let text = text::decode(file)?;
    ini::parse(text).map_err(|error| ConfigError::Syntax {
        path: file.path.clone(),
        line: error.line,
        problem: error.problem,
    })
}

impl Profile {
    /// What the credentials file says goes before the config file, key by key. An empty value is
    /// an unset one.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        [&self.credentials, &self.config]
            .into_iter()
            .filter_map(|keys| keys.get(key))
            .find(|value| !matches!(value, Value::Text(text) if text.is_empty()))
    }
}

#[cfg(test)]
mod tests;
