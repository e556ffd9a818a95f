//! Copies to the clipboard with the system's own tool.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::process::child;
use crate::rdp::Password;

/// Copies the password. The tool reads it from standard input, which no other user can see.
pub(super) fn copy(password: &Password) -> anyhow::Result<()> {
    for (program, arguments) in TOOLS.iter().filter(|(program, _)| usable(program)) {
        let mut command = Command::new(program);
        child::keep_secrets_from(&mut command);
        let started = command
            .args(*arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("{program} does not start")),
        };
        if let Some(mut input) = child.stdin.take() {
            let written = input.write_all(password.expose().as_bytes());
            written.with_context(|| format!("{program} takes no text"))?;
        }
        let status = child
            .wait()
            .with_context(|| format!("{program} was lost"))?;
        ensure!(status.success(), "{program} cannot copy: {status}");
        return Ok(());
    }
    let names: Vec<&str> = TOOLS.iter().map(|(program, _)| *program).collect();
    bail!(
        "no tool for the clipboard was found ({}), or there is no desktop: install one, or leave out --copy-password",
        names.join(", ")
    )
}

#[cfg(windows)]
const TOOLS: [(&str, &[&str]); 1] = [("clip.exe", &[])];
#[cfg(target_os = "macos")]
const TOOLS: [(&str, &[&str]); 1] = [("pbcopy", &[])];
#[cfg(not(any(windows, target_os = "macos")))]
const TOOLS: [(&str, &[&str]); 3] = [
    ("wl-copy", &[]),
    ("xclip", &["-selection", "clipboard", "-in"]),
    ("xsel", &["--clipboard", "--input"]),
];

/// Whether the tool's display server is running.
fn usable(program: &str) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match program {
        "wl-copy" => set("WAYLAND_DISPLAY"),
        "xclip" | "xsel" => set("DISPLAY"),
        _ => true,
    }
}
