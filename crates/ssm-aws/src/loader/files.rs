//! Finds and reads the two files.

use std::env;
use std::ffi::OsString;
use std::fs::File as SystemFile;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::error::ConfigError;
use crate::config::shared_config::{ConfigFiles, File};

/// Maximum bytes of a file. The largest known ones, with thousands of profiles, have a few hundred
/// kilobytes.
const LONGEST: u64 = 16 << 20;

/// Both files.
///
/// # Errors
/// When one exists and cannot be read.
pub(super) async fn read() -> Result<ConfigFiles, ConfigError> {
    let reading = tokio::task::spawn_blocking(|| {
        Ok(ConfigFiles {
            config: one("AWS_CONFIG_FILE", "config")?,
            credentials: one("AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
        })
    });
    match reading.await {
        Ok(files) => files,
        Err(error) => Err(ConfigError::Sdk {
            given: "the files".to_owned(),
            reason: error.to_string(),
        }),
    }
}

fn one(variable: &'static str, name: &str) -> Result<Option<File>, ConfigError> {
    let named = env::var_os(variable).filter(|path| !path.is_empty());
    let path = match &named {
        Some(path) => expand(path),
        None => match home() {
            Some(home) => home.join(".aws").join(name),
            None => {
                tracing::warn!("the user has no home directory: {name} is not read");
                return Ok(None);
            }
        },
    };
    let variable = named.map(|_| variable);
    let failed = |error: io::Error| ConfigError::Unreadable {
        path: path.clone(),
        variable,
        error: Arc::new(error),
    };
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => {
            if let Some(variable) = variable {
                tracing::warn!(path = %path.display(), "{variable} names a file that does not exist");
            }
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        // Ignored, as in botocore; but a variable that names a directory is a mistake.
        if metadata.is_dir() && variable.is_some() {
            return Err(failed(io::Error::other("it is a directory")));
        }
        return Ok(None);
    }
    let bytes = contents(&path).map_err(failed)?;
    Ok(Some(File::new(path, bytes)))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    SystemFile::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

/// The user's home: HOME (Windows: USERPROFILE), or the system's record of the user.
fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// `$NAME` and `${NAME}` of the environment, then `~` for the user's home, as botocore expands
/// both paths. A path that is not Unicode is taken as it is.
fn expand(path: &OsString) -> PathBuf {
    let Some(text) = path.to_str() else {
        return path.into();
    };
    let text = variables(text.trim_end_matches(['\r', '\n']), |name| {
        env::var(name).ok()
    });
    if let Some(rest) = text.strip_prefix('~')
        && (rest.is_empty() || rest.starts_with(std::path::is_separator))
        && let Some(home) = home()
    {
        return home.join(rest.trim_start_matches(std::path::is_separator));
    }
    text.into()
}

/// Names of variables that are not set stay in the text.
fn variables(text: &str, get: impl Fn(&str) -> Option<String>) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, behind) = match after
            .strip_prefix('{')
            .and_then(|text| text.split_once('}'))
        {
            Some((name, behind)) => (name, behind),
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        match get(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => {
                let taken = rest.len() - before.len() - behind.len();
                expanded.extend(rest.get(before.len()..before.len() + taken));
            }
        }
        rest = behind;
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_path_are_expanded() {
        let get = |name: &str| (name == "A_1").then(|| "x".to_owned());
        for (text, expanded) in [
            ("/p/$A_1/q", "/p/x/q"),
            ("/p/${A_1}q", "/p/xq"),
            ("$A_1$A_1", "xx"),
            ("$B/${B}/$/${A_1", "$B/${B}/$/${A_1"),
            ("plain", "plain"),
        ] {
            assert_eq!(variables(text, get), expanded, "{text}");
        }
    }
}
