//! `credential_process`: run as botocore does, word by word without a shell
//! (`ProcessProvider` in `botocore/credentials.py`).

use std::process::Stdio;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::expiration;
use crate::config::shared_config;
use crate::printable::printable;
use crate::secret_variables::secret_variables;

/// Maximum bytes of the output, and of the error output.
const LONGEST: u64 = 256 << 10;

/// Runs the command and reads its output.
///
/// # Errors
/// When it cannot be run, fails, or prints anything else.
pub(super) async fn run(command: &str) -> Result<Credentials, CredentialsError> {
    let words = split(command).filter(|words| !words.is_empty());
    let Some((program, arguments)) = words.as_deref().and_then(<[String]>::split_first) else {
        return Err(CredentialsError::invalid_configuration(
            "credential_process is no command: a quotation mark is left open",
        ));
    };
    let mut process = Command::new(program);
    // It does not inherit standard input, which may carry an ssh connection.
    process
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for variable in secret_variables() {
        process.env_remove(variable);
    }
    let shown = printable(program);
    let failed = |error: std::io::Error| {
        CredentialsError::provider_error(format!(
            "the program of credential_process, {shown:?}, cannot be run: {error}; as in the AWS CLI, no shell runs it: `~`, `$NAME` and `|` mean nothing"
        ))
    };
    let mut child = process.spawn().map_err(failed)?;
    let (answer, said) = (child.stdout.take(), child.stderr.take());
    let (answer, said, status) = tokio::join!(read(answer), read(said), child.wait());
    let (answer, said, status) = (
        answer.map_err(failed)?,
        said.map_err(failed)?,
        status.map_err(failed)?,
    );
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        return Err(CredentialsError::provider_error(format!(
            "credential_process failed ({status}): {}",
            printable(said.trim())
        )));
    }
    credentials(&answer)
}

#[cfg(not(windows))]
fn split(command: &str) -> Option<Vec<String>> {
    shared_config::posix(command)
}

#[cfg(windows)]
fn split(command: &str) -> Option<Vec<String>> {
    shared_config::windows(command)
}

/// Reads to the end and keeps a bounded part: a process blocks for ever when its output is not read.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(LONGEST).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// Parses the output. No part of it gets into an error.
fn credentials(answer: &[u8]) -> Result<Credentials, CredentialsError> {
    let wrong = |problem: String| {
        CredentialsError::provider_error(format!("the answer of credential_process: {problem}"))
    };
    let answer = answer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer);
    let answer: Value = serde_json::from_slice(answer).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        wrong(format!("it is not JSON (line {line}, column {column})"))
    })?;
    if answer.get("Version").and_then(Value::as_f64) != Some(1.0) {
        return Err(wrong("`Version` is not 1".to_owned()));
    }
    let text = |key: &str| match answer.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(wrong(format!("`{key}` is not a string"))),
    };
    let required = |key: &str| text(key)?.ok_or_else(|| wrong(format!("`{key}` is missing")));
    let expiry = match text("Expiration")? {
        None => None,
        Some(text) => {
            let shown = printable(text);
            let at = expiration::parse(text).ok_or_else(|| {
                wrong(format!(
                    "`Expiration` {shown:?} is not a time such as 2030-01-31T12:00:00Z"
                ))
            })?;
            if at <= SystemTime::now() {
                return Err(wrong(format!(
                    "these credentials have expired already, at {shown}"
                )));
            }
            Some(at)
        }
    };
    Ok(Credentials::new(
        required("AccessKeyId")?,
        required("SecretAccessKey")?,
        text("SessionToken")?.map(str::to_owned),
        expiry,
        "credential_process",
    ))
}

#[cfg(test)]
mod tests;
