//! Runs a program without a shell, and reads its output.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command as Process};
use zeroize::Zeroizing;

use crate::code::source::CodeError;
use crate::code::terminal;

/// Longest output, more than a code or a seed takes; more is an error.
const MAX_OUTPUT: usize = 4096;
/// Bytes of the first line of standard error that an error repeats.
const MAX_COMPLAINT: usize = 200;

/// A program and its arguments, run without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    program: OsString,
    args: Vec<OsString>,
}

/// Why a text is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// The text names no program.
    #[error("the command is empty: name a program")]
    Empty,
    /// A quotation mark is not closed.
    #[error("a quotation mark ({0}) is not closed")]
    Unclosed(char),
}

impl Command {
    pub(crate) fn new(program: OsString, args: Vec<OsString>) -> Self {
        Self { program, args }
    }

    /// Splits a text at white space, except within `"…"` and `'…'`. There are no escapes: a
    /// backslash has no special meaning, on any system.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidCommand> {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        for c in text.chars() {
            match quote {
                Some(mark) if c == mark => quote = None,
                Some(_) => word.get_or_insert_default().push(c),
                None if c == '"' || c == '\'' => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                None if c.is_whitespace() => words.extend(word.take()),
                None => word.get_or_insert_default().push(c),
            }
        }
        if let Some(mark) = quote {
            return Err(InvalidCommand::Unclosed(mark));
        }
        words.extend(word);
        let mut words = words.into_iter().map(OsString::from);
        let program = words.next().filter(|program| !program.is_empty());
        Ok(Self::new(
            program.ok_or(InvalidCommand::Empty)?,
            words.collect(),
        ))
    }

    /// The program's standard output. Its standard input is the terminal, and its standard error is
    /// shown there. The program is killed when it takes too long, or when this future is dropped.
    pub(crate) async fn output(
        &self,
        environment: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Zeroizing<String>, CodeError> {
        let mut process = Process::new(&self.program);
        for name in ssm_aws::secret_variables() {
            process.env_remove(name);
        }
        process
            .args(&self.args)
            .envs(environment.iter().copied())
            .stdin(terminal::open().map_or_else(|_| Stdio::null(), |(input, _)| input.into()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let failed = |problem: String| CodeError::Process {
            program: self.program.to_string_lossy().into_owned(),
            problem,
        };
        let mut child = process
            .spawn()
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let ran = tokio::time::timeout(timeout, run(&mut child)).await;
        let Ok(ran) = ran else {
            let _ = child.kill().await;
            let secs = timeout.as_secs();
            return Err(failed(format!("did not end within {secs} s")));
        };
        let ran = ran.map_err(|error| failed(format!("cannot be read: {error}")))?;
        if !ran.status.success() {
            let status = ran.status;
            let complaint = match ran.complaint.as_str() {
                "" => String::new(),
                text => format!(": {text}"),
            };
            return Err(failed(format!("failed ({status}){complaint}")));
        }
        if ran.output.len() > MAX_OUTPUT {
            return Err(failed("printed more than a code".to_owned()));
        }
        Ok(Zeroizing::new(
            String::from_utf8_lossy(&ran.output).into_owned(),
        ))
    }
}

struct Ran {
    status: std::process::ExitStatus,
    output: Zeroizing<Vec<u8>>,
    complaint: String,
}

async fn run(child: &mut Child) -> std::io::Result<Ran> {
    let output = child.stdout.take();
    let errors = child.stderr.take();
    let mut complaint = Vec::new();
    let (output, status) = {
        let mut show = std::pin::pin!(show(errors, &mut complaint));
        let end = async { Ok::<_, std::io::Error>((read(output).await?, child.wait().await?)) };
        let mut end = std::pin::pin!(end);
        tokio::select! {
            ended = &mut end => {
                // A process that it left behind may keep the pipe open.
                let _ = tokio::time::timeout(Duration::from_secs(1), show).await;
                ended?
            }
            () = &mut show => end.await?,
        }
    };
    let first = complaint.split(|byte| *byte == b'\n').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default());
    Ok(Ran {
        status,
        output,
        complaint: first.trim().to_owned(),
    })
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // At its full size from the start: a growing vector leaves copies behind.
    let mut output = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + 1));
    if let Some(pipe) = pipe {
        let mut pipe = pipe.take(MAX_OUTPUT as u64 + 1);
        while pipe.read_buf(&mut *output).await? > 0 {}
    }
    Ok(output)
}

/// Shows a program's standard error on the terminal, and keeps its beginning.
async fn show(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        let chunk = chunk.get(..count).unwrap_or_default();
        let room = MAX_COMPLAINT.saturating_sub(kept.len()).min(count);
        kept.extend(chunk.iter().take(room));
        let _ = terminal::say(&String::from_utf8_lossy(chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let command = Command::parse(text).expect(text);
        let all = std::iter::once(&command.program).chain(&command.args);
        all.map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn command_is_split_at_white_space_outside_quotes() {
        for (text, expected) in [
            ("ykman  oath\taccounts ", vec!["ykman", "oath", "accounts"]),
            (r#"code "AWS: taro" '' "#, vec!["code", "AWS: taro", ""]),
            (r#"a"b c"d'e "f'"#, vec!["ab cde \"f"]),
            (
                r#""C:\Program Files\otp.exe" C:\x\"#,
                vec![r"C:\Program Files\otp.exe", r"C:\x\"],
            ),
            ("echo $HOME;`id`|&*", vec!["echo", "$HOME;`id`|&*"]),
        ] {
            assert_eq!(words(text), expected);
        }
        for (text, error) in [
            ("", InvalidCommand::Empty),
            ("  ", InvalidCommand::Empty),
            ("'' x", InvalidCommand::Empty),
            ("otp \"taro", InvalidCommand::Unclosed('"')),
        ] {
            assert_eq!(Command::parse(text), Err(error));
        }
    }
}
