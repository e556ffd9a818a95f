//! The AWS CLI's cache of role sessions: `~/.aws/cli/cache/<sha1>.json`.
//!
//! Its key leaves out the source credentials, so that in the CLI a second profile with the same role
//! and device gets the first one's session. Such entries are not used here.
//!
//! Source: botocore, `credentials.py` (`CachedCredentialFetcher`, `AssumeRoleCredentialFetcher`)
//! and `utils.py` (`JSONFileCache`), and files that AWS CLI 1.45 wrote.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::cache::file::{self, FileStore};
use crate::cache::store::StoreError;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
use crate::session::{Session, SessionKind, SessionSource};
use crate::time::{parse, rfc3339};

const PROVIDER: &str = "ssm-mfa AWS CLI cache";

/// How the AWS CLI's cache is used, for a role that is assumed with keys and whose profile names the
/// device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CliCache {
    /// Not at all.
    #[default]
    Off,
    /// A session that the CLI started is used in preference to asking for a code.
    Read,
    /// In addition, sessions started with exactly the CLI's arguments ([`Strategy::Direct`]) are
    /// stored there. The CLI uses a session until 15 minutes before its end.
    ///
    /// [`Strategy::Direct`]: crate::Strategy::Direct
    ReadWrite,
}

/// The CLI's name for a session of a role: SHA-1 over the arguments of AssumeRole as Python's
/// `json.dumps(arguments, sort_keys=True)` writes them.
pub(crate) fn key(role: &RoleSpec, serial: Option<&MfaSerial>) -> String {
    let seconds = role.duration.map(|duration| duration.as_secs().to_string());
    let text = |value: Option<&str>| value.map(python_string);
    // Sorted by name.
    let arguments = [
        ("DurationSeconds", seconds),
        ("ExternalId", text(role.external_id.as_deref())),
        ("RoleArn", text(Some(&role.arn))),
        ("RoleSessionName", text(role.session_name.as_deref())),
        ("SerialNumber", text(serial.map(MfaSerial::as_str))),
    ];
    let given: Vec<String> = arguments
        .into_iter()
        .filter_map(|(name, value)| Some(format!("\"{name}\": {}", value?)))
        .collect();
    let json = format!("{{{}}}", given.join(", "));
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(json.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// A string as Python's `json` writes it: ASCII only, the rest in UTF-16 escapes.
fn python_string(text: &str) -> String {
    let mut json = String::from("\"");
    for unit in text.encode_utf16() {
        match unit {
            0x22 => json.push_str("\\\""),
            0x5c => json.push_str("\\\\"),
            0x0a => json.push_str("\\n"),
            0x0d => json.push_str("\\r"),
            0x09 => json.push_str("\\t"),
            0x08 => json.push_str("\\b"),
            0x0c => json.push_str("\\f"),
            0x20..=0x7e => json.extend(char::from_u32(unit.into())),
            _ => {
                let _ = write!(json, "\\u{unit:04x}");
            }
        }
    }
    json.push('"');
    json
}

/// The CLI's directory; only the home directory's variable moves it.
pub(crate) fn directory() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".aws").join("cli").join("cache"))
}

/// The place of one session in the cache.
#[derive(Debug, Clone)]
pub(crate) struct CliCacheEntry {
    directory: PathBuf,
    key: String,
    role: RoleSpec,
    writes: bool,
}

impl CliCacheEntry {
    /// `None` when the cache is not used.
    pub(crate) fn new(use_: CliCache, key: String, role: RoleSpec) -> Option<Self> {
        Some(Self {
            directory: directory()?,
            key,
            role,
            writes: match use_ {
                CliCache::Off => return None,
                CliCache::Read => false,
                CliCache::ReadWrite => true,
            },
        })
    }

    /// The session that the CLI stored.
    pub(crate) async fn load(&self) -> Option<Session> {
        let place = self.clone();
        let read = move || read(&place.directory, &place.key, &place.role);
        tokio::task::spawn_blocking(read).await.ok()?
    }

    /// Stores a session for the CLI, if that is allowed.
    pub(crate) async fn save(&self, session: &Session) {
        if !self.writes {
            return;
        }
        let (place, session) = (self.clone(), session.clone());
        let write = move || write(&place.directory, &place.key, &place.role, &session);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            tracing::warn!(%error, "the session is not shared with the AWS CLI");
        }
    }
}

// No `Debug`: these hold secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    credentials: Keys,
    assumed_role_user: Option<RoleUser>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleUser {
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    credentials: WrittenKeys<'a>,
    assumed_role_user: WrittenUser<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenKeys<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenUser<'a> {
    arn: &'a str,
}

/// The session in the CLI's cache, if it is this role's and no other user could have written it.
pub(crate) fn read(directory: &Path, key: &str, role: &RoleSpec) -> Option<Session> {
    let path = directory.join(format!("{key}.json"));
    let body = match file::read_private(&path) {
        Ok(body) => body?,
        Err(error) => {
            tracing::warn!(%error, "the AWS CLI's session is not used");
            return None;
        }
    };
    let entry: Entry = serde_json::from_slice(&body).ok()?;
    let expiry = parse(&entry.credentials.expiration)?;
    // The only evidence of whose session it is.
    let arn = entry.assumed_role_user?.arn;
    if !role.is_role_of(&arn) {
        return None;
    }
    let keys = entry.credentials;
    Some(Session {
        credentials: Credentials::new(
            keys.access_key_id,
            keys.secret_access_key,
            Some(keys.session_token),
            Some(expiry),
            PROVIDER,
        ),
        kind: SessionKind::RoleWithCode,
        account: role.account().map(str::to_owned),
        arn: Some(arn),
        code_needed: Some(expiry),
        source: SessionSource::CliCache,
    })
}

/// Stores a session, unless the stored one lasts longer.
pub(crate) fn write(
    directory: &Path,
    key: &str,
    role: &RoleSpec,
    session: &Session,
) -> Result<(), StoreError> {
    let (Some(arn), Some(expiry), Some(token)) = (
        session.arn.as_deref(),
        session.credentials.expiry(),
        session.credentials.session_token(),
    ) else {
        return Ok(());
    };
    let there = read(directory, key, role).and_then(|there| there.credentials.expiry());
    if there.is_some_and(|there| there >= expiry) {
        return Ok(());
    }
    let written = Written {
        credentials: WrittenKeys {
            access_key_id: session.credentials.access_key_id(),
            secret_access_key: session.credentials.secret_access_key(),
            session_token: token,
            expiration: rfc3339(expiry),
        },
        assumed_role_user: WrittenUser { arn },
    };
    let mut body = Zeroizing::new(Vec::with_capacity(16 << 10));
    serde_json::to_writer(&mut *body, &written)
        .map_err(|error| StoreError::new(directory, error))?;
    FileStore::at(directory).put(&format!("{key}.json"), &body)
}

#[cfg(test)]
mod tests;
