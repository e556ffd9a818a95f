//! The Administrator's password: retrieved from EC2, then copied, shown or handed to the client.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::clipboard;
use crate::output::{Format, Output};
use crate::rdp::{Password, PrivateKey, administrator_password};

/// Options for the Administrator's password.
#[derive(Debug, Clone, Args)]
pub struct PasswordOptions {
    /// Private key (PEM) of the instance's key pair: asks EC2 for the Administrator's password, and
    /// shows it on the terminal, or hands it to FreeRDP with --launch
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Copy the password to the clipboard instead
    #[arg(long, requires = "private_key")]
    copy_password: bool,
    /// Show the password even if standard output is not a terminal
    #[arg(long, requires = "private_key", conflicts_with = "copy_password")]
    show_password: bool,
}

/// The private key, and where the password goes.
#[derive(Debug)]
pub struct Wanted {
    key: PrivateKey,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Copy,
    Show,
    /// Pass it to the client only.
    Hand,
}

impl PasswordOptions {
    /// Reads the key before any call is made; `None` when no password is wanted.
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
    /// Retrieves the password, and copies or shows it.
    ///
    /// # Errors
    /// Why there is no password, or why it cannot be copied.
    pub async fn get(
        &self,
        config: &aws_config::SdkConfig,
        instance: &str,
        output: Output,
    ) -> anyhow::Result<Password> {
        let password = administrator_password(config, instance, &self.key).await?;
        match self.how {
            How::Copy => {
                clipboard::copy(&password)?;
                output.say("The Administrator's password is in the clipboard.");
            }
            How::Show => output.secret("password", "Administrator's password", password.expose()),
            How::Hand => {}
        }
        Ok(password)
    }
}
