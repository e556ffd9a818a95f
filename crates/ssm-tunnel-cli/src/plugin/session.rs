//! A session that was handed over, from its first line to its last.
//!
//! The lines are those that callers of the reference plugin look for: `aws/session-manager-plugin`
//! `portsession/muxportforwarding.go` and `datachannel/streaming.go` @61cf1288.

use std::env::{self, VarError};
use std::io::{self, Write as _};
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use ssm_tunnel::{End, EndKind, Error, Event, Listener, Tunnel};

use super::request::{Asked, Request};
use crate::process::{Signals, stdio};
use crate::tunnels::LocalSide;

/// The host to listen on.
const LOCAL_HOST: &str = "SSM_PLUGIN_LOCAL_HOST";
/// `true` leaves the data channel's first request unsigned.
const SKIP: &str = "SSM_PLUGIN_SKIP_CLIENT_CONFIGURE";

/// Documents of shells and commands.
const SHELLS: [&str; 3] = [
    "SSM-SessionManagerRunShell",
    "AWS-StartInteractiveCommand",
    "AWS-StartNonInteractiveCommand",
];
/// Documents of one plain stream.
const STREAMS: [&str; 1] = ["AWS-StartSSHSession"];
/// Documents of a local port.
const PORTS: [&str; 2] = [
    "AWS-StartPortForwardingSession",
    "AWS-StartPortForwardingSessionToRemoteHost",
];

const INTERRUPTED: &str = "Terminate signal received, exiting.";
const NO_SHELLS: &str = "this session is a shell or a command, which ssm-tunnel's session-manager-plugin does not support yet: it forwards ports and carries ssh; use AWS's plugin for this session";

/// Carries the session to its end.
///
/// # Errors
/// Why it could not be carried. What became of it afterwards is printed.
pub async fn run(request: Request) -> anyhow::Result<()> {
    let id = request.session.session_id().to_owned();
    say(&format!("\nStarting session with SessionId: {id}"));
    let mut signals = Signals::with_job_control()?;
    let tunnel = tokio::select! {
        tunnel = open(&request) => tunnel?,
        () = signals.next() => {
            say(INTERRUPTED);
            say(&exiting(&id));
            return Ok(());
        }
    };
    let outcome = match request.asked {
        Ok(asked) if asked.is_shell() => {
            // Its end may take a moment.
            fail(&anyhow::anyhow!(NO_SHELLS));
            Ok(())
        }
        Ok(asked) => serve(&tunnel, &id, &asked, signals).await,
        Err(error) => {
            fail(&error);
            Ok(())
        }
    };
    // Whatever happened, the session does not outlive this program.
    let _ = tunnel.close().await;
    outcome
}

async fn open(request: &Request) -> anyhow::Result<Tunnel> {
    let unsigned = env::var_os(SKIP).is_some_and(|value| value == "true");
    let needs_credentials = !unsigned && !request.session.is_presigned();
    let caller = super::caller::load(request, needs_credentials).await?;
    let mut builder = Tunnel::attach(request.session.clone()).sdk_config(&caller.config);
    if let Some(bundle) = caller.ca_bundle {
        builder = builder.ca_bundle(bundle);
    }
    if let Some(endpoint) = &request.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    if unsigned {
        builder = builder.unsigned_start();
    }
    Ok(builder.open().await?)
}

impl Asked {
    fn is_any_of(&self, documents: &[&str]) -> bool {
        self.document
            .as_deref()
            .is_some_and(|name| documents.contains(&name))
    }

    fn is_shell(&self) -> bool {
        self.is_any_of(&SHELLS)
    }
}

