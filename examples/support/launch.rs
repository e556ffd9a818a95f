//! Starts the Remote Desktop client that this platform has.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::bail;

/// Starts the client and leaves it to itself.
///
/// # Errors
/// When none is installed.
pub fn remote_desktop(address: SocketAddr) -> anyhow::Result<()> {
    for (program, arguments) in clients(address) {
        let started = Command::new(program)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if started.is_ok() {
            return Ok(());
        }
    }
    bail!(
        "no Remote Desktop client was found ({}): install one, or connect yours to {address}",
        clients(address).map(|(program, _)| program).join(", ")
    )
}

#[cfg(windows)]
fn clients(address: SocketAddr) -> [(&'static str, Vec<String>); 1] {
    [("mstsc.exe", vec![format!("/v:{address}")])]
}

/// The Windows App answers to `rdp://` links.
#[cfg(target_os = "macos")]
fn clients(address: SocketAddr) -> [(&'static str, Vec<String>); 1] {
    [("open", vec![format!("rdp://full%20address=s:{address}")])]
}

#[cfg(not(any(windows, target_os = "macos")))]
fn clients(address: SocketAddr) -> [(&'static str, Vec<String>); 3] {
    [
        ("xfreerdp3", vec![format!("/v:{address}")]),
        ("xfreerdp", vec![format!("/v:{address}")]),
        ("remmina", vec!["-c".to_owned(), format!("rdp://{address}")]),
    ]
}
