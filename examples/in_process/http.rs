//! `cargo run --example http -- --target i-0123456789abcdef0 http://intranet.internal/status`
//!
//! Gets a page of a web server that only the instance reaches, in process: hyper's client over
//! [`HyperConnector`], without a local port, for `http` and `https` alike. The certificate is
//! checked against the name in the URL, since nothing is rewritten to `localhost`.
//!
//! The page goes to standard output, everything else to standard error.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Parser;
use http_body_util::{BodyExt as _, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ssm_tunnel::{HyperConnector, Tunnel};
use ssm_tunnel_cli::account::Login;
use ssm_tunnel_cli::output::{Output, exit};
use ssm_tunnel_cli::process::{Signals, program};
use ssm_tunnel_cli::tunnels::{Aws, open, or_leave, report, target};

#[derive(Debug, Parser)]
#[command(about = "Get a page of a private web server through AWS Systems Manager", after_help = exit::HELP)]
struct Options {
    #[arg(long, help = target::HELP)]
    target: String,
    /// What to get; the host as seen from the target, `localhost` for the target itself
    url: Uri,
    #[command(flatten)]
    aws: Aws,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let output = Output::new(options.aws.account.output)
        .on_stderr()
        .problems_only();
    program::run(output, run(options, output))
}

async fn run(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.account.start_log()?;
    let login = Login::new(&options.aws.account).await?;
    let host = options.url.host().context("the URL names no host")?;
    let tls = options.url.scheme_str() == Some("https");
    let port = options.url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let builder = Tunnel::builder(options.target)
        .remote_port(port)
        .remote_host(host)
        .sdk_config(login.config());
    // Until here Ctrl-C just ends the program; from here on there is a session to terminate.
    let mut signals = Signals::new()?;
    let Some(tunnel) = open(login.open(options.aws.apply(builder)), output, &mut signals).await?
    else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let tunnel = Arc::new(tunnel);
    let session_id = tunnel.session_id();
    let events = tokio::task::spawn_local(report(tunnel.events(), output, session_id));

    let fetched = tokio::select! {
        fetched = fetch(tunnel.clone(), options.url) => Some(fetched),
        () = signals.next() => None,
    };
    let closed = or_leave(tunnel.close(), output, &mut signals).await;
    events.await?;
    let Some(fetched) = fetched else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    fetched?;
    closed.context("the tunnel ended")?;
    Ok(ExitCode::SUCCESS)
}

async fn fetch(tunnel: Arc<Tunnel>, url: Uri) -> anyhow::Result<()> {
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()
        .context("no root certificates")?
        .https_or_http()
        .enable_http1()
        .wrap_connector(HyperConnector::new(tunnel));
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let answer = client.get(url).await?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut out = std::io::stdout();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            // Other programs get the page as it is.
            match out.is_terminal() {
                true => {
                    let text = String::from_utf8_lossy(&data);
                    out.write_all(ssm_terminal::printable(&text).as_bytes())?;
                }
                false => out.write_all(&data)?,
            }
        }
    }
    out.flush()?;
    ensure!(status.is_success(), "the server answered {status}");
    Ok(())
}