async fn serve(
    tunnel: &Tunnel,
    id: &str,
    asked: &Asked,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let ready = tokio::select! {
        ready = tunnel.ready() => ready,
        () = signals.next() => {
            terminate(tunnel, id).await;
            return Ok(());
        }
    };
    match ready {
        Ok(()) => {}
        Err(Error::Ended(end)) if end.is_shell() => bail!(NO_SHELLS),
        Err(Error::Ended(end))
            if matches!(end.kind(), EndKind::ByService | EndKind::SessionGone) =>
        {
            ended(&end, id);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    // A document of the account's own has a type that only the agent's handshake brings.
    let listens = tunnel.property("type").as_deref() == Some("LocalPortForwarding");
    let refused = if listens { &STREAMS[..] } else { &PORTS[..] };
    if asked.is_any_of(refused) {
        let name = asked.document.as_deref().unwrap_or_default();
        bail!("the agent offers another kind of session than {name} asks for");
    }
    let end = match listens {
        true => forward(tunnel, id, &asked.local, signals).await?,
        false => stream(tunnel, signals).await?,
    };
    if let Some(end) = end {
        ended(&end, id);
    }
    Ok(())
}

/// One plain stream on standard input and output, as ssh's ProxyCommand wants it. An end in order
/// prints nothing: the output is the destination's.
async fn stream(tunnel: &Tunnel, mut signals: Signals) -> anyhow::Result<Option<End>> {
    let stream = tunnel.connect().await?;
    tokio::select! {
        _ = stdio::carry(stream) => {}
        () = signals.next() => {}
    }
    match tunnel.close().await {
        Ok(_) => Ok(None),
        Err(Error::Ended(end)) => Ok(Some(end)),
        Err(error) => Err(error.into()),
    }
}

/// Listens where the caller asked for, until the session ends; returns its end, unless it was said.
async fn forward(
    tunnel: &Tunnel,
    id: &str,
    local: &LocalSide,
    mut signals: Signals,
) -> anyhow::Result<Option<End>> {
    let (listener, opened) = listen(local, id).await?;
    let mut events = tunnel.events();
    // The account's text for its users comes with the end of the handshake, which is there.
    while let Some(event) = events.next().await {
        if let Event::Ready { message, .. } = event {
            if !message.is_empty() {
                say(&message);
            }
            break;
        }
    }
    tunnel.listen(listener);
    say(&opened);
    say("Waiting for connections...");
    let mut accepted = false;
    loop {
        let event = tokio::select! {
            // What happened before the signal is said before it.
            biased;
            event = events.next() => event,
            () = signals.next() => {
                terminate(tunnel, id).await;
                return Ok(None);
            }
        };
        match event {
            Some(Event::ConnectionOpened { .. }) if !accepted => {
                accepted = true;
                say(&format!("\nConnection accepted for session [{id}]"));
            }
            Some(Event::DestinationRefused { .. }) => {
                say("\nConnection to destination port failed, check SSM Agent logs.");
            }
            Some(Event::Closed { .. }) | None => {
                return match tunnel.closed().await {
                    Ok(end) | Err(Error::Ended(end)) => Ok(Some(end)),
                    Err(error) => Err(error.into()),
                };
            }
            _ => {}
        }
    }
}

/// Listens, and says so in the reference plugin's words.
async fn listen(local: &LocalSide, id: &str) -> anyhow::Result<(Listener, String)> {
    match local {
        LocalSide::Socket(path) => {
            let listener = Listener::socket(path);
            let listener =
                listener.with_context(|| format!("cannot listen on {}", path.display()))?;
            let path = path.display();
            Ok((
                listener,
                format!("Unix socket {path} opened for sessionId {id}."),
            ))
        }
        LocalSide::Address(address) => {
            let address = local_address(address.port()).await?;
            let listener = Listener::tcp(address).await;
            let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
            let port = listener.local_addr()?.map_or(0, |address| address.port());
            Ok((listener, format!("Port {port} opened for sessionId {id}.")))
        }
    }
}

/// The host's first IPv4 address, else its first.
async fn local_address(port: u16) -> anyhow::Result<SocketAddr> {
    let host = match env::var(LOCAL_HOST) {
        Ok(host) if !host.is_empty() => host,
        Ok(_) | Err(VarError::NotPresent) => "localhost".to_owned(),
        Err(VarError::NotUnicode(_)) => bail!("{LOCAL_HOST} is not UTF-8"),
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let found = tokio::net::lookup_host((bare.unwrap_or(&host), port)).await;
    let found: Vec<_> = found
        .with_context(|| format!("{LOCAL_HOST}: {host:?} cannot be listened on"))?
        .collect();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    ipv4.or(found.first())
        .copied()
        .with_context(|| format!("{LOCAL_HOST}: {host:?} has no address"))
}

async fn terminate(tunnel: &Tunnel, id: &str) {
    say(INTERRUPTED);
    // It ends either way; what remains is the service's.
    let _ = tunnel.close().await;
    say(&exiting(id));
}

fn exiting(id: &str) -> String {
    format!("\n\nExiting session with sessionId: {id}.\n")
}

/// The last line of a session that was carried, and not ended here.
fn ended(end: &End, id: &str) {
    say(&last_line(end, id));
}

fn last_line(end: &End, id: &str) -> String {
    match end.service_text() {
        Some(output) => by_service(output, id),
        None if end.is_clean() => exiting(id),
        None if end.kind() == EndKind::SessionGone => format!("Session: {id} timed out."),
        None => format!("\n\nSessionId: {id} : {end}\n"),
    }
}

fn by_service(output: &str, id: &str) -> String {
    match output.trim() {
        "" => exiting(id),
        output => format!("\n\nSessionId: {id} : {output}\n"),
    }
}

/// The line of a session that could not be carried.
pub fn fail(error: &anyhow::Error) {
    say(&format!("Cannot perform start session: {}", story(error)));
}

/// An error with its causes, each said once.
fn story(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// A line; a reader that went away is not an error.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let text = ssm_terminal::printable(text);
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_of_the_service_leaves_no_colon() {
        let line = |output: &str| by_service(output, "s-1");
        for empty in ["", " ", "\n"] {
            assert_eq!(line(empty), "\n\nExiting session with sessionId: s-1.\n");
        }
        assert_eq!(line("Closed.\n"), "\n\nSessionId: s-1 : Closed.\n");
    }

    #[test]
    fn a_cause_that_is_part_of_its_error_is_not_repeated() {
        let error = anyhow::anyhow!("no route")
            .context("cannot reach h: no route")
            .context("opening failed");
        assert_eq!(story(&error), "opening failed: cannot reach h: no route");
    }
}
