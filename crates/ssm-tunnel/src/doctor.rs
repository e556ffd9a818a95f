//! Finds out why a tunnel cannot be opened: everything between this machine and the target is
//! looked at, and each thing that is not as a tunnel needs it comes with what to do.
//!
//! ```no_run
//! use ssm_tunnel::doctor::Doctor;
//!
//! # async fn run(config: aws_config::SdkConfig) {
//! let report = Doctor::new(&config).target("my-windows-box").run().await;
//! println!("{report}"); // a table; `report.checks` for programs
//! std::process::exit(if report.is_healthy() { 0 } else { 1 });
//! # }
//! ```
//!
//! | check | passes when |
//! |---|---|
//! | `region` | one is set |
//! | `credentials` | there are some that have not expired |
//! | `identity` | STS knows whose they are (GetCallerIdentity) |
//! | `mfa` | they are of an MFA session, or StartSession is not denied without one |
//! | `clock` | this machine's clock is less than 5 minutes off AWS's (the `Date` of its answers) |
//! | `proxy` | no proxy is in the way, or one that lets through |
//! | `sts`, `ssm`, `ssmmessages` | the name resolves and the host answers, whatever it answers |
//! | `instance` | Systems Manager knows the target, and it is online (DescribeInstanceInformation) |
//! | `agent` | its agent can forward ports |
//! | `data-channel` | its agent is connected for sessions (GetConnectionStatus) |
//! | `session` | a session may be started, and terminated |
//! | `local-port` | nobody listens on it |
//!
//! Those about a target are left out without one, and `local-port` without a local address.
//!
//! # What it costs
//!
//! Every check has a deadline ([`Doctor::deadline`]) and most run side by side. Nothing is changed,
//! with one exception: whether StartSession is allowed is known only from trying, so a session
//! **is started, and terminated at once** without its data channel being opened. It stands in the
//! session history and in CloudTrail. Should the answer get lost, or TerminateSession be denied,
//! the target's agent ends the session itself, 15 s later, for lack of a client.
//! [`Doctor::start_session`] leaves it out.
//!
//! # IAM
//!
//! Besides what a tunnel needs: `ssm:DescribeInstanceInformation` on `*` and
//! `ssm:GetConnectionStatus` on the target. Without them, `instance`, `agent` and `data-channel`
//! are unknown, which is no failure.
//!
//! # Secrets
//!
//! The report holds no secret: of an access key the last four characters of its id, of a proxy its
//! address without a password.

mod account;
mod denied;
mod network;
mod report;
mod session;
mod target;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use ssm_relay::{CaBundle, Proxy};

pub use report::{Check, CheckName, Report, Status};

use crate::aws::endpoints::endpoints;
use crate::aws::nodes::Nodes;
use crate::{network as http, remote_host, settings};

/// How long a check may take, unless said otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is to be looked at; see the [module](self).
#[derive(Debug, Clone)]
#[must_use = "nothing is looked at until `run` is called"]
pub struct Doctor {
    sdk_config: SdkConfig,
    target: Option<String>,
    remote_port: u16,
    remote_host: Option<String>,
    document_name: Option<String>,
    endpoint_url: Option<String>,
    stream_endpoint: Option<String>,
    proxy: Proxy,
    ca_bundle: Option<CaBundle>,
    local_address: Option<SocketAddr>,
    mfa: Mfa,
    credentials_from: Option<String>,
    start_session: bool,
    deadline: Duration,
}

/// What the caller knows of MFA: credentials do not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mfa {
    /// Nothing.
    #[default]
    Unknown,
    /// The credentials are of a session that was started with a code.
    Session {
        /// When another code is needed.
        until: Option<SystemTime>,
    },
    /// Logging in failed; the credentials are those from before.
    Failed(String),
}

impl Doctor {
    /// With this region, these credentials and this transport.
    pub fn new(sdk_config: &SdkConfig) -> Self {
        Self {
            sdk_config: sdk_config.clone(),
            target: None,
            remote_port: 3389,
            remote_host: None,
            document_name: None,
            endpoint_url: None,
            stream_endpoint: None,
            proxy: Proxy::default(),
            ca_bundle: None,
            local_address: None,
            mfa: Mfa::Unknown,
            credentials_from: None,
            start_session: true,
            deadline: DEADLINE,
        }
    }

    /// What the tunnel is to lead to, as [`Tunnel::builder`](crate::Tunnel::builder) takes it.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The port that the session is started for. Default 3389; nothing is sent to it.
    pub fn remote_port(mut self, port: u16) -> Self {
        self.remote_port = port;
        self
    }

    /// A host behind the target, as [`TunnelBuilder::remote_host`](crate::TunnelBuilder::remote_host)
    /// takes it.
    pub fn remote_host(mut self, host: impl Into<String>) -> Self {
        self.remote_host = Some(host.into());
        self
    }

    /// The session document, as
    /// [`TunnelBuilder::document_name`](crate::TunnelBuilder::document_name) takes it.
    pub fn document_name(mut self, name: impl Into<String>) -> Self {
        self.document_name = Some(name.into());
        self
    }

