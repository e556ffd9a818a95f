//! The Administrator's password, from the instance to where it is wanted.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ssm_tunnel::{Password, PrivateKey, administrator_password};

use crate::child;
use crate::options::Format;
use crate::output::Output;

/// Options about it.
#[derive(Debug, Clone, Args)]
pub struct PasswordOptions {
    /// Private key (PEM) of the instance's key pair: asks EC2 for the Administrator's password, and
    /// shows it on the terminal, or hands it to FreeRDP with --launch
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Copy the password to the clipboard instead
    #[arg(long, requires = "private_key")]
    copy_password: bool,
    /// Show the password even where standard output is no terminal
    #[arg(long, requires = "private_key", conflicts_with = "copy_password")]
    show_password: bool,
}

/// A key that was read, and what is to become of the password.
#[derive(Debug)]
pub struct Wanted {
    key: PrivateKey,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Copy,
    Show,
    /// Only to the client.
    Hand,
}

impl PasswordOptions {
    /// Reads the key, before anything is asked of anybody; `None` when no password is wanted.
    ///
    /// # Errors
    /// When the key cannot be used, or the password has nowhere to go.
    pub fn wanted(&self, client_reads_it: bool, format: Format) -> anyhow::Result<Option<Wanted>> {
        let Some(path) = &self.private_key else {
            return Ok(None);
        };
        let how = match () {
            () if self.copy_password => How::Copy,
            () if self.show_password => How::Show,
            () if client_reads_it => How::Hand,
            () => {
                ensure!(
                    format == Format::Text && io::stdout().is_terminal(),
                    "standard output is no terminal to show the password on: --copy-password copies it, --show-password shows it all the same"
                );
                How::Show
            }
        };
        let named = || format!("the private key {}", path.display());
        let pem = zeroize::Zeroizing::new(std::fs::read(path).with_context(named)?);
        let key = PrivateKey::from_pem(&pem).with_context(named)?;
        Ok(Some(Wanted { key, how }))
    }
}

impl Wanted {
    /// Asks for the password, and copies or shows it.
    ///
    /// # Errors
    /// Why there is none, or it cannot be copied.
    pub async fn get(
        &self,
        config: &aws_config::SdkConfig,
        instance: &str,
        output: Output,
    ) -> anyhow::Result<Password> {
        let password = administrator_password(config, instance, &self.key).await?;
        match self.how {
            How::Copy => {
                copy(&password)?;
                output.say("The Administrator's password is in the clipboard.");
            }
            How::Show => output.secret("password", "Administrator's password", password.expose()),
            How::Hand => {}
        }
        Ok(password)
    }
}

/// To the clipboard, by the tool of this system: on its standard input, which no other user sees.
fn copy(password: &Password) -> anyhow::Result<()> {
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

/// Whether its desktop is there.
fn usable(program: &str) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match program {
        "wl-copy" => set("WAYLAND_DISPLAY"),
        "xclip" | "xsel" => set("DISPLAY"),
        _ => true,
    }
}
