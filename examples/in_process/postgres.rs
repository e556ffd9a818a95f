//! `cargo run --example postgres -- --target i-0123456789abcdef0 postgres://app@db.internal/app "select now()"`
//!
//! A query to a PostgreSQL server that only the instance reaches, such as one of RDS, in process:
//! tokio-postgres over [`Tunnel::connect`], without a local port for others to connect to.
//!
//! The first argument is what `psql` takes, with the host as seen from the instance. The password
//! comes from it or from `PGPASSWORD`. With TLS (`sslmode=verify-full` or `require`; the default takes
//! it where the server has it) the certificate is always checked against the host's name: by this
//! machine's roots, or by those of `sslrootcert`, which for RDS is AWS's `global-bundle.pem`.
//!
//! Rows go to standard output, a line each with tabs between the columns, or with `--output json`
//! as objects; everything else goes to standard error.

mod psql;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use ssm_tunnel::{Tunnel, TunnelStream};
use ssm_tunnel_cli::account::Login;
use ssm_tunnel_cli::output::{Format, Output, exit};
use ssm_tunnel_cli::process::{Signals, program};
use ssm_tunnel_cli::tunnels::{Aws, open, or_leave, report, target};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

#[derive(Debug, Parser)]
#[command(about = "Query a private PostgreSQL server through AWS Systems Manager", after_help = exit::HELP)]
struct Options {
    #[arg(long, help = target::HELP)]
    target: String,
    /// postgres://USER@HOST[:PORT]/DATABASE, or key=value pairs; the host as seen from the target,
    /// `localhost` for the target itself
    connection: String,
    /// SQL, one or more statements
    query: String,
    /// Root certificates in PEM, instead of this machine's
    #[arg(long, value_name = "FILE")]
    sslrootcert: Option<PathBuf>,
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
    let connection = psql::read(&options.connection).context("the connection cannot be used")?;
    let mut database: Config = connection
        .text
        .parse()
        .context("the connection cannot be used")?;
    if database.get_password().is_none()
        && let Some(password) = std::env::var_os("PGPASSWORD")
    {
        database.password(password.to_string_lossy().as_bytes());
    }
    let host = match database.get_hosts() {
        [Host::Tcp(host)] => host.clone(),
        _ => bail!("the connection must name one host, as seen from the target"),
    };
    let port = database.get_ports().first().copied().unwrap_or(5432);
    let roots = options.sslrootcert.or(connection.sslrootcert);
    let tls = MakeRustlsConnect::new(tls(roots.as_deref())?);

    let login = Login::new(&options.aws.account).await?;
    let builder = Tunnel::builder(options.target)
        .remote_port(port)
        .remote_host(&host)
        .sdk_config(login.config());
    // Until here Ctrl-C just ends the program; from here on there is a session to terminate.
    let mut signals = Signals::new()?;
    let Some(tunnel) = open(login.open(options.aws.apply(builder)), output, &mut signals).await?
    else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let session_id = tunnel.session_id();
    let events = tokio::task::spawn_local(report(tunnel.events(), output, session_id));

    let answered = tokio::select! {
        answered = query(&tunnel, &database, tls, &host, &options.query) => Some(answered),
        () = signals.next() => None,
    };
    let closed = or_leave(tunnel.close(), output, &mut signals).await;
    events.await?;
    let Some(answered) = answered else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    print(&answered?, options.aws.account.output)?;
    closed.context("the tunnel ended")?;
    Ok(ExitCode::SUCCESS)
}

async fn query(
    tunnel: &Tunnel,
    database: &Config,
    mut tls: MakeRustlsConnect,
    host: &str,
    text: &str,
) -> anyhow::Result<Vec<SimpleQueryMessage>> {
    let stream = tunnel.connect().await?;
    // The stream stands already: the host only says whose certificate it must be.
    let tls = MakeTlsConnect::<TunnelStream>::make_tls_connect(&mut tls, host)?;
    let (client, connection) = database.connect_raw(stream, tls).await?;
    let driver = tokio::spawn(connection);
    let rows = client.simple_query(text).await;
    drop(client);
    driver.await?.context("the connection ended")?;
    Ok(rows?)
}

fn tls(roots: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file)
                .with_context(|| format!("cannot read {}", file.display()))?
            {
                store.add(certificate.with_context(|| file.display().to_string())?)?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(store)
        .with_no_client_auth())
}

fn print(answer: &[SimpleQueryMessage], format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let terminal = out.is_terminal();
    for message in answer {
        let SimpleQueryMessage::Row(row) = message else {
            continue;
        };
        let values = (0..row.len()).map(|column| row.get(column));
        match format {
            Format::Text => {
                // Other programs get the values as they are.
                let shown = |value: Option<&str>| match (value.unwrap_or_default(), terminal) {
                    (value, true) => ssm_terminal::one_line(value).into_owned(),
                    (value, false) => value.to_owned(),
                };
                let values: Vec<_> = values.map(shown).collect();
                writeln!(out, "{}", values.join("\t"))?;
            }
            Format::Json => {
                let names = row.columns().iter().map(|column| column.name().to_owned());
                let columns: serde_json::Map<_, _> =
                    names.zip(values.map(serde_json::Value::from)).collect();
                writeln!(
                    out,
                    "{}",
                    serde_json::json!({ "event": "row", "columns": columns })
                )?;
            }
        }
    }
    Ok(out.flush()?)
}