    /// As [`TunnelBuilder::endpoint_url`](crate::TunnelBuilder::endpoint_url).
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// As [`TunnelBuilder::stream_endpoint`](crate::TunnelBuilder::stream_endpoint).
    pub fn stream_endpoint(mut self, url: impl Into<String>) -> Self {
        self.stream_endpoint = Some(url.into());
        self
    }

    /// As [`TunnelBuilder::proxy`](crate::TunnelBuilder::proxy).
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// As [`TunnelBuilder::ca_bundle`](crate::TunnelBuilder::ca_bundle).
    pub fn ca_bundle(mut self, bundle: CaBundle) -> Self {
        self.ca_bundle = Some(bundle);
        self
    }

    /// Where the tunnel is to listen: whether that is free is looked at by listening on it for a
    /// moment.
    pub fn local_address(mut self, address: SocketAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// What is known of MFA.
    pub fn mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = mfa;
        self
    }

    /// Where the credentials come from, in words: `profile dev`.
    pub fn credentials_from(mut self, source: impl Into<String>) -> Self {
        self.credentials_from = Some(source.into());
        self
    }

    /// Whether a session is started, and terminated at once. Default `true`.
    pub fn start_session(mut self, start: bool) -> Self {
        self.start_session = start;
        self
    }

    /// How long each check may take. Default 10 s; `session` makes two calls, and so takes twice as
    /// long at most.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Looks at everything.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn run(mut self) -> Report {
        let local_port = match self.local_address {
            Some(address) => Some(network::local_port(address).await),
            None => None,
        };
        let region = match self.prepare() {
            Ok(check) => check,
            Err(check) => {
                let checks = [check].into_iter().chain(local_port);
                return Report {
                    checks: checks.collect(),
                };
            }
        };
        let nodes = Nodes::new(&self.sdk_config, self.endpoint_url.as_deref());
        let endpoints = endpoints(
            &self.sdk_config,
            self.endpoint_url.as_deref(),
            self.stream_endpoint.as_deref(),
        )
        .await;
        let ((credentials, identity), sts, ssm, (target, ssmmessages)) = tokio::join!(
            self.who(),
            self.probe(endpoints.sts.as_deref()),
            self.probe(endpoints.ssm.as_deref()),
            async {
                let target = self.look_at_target(&nodes).await;
                let told = target.stream_url.as_deref();
                let url = self.stream_endpoint.as_deref().or(told);
                let url = url.or(endpoints.ssmmessages.as_deref());
                let ssmmessages = self.probe(url).await;
                (target, ssmmessages)
            },
        );
        let mfa = account::mfa(&self.mfa, &credentials, &target.answer);
        let network = network::checks(sts, ssm, ssmmessages);
        let checks = [region, credentials.check, identity, mfa]
            .into_iter()
            .chain(network)
            .chain(target.checks)
            .chain(local_port);
        Report {
            checks: checks.collect(),
        }
    }

    /// Makes the configuration one that a check may use: with deadlines, and with the certificates
    /// that a tunnel would trust.
    fn prepare(&mut self) -> Result<Check, Check> {
        let config = &self.sdk_config;
        let region = config.region().map(ToString::to_string);
        let region = region.filter(|region| settings::region(region).is_ok());
        let url = self
            .endpoint_url
            .clone()
            .or_else(|| settings::configured_endpoint(config, "SSM"));
        let wrong = |error: crate::Error| Check::fail(CheckName::Region, error.to_string());
        let sts = settings::configured_endpoint(config, "STS");
        for url in url.iter().chain(&sts) {
            settings::endpoint_url(url).map_err(wrong)?;
        }
        settings::endpoint_variants(config, url.as_deref()).map_err(wrong)?;
        if let Some(host) = &self.remote_host {
            remote_host::check(host)
                .map_err(|error| Check::fail(CheckName::Session, error.to_string()))?;
        }
        if self.ca_bundle.is_none() {
            self.ca_bundle =
                CaBundle::from_env().map_err(|error| wrong(crate::Error::CaBundle(error)))?;
        }
        let Some(region) = region else {
            return Err(Check::fail(
                CheckName::Region,
                "no AWS region is set, so that no endpoint is known",
            )
            .next("give one such as eu-west-1, or set AWS_REGION or `region` in the profile"));
        };
        let timeouts = match config.timeout_config() {
            Some(timeouts) => timeouts.to_builder(),
            None => TimeoutConfig::builder(),
        };
        let timeouts = timeouts
            .read_timeout(self.deadline)
            .operation_timeout(self.deadline)
            .build();
        let mut builder = config.to_builder().timeout_config(timeouts);
        if config.http_client().is_none() {
            let client = http::http_client_through(&self.proxy, self.ca_bundle.as_ref());
            builder = builder.http_client(client);
        }
        self.sdk_config = builder.build();
        Ok(Check::pass(CheckName::Region, region.as_str()).detail("region", region))
    }

    /// The host that a session would name.
    fn named_host(&self) -> Option<&str> {
        remote_host::named(self.remote_host.as_deref(), self.document_name.as_deref())
    }

    /// Waits for it until the deadline.
    async fn in_time<T>(&self, check: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.deadline, check).await.ok()
    }
}
