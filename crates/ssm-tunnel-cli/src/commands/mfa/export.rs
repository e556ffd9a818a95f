//! `mfa export`: the credentials for other programs.

use anyhow::Context as _;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use clap::ValueEnum;
use serde_json::json;
use ssm_mfa::MfaProvider;

use super::show::date;
use crate::output::shell::Shell;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Export {
    /// For `credential_process`, version 1
    Process,
    /// `export AWS_ACCESS_KEY_ID=…` for bash, zsh and other POSIX shells
    Env,
    /// `set -gx AWS_ACCESS_KEY_ID …` for fish
    Fish,
    /// `$Env:AWS_ACCESS_KEY_ID = …` for PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// `set "AWS_ACCESS_KEY_ID=…"` for cmd
    Cmd,
}

/// What is printed.
pub(super) async fn export(provider: &MfaProvider, format: Export) -> anyhow::Result<String> {
    provider.login().await?;
    let keys = provider.provide_credentials().await;
    let keys = keys.context("no credentials")?;
    Ok(match format {
        Export::Process => {
            let mut body = json!({
                "Version": 1,
                "AccessKeyId": keys.access_key_id(),
                "SecretAccessKey": keys.secret_access_key(),
            });
            if let Some(token) = keys.session_token() {
                body["SessionToken"] = token.into();
            }
            if let Some(expires) = keys.expiry().and_then(date) {
                body["Expiration"] = expires.into();
            }
            body.to_string()
        }
        Export::Env => assignments(Shell::Posix, &keys)?,
        Export::Fish => assignments(Shell::Fish, &keys)?,
        Export::PowerShell => assignments(Shell::PowerShell, &keys)?,
        Export::Cmd => assignments(Shell::Cmd, &keys)?,
    })
}

/// Lines for a shell.
fn assignments(shell: Shell, keys: &Credentials) -> anyhow::Result<String> {
    const TOKEN: &str = "AWS_SESSION_TOKEN";
    let lines = [
        shell.set("AWS_ACCESS_KEY_ID", keys.access_key_id())?,
        shell.set("AWS_SECRET_ACCESS_KEY", keys.secret_access_key())?,
        match keys.session_token() {
            Some(token) => shell.set(TOKEN, token)?,
            None => shell.unset(TOKEN),
        },
    ];
    Ok(lines.join("\n"))
}
