//! A drop-in for AWS's session-manager-plugin: `aws ssm start-session` forwards ports through it.
//!
//! ```text
//! cargo build --release --example session-manager-plugin
//! export PATH="$PWD/target/release/examples:$PATH"
//! aws ssm start-session --target i-0123456789abcdef0 \
//!     --document-name AWS-StartPortForwardingSession --parameters portNumber=3389,localPortNumber=17320
//! ```
//!
//! Nothing of the command line, of what is printed, or of other tools that run the AWS CLI changes:
//! arguments, lines and exit codes are those of the reference plugin, `AWS-StartSSHSession` for ssh
//! included. What is different: uploads are not held back, connections survive a lost network, a
//! stalled connection stops no other, and whatever is cut off is reset.
//!
//! Shell sessions are not supported: the agent's handshake tells, and the line printed says so.
//!
//! # What it gets
//!
//! | argument | what it is |
//! |---|---|
//! | 1 | StartSession's answer, or the name of the environment variable that holds it |
//! | 2 | region |
//! | 3 | `StartSession` |
//! | 4 | profile, may be empty |
//! | 5 | the request's parameters |
//! | 6 | endpoint of Systems Manager |
//!
//! Old versions of the AWS CLI leave out the last three. `SSM_PLUGIN_LOCAL_HOST` is the host to
//! listen on, `localhost` unless set. The local port, or the Unix socket (`localConnectionType` and
//! `localUnixSocket` of a document of your own), comes with the agent's handshake. Its own settings:
//! `SSM_TUNNEL_PLUGIN_LOG` names a file to log to, at the levels of `SSM_TUNNEL_LOG`.
//!
//! The exit code is 0 even for a session that failed, as the reference plugin's is: what went wrong
//! is in the last line. Source of all this: `aws/session-manager-plugin`
//! `src/sessionmanagerplugin/session` @61cf1288, and `awscli/customizations/sessionmanager.py` of
//! the AWS CLI 1.45.

use std::env;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use ssm_mfa::MfaProvider;
use ssm_tunnel::{End, Error, Event, Listener, StartedSession, Tunnel};
use support::options;
use support::signals::Signals;
use support::stdio;

/// What names of the variable begin with.
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";

/// What the AWS CLI said.
struct Request {
    session: Result<StartedSession, Error>,
    region: Option<String>,
    operation: String,
    profile: Option<String>,
    endpoint: Option<String>,
}

impl Request {
    fn new(arguments: &[String]) -> Self {
        let argument = |at: usize| arguments.get(at).filter(|text| !text.is_empty()).cloned();
        let response = argument(1).unwrap_or_default();
        let session = if response.starts_with(RESPONSE) {
            StartedSession::from_json(&env::var(&response).unwrap_or_default())
        } else {
            StartedSession::from_json(&response)
        };
        Self {
            session,
            region: argument(2),
            operation: argument(3).unwrap_or_default(),
            profile: argument(4),
            endpoint: argument(6),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match arguments.as_slice() {
        [] | [_] => say(
            "\nssm-tunnel's session-manager-plugin was installed successfully: the AWS CLI can use it.\n",
        ),
        [_, option] if option == "--version" => say(ssm_tunnel::PLUGIN_VERSION),
        [_, unknown] | [_, unknown, _] => say(&format!(
            "\nUnknown operation {unknown}: this program is for the AWS CLI; --version shows its version.\n"
        )),
        arguments => start(Request::new(arguments)),
    }
    ExitCode::SUCCESS
}

fn start(request: Request) {
    if request.operation != "StartSession" {
        return say("Invalid Operation");
    }
    let runtime = tokio::runtime::Runtime::new();
    let outcome = runtime.context("no runtime").and_then(|runtime| {
        let outcome = runtime.block_on(run(request));
        // Standard input may still be read from, and that cannot be called off.
        runtime.shutdown_background();
        outcome
    });
    if let Err(error) = outcome {
        say(&format!("Cannot perform start session: {error:#}"));
    }
}

async fn run(request: Request) -> anyhow::Result<()> {
    let session = request.session?;
    let id = session.session_id().to_owned();
    say(&format!("\nStarting session with SessionId: {id}"));
    if let Some(path) = env::var_os("SSM_TUNNEL_PLUGIN_LOG") {
        options::log_to(path.as_ref())?;
    }
    let signals = Signals::with_job_control()?;
    let config = credentials(request.profile.as_deref(), request.region).await?;
    let mut builder = Tunnel::attach(session).sdk_config(&config);
    if let Some(endpoint) = request.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    let tunnel = builder.open().await?;
    let used = serve(&tunnel, &id, signals).await;
    // Whatever happened, the session does not outlive this program.
    let _ = tunnel.close().await;
    used
}

async fn serve(tunnel: &Tunnel, id: &str, mut signals: Signals) -> anyhow::Result<()> {
    let ready = tokio::select! {
        ready = tunnel.ready() => ready,
        () = signals.next() => return terminate(tunnel, id).await,
    };
    if let Err(error) = ready {
        return ended(Err(error), id);
    }
    if tunnel.property("type").as_deref() == Some("LocalPortForwarding") {
        return forward(tunnel, id, signals).await;
    }
    // Anything else is one plain stream, as ssh's ProxyCommand wants it.
    let stream = tunnel.connect().await?;
    tokio::select! {
        _ = stdio::carry(stream) => {}
        () = signals.next() => {}
    }
    match tunnel.close().await {
        Ok(_) => Ok(()),
        error => ended(error, id),
    }
}

/// The profile's credentials, which resume and terminate the session and sign the data channel.
async fn credentials(profile: Option<&str>, region: Option<String>) -> anyhow::Result<SdkConfig> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    let config = loader.load().await;
    let there = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    };
    if there {
        return Ok(config);
    }
    // A role that wants a code of the MFA device: the AWS CLI asked for it and kept the session.
    let provider = MfaProvider::from_profile(profile, &config).await?;
    provider.login().await.context("no credentials")?;
    Ok(provider.sdk_config(&config))
}

