//! What the arguments of `sandbox` mean.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use ssm_sandbox::{Instance, ResumeUrl, Role, User};

/// A number from 0 to 1.
///
/// # Errors
/// When the text is not of that form.
pub fn share(text: &str) -> anyhow::Result<f64> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| anyhow!("a share is a number from 0 to 1, such as 0.05"))
}

/// Four numbers.
///
/// # Errors
/// When the text is not of that form.
pub fn version(text: &str) -> anyhow::Result<String> {
    let numbers = text.split('.').map(str::parse::<u32>);
    let sound = numbers.clone().count() == 4 && numbers.into_iter().all(|number| number.is_ok());
    ensure!(
        sound,
        "an agent's version has four numbers, such as 3.3.1142.0"
    );
    Ok(text.to_owned())
}

/// A user and their MFA devices: `NAME[=DEVICE,…]`.
///
/// # Errors
/// When the text is not of that form.
pub fn user(text: &str) -> Result<User, String> {
    let Some((name, devices)) = text.split_once('=') else {
        return Ok(User::from(text));
    };
    let mut user = User::new(name);
    for device in devices.split(',').filter(|device| !device.is_empty()) {
        user = match device.split_once('/') {
            Some(("mfa", name)) => user.virtual_device(name),
            Some(("u2f", name)) => user.security_key(name),
            None => user.hardware_device(device),
            _ => {
                return Err(format!(
                    "{device} is not mfa/NAME, u2f/NAME or a serial number"
                ));
            }
        };
    }
    Ok(user)
}

/// An instance: `ID[,…]`.
///
/// # Errors
/// When the text is not of that form.
pub fn instance(text: &str) -> anyhow::Result<Instance> {
    let mut parts = text.split(',');
    let mut instance = Instance::new(parts.next().unwrap_or_default());
    for part in parts {
        instance = match part.split_once('=') {
            Some(("name", value)) => instance.name(value),
            Some(("computer-name", value)) => instance.computer_name(value),
            Some(("ip", value)) => instance.ip_address(value.parse().context("ip is no address")?),
            Some(("agent-version", value)) => instance.agent_version(version(value)?),
            None if part == "offline" => instance.online(false),
            None if part == "not-connected" => instance.connected(false),
            None if part == "stopped" => instance.stopped(true),
            _ => return Err(anyhow!("an instance has no {part}")),
        };
    }
    Ok(instance)
}

/// A role: `NAME[,…]`.
///
/// # Errors
/// When the text is not of that form.
pub fn role(text: &str) -> anyhow::Result<Role> {
    let mut parts = text.split(',');
    let mut role = Role::new(parts.next().unwrap_or_default());
    for part in parts {
        let seconds = |value: &str| {
            let seconds = value.parse().map(Duration::from_secs);
            seconds.with_context(|| format!("{value} is not a number of seconds"))
        };
        role = match part.split_once('=') {
            Some(("max-session-duration", value)) => role.max_session_duration(seconds(value)?),
            Some(("max-mfa-age", value)) => role.max_mfa_age(seconds(value)?),
            Some(("external-id", value)) => role.external_id(value),
            None if part == "no-mfa" => role.requires_mfa(false),
            _ => return Err(anyhow!("a role has no {part}")),
        };
    }
    Ok(role)
}

/// What a name resolves to: `NAME=ADDRESS`.
///
/// # Errors
/// When the text is not of that form.
pub fn resolved(text: &str) -> anyhow::Result<(String, IpAddr)> {
    let (name, address) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .context("give a name and an address, such as db.internal=10.0.0.9")?;
    let address = address.parse();
    let address = address.with_context(|| format!("{name} has no address"))?;
    Ok((name.to_owned(), address))
}

/// Which URL ResumeSession answers with.
///
/// # Errors
/// When the text is not of that form.
pub fn resume_url(text: &str) -> anyhow::Result<ResumeUrl> {
    let known = ResumeUrl::ALL.into_iter().find(|kind| kind.name() == text);
    let names = ResumeUrl::ALL.map(ResumeUrl::name).join(", ");
    known.with_context(|| format!("one of {names}"))
}
