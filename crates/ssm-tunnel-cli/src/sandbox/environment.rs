//! The environment that `sandbox` prints, for shells and for programs.

use clap::ValueEnum;
use ssm_sandbox::Sandbox;

use super::story::{NAME, REGION, TARGET};

/// How variables are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, zsh and fish
    #[value(alias = "bash", alias = "zsh", alias = "fish", alias = "sh")]
    Posix,
    /// PowerShell, on any system
    #[value(alias = "pwsh")]
    Powershell,
}

impl Default for Shell {
    fn default() -> Self {
        match cfg!(windows) {
            true => Self::Powershell,
            false => Self::Posix,
        }
    }
}

impl Shell {
    /// A command that sets a variable; fish knows `export` too.
    fn set(self, (name, value): (&str, &str)) -> String {
        match self {
            Self::Posix => format!("export {name}={value}\n"),
            Self::Powershell => format!("$Env:{name} = '{value}'\n"),
        }
    }

    /// A line for people that the shell does nothing about. zsh takes no comments where people type.
    fn note(self, text: &str) -> String {
        match self {
            Self::Posix => format!(": '{text}'"),
            Self::Powershell => format!("# {text}"),
        }
    }

    /// In Windows PowerShell `curl` is another command.
    fn curl(self) -> &'static str {
        match (self, cfg!(windows)) {
            (Self::Powershell, true) => "curl.exe",
            _ => "curl",
        }
    }
}

/// The environment of the first user, for a shell to read; the rest as lines that it passes over.
pub fn environment(sandbox: &Sandbox, shell: Shell) -> String {
    let endpoint = sandbox.endpoint_url();
    let (key, secret) = (sandbox.access_key_id(), sandbox.secret_access_key());
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &key),
        ("AWS_SECRET_ACCESS_KEY", &secret),
    ];
    let (serial, code, curl) = (
        sandbox.mfa_serial(),
        sandbox.next_unused_code(),
        shell.curl(),
    );
    let notes = [
        format!("instance {TARGET} ({NAME}), MFA device {serial}"),
        format!(
            "its next code: {code} (later: {curl} \"{endpoint}/sandbox/code?serial={serial}\")"
        ),
        format!("how scripts steer it: {curl} {endpoint}/sandbox/"),
    ];
    let notes = notes.map(|note| shell.note(&note)).join("\n");
    format!("{}{notes}", variables.map(|it| shell.set(it)).concat())
}

/// All users with their keys and devices.
pub fn json(sandbox: &Sandbox) -> serde_json::Value {
    let device = |serial: &String| {
        let seed = sandbox.mfa_seed_of(serial);
        let hex = seed.map(|seed| {
            seed.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        serde_json::json!({ "serial": serial, "seed_hex": hex })
    };
    let user = |name: String| {
        let key = sandbox.access_key_of(&name);
        serde_json::json!({
            "access_key_id": key.as_ref().map(|key| &key.id),
            "secret_access_key": key.as_ref().map(|key| &key.secret),
            "devices": sandbox.mfa_serials_of(&name).iter().map(device).collect::<Vec<_>>(),
            "name": name,
        })
    };
    serde_json::json!({
        "endpoint_url": sandbox.endpoint_url(),
        "region": REGION,
        "instance": TARGET,
        "name": NAME,
        "users": sandbox.users().into_iter().map(user).collect::<Vec<_>>(),
        "roles": sandbox.role_arns(),
    })
}