async fn forward(tunnel: &Tunnel, id: &str, mut signals: Signals) -> anyhow::Result<()> {
    let property = |name: &str| tunnel.property(name).filter(|value| !value.is_empty());
    let (listener, opened) = if property("localConnectionType").as_deref() == Some("unix") {
        let path = property("localUnixSocket").unwrap_or_default();
        let listener = Listener::socket(&path).with_context(|| path.clone())?;
        (
            listener,
            format!("Unix socket {path} opened for sessionId {id}."),
        )
    } else {
        let address = local_address(property("localPortNumber")).await?;
        let listener = Listener::tcp(address).await.context(address)?;
        let port = listener.local_addr()?.map_or(0, |address| address.port());
        (listener, format!("Port {port} opened for sessionId {id}."))
    };
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
            () = signals.next() => return terminate(tunnel, id).await,
        };
        match event {
            Some(Event::ConnectionOpened { .. }) if !accepted => {
                accepted = true;
                say(&format!("\nConnection accepted for session [{id}]"));
            }
            Some(Event::DestinationRefused { .. }) => {
                say("\nConnection to destination port failed, check SSM Agent logs.");
            }
            Some(Event::Closed { .. }) | None => return ended(tunnel.closed().await, id),
            _ => {}
        }
    }
}

/// Where to listen: the first IPv4 address of the host, else its first.
async fn local_address(port: Option<String>) -> anyhow::Result<SocketAddr> {
    let host = env::var("SSM_PLUGIN_LOCAL_HOST").unwrap_or_else(|_| "localhost".to_owned());
    let port: u16 = match port {
        Some(port) => port.parse().with_context(|| format!("local port {port}"))?,
        None => 0,
    };
    let found: Vec<_> = tokio::net::lookup_host((host.as_str(), port))
        .await
        .with_context(|| format!("SSM_PLUGIN_LOCAL_HOST {host}"))?
        .collect();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    ipv4.or(found.first())
        .copied()
        .with_context(|| format!("SSM_PLUGIN_LOCAL_HOST {host} has no address"))
}

async fn terminate(tunnel: &Tunnel, id: &str) -> anyhow::Result<()> {
    say("Terminate signal received, exiting.");
    // It ends either way; what remains is the service's.
    let _ = tunnel.close().await;
    say(&format!("\n\nExiting session with sessionId: {id}.\n"));
    Ok(())
}

/// The last line of a session that was not ended here.
fn ended(end: Result<End, Error>, id: &str) -> anyhow::Result<()> {
    match end {
        Ok(_) => say(&format!("\n\nExiting session with sessionId: {id}.\n")),
        Err(Error::Ended(End::ByService { output })) => {
            say(&format!("\n\nSessionId: {id} : {output}\n"));
        }
        Err(Error::Ended(End::SessionGone)) => say(&format!("Session: {id} timed out.")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A line; a reader that went away is not an error.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
