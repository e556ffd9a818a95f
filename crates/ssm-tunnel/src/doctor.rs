//! Examines why a tunnel cannot be opened: everything between this machine and the target, and for
//! each problem a next step.
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
//! | `region` | a region is set |
//! | `credentials` | there are credentials, and they have not expired |
//! | `identity` | STS knows whose they are (GetCallerIdentity) |
//! | `mfa` | they belong to an MFA session, or StartSession is not denied without one |
//! | `clock` | this machine's clock is less than 5 minutes off AWS's (the `Date` of its answers) |
//! | `proxy` | there is no proxy, or it lets the connections through |
//! | `sts`, `ssm`, `ssmmessages` | the name resolves and the host answers, whatever it answers |
//! | `instance` | Systems Manager knows the target, and it is online (DescribeInstanceInformation) |
//! | `agent` | its agent can forward ports |
//! | `data-channel` | its agent is connected for sessions (GetConnectionStatus) |
//! | `session` | a session can be started and terminated |
//! | `local-port` | no other program listens on it |
//!
//! Without a target the checks of a target are left out; without a local address, `local-port` is.
//!
//! # Cost
//!
//! Every check has a deadline ([`Doctor::deadline`]), and most run side by side. They change nothing,
//! with one exception: only trying shows whether StartSession is allowed, so a session **is started,
//! and terminated at once**, without its data channel being opened. It appears in the session history
//! and in CloudTrail. If the answer gets lost, or TerminateSession is denied, the target's agent ends
//! the session itself after 15 s without a client. [`Doctor::start_session`] turns this check off.
//!
//! # IAM
//!
//! In addition to what a tunnel needs: `ssm:DescribeInstanceInformation` on `*` and
//! `ssm:GetConnectionStatus` on the target. Without them, `instance`, `agent` and `data-channel`
//! are unknown, which does not count as a failure.
//!
//! # Secrets
//!
//! The report contains no secret: of an access key the last four characters of its id, of a proxy its
//! address without a password.

mod account;
mod denied;
mod examination;
mod network;
mod report;
mod session;
mod target;

use std::net::SocketAddr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;

pub use examination::Mfa;
pub use report::{Check, CheckName, Report, Status};

use crate::aws::Access;
use crate::aws::endpoints::endpoints;
use crate::aws::nodes::Nodes;
use crate::error::Error;
use crate::settings::{Document, Settings, endpoint, network_setters, remote_host};
use examination::Examination;

/// Time allowed for each check, unless the caller sets another.
const DEADLINE: Duration = Duration::from_secs(10);

/// The port that the session is started for, unless the caller sets another.
const REMOTE_DESKTOP: u16 = 3389;

/// What to examine; see the [module](self).
#[derive(Debug, Clone)]
#[must_use = "nothing is examined until `run` is called"]
pub struct Doctor {
    settings: Settings,
    target: Option<String>,
    document: Document,
    local_address: Option<SocketAddr>,
    mfa: Mfa,
    credentials_from: Option<String>,
    start_session: bool,
    deadline: Duration,
}

impl Doctor {
    /// With this region, these credentials and this transport.
    pub fn new(sdk_config: &SdkConfig) -> Self {
        Self {
            settings: Settings {
                sdk_config: Some(sdk_config.clone()),
                ..Settings::default()
            },
            target: None,
            document: Document {
                remote_port: Some(REMOTE_DESKTOP),
                ..Document::default()
            },
            local_address: None,
            mfa: Mfa::Unknown,
            credentials_from: None,
            start_session: true,
            deadline: DEADLINE,
        }
    }

    /// The target of the tunnel, as [`Tunnel::builder`](crate::Tunnel::builder) takes it.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The port that the session is started for. Default 3389; nothing is sent to it.
    pub fn remote_port(mut self, port: u16) -> Self {
        self.document.remote_port = Some(port);
        self
    }

    /// A host behind the target, as [`TunnelBuilder::remote_host`](crate::TunnelBuilder::remote_host)
    /// takes it.
    pub fn remote_host(mut self, host: impl Into<String>) -> Self {
        self.document.remote_host = Some(host.into());
        self
    }

    /// The session document, as
    /// [`TunnelBuilder::document_name`](crate::TunnelBuilder::document_name) takes it.
    pub fn document_name(mut self, name: impl Into<String>) -> Self {
        self.document.name = Some(name.into());
        self
    }

    network_setters!();

    /// The local address on which the tunnel is to listen. To find out whether it is free, the
    /// doctor listens on it for a moment.
    pub fn local_address(mut self, address: SocketAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// What the caller knows about MFA: the credentials do not say.
    pub fn mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = mfa;
        self
    }

    /// Where the credentials come from, in words, such as `profile dev`.
    pub fn credentials_from(mut self, source: impl Into<String>) -> Self {
        self.credentials_from = Some(source.into());
        self
    }

    /// Whether a session is started, and terminated at once. Default `true`.
    pub fn start_session(mut self, start: bool) -> Self {
        self.start_session = start;
        self
    }

    /// Time allowed for each check. Default 10 s; `session` makes two calls, and so takes at most
    /// twice as long.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs all checks.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn run(self) -> Report {
        let local_port = match self.local_address {
            Some(address) => Some(network::local_port(address).await),
            None => None,
        };
        let (region, examination) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(check) => {
                let checks = [check].into_iter().chain(local_port);
                return Report {
                    checks: checks.collect(),
                };
            }
        };
        let Examination { access, .. } = &examination;
        let nodes = Nodes::new(access.clone());
        let named = examination.stream_endpoint.as_deref();
        let endpoints = endpoints(&access.sdk_config, access.endpoint_url.as_deref(), named).await;
        let ((credentials, identity), sts, ssm, (target, ssmmessages)) = tokio::join!(
            examination.credentials_and_identity(),
            examination.probe(endpoints.sts.as_deref()),
            examination.probe(endpoints.ssm.as_deref()),
            async {
                let target = examination.examine_target(&nodes).await;
                let reported = target.stream_url.as_deref();
                let url = named.or(reported).or(endpoints.ssmmessages.as_deref());
                let ssmmessages = examination.probe(url).await;
                (target, ssmmessages)
            },
        );
        let mfa = account::mfa(&examination.mfa, &credentials, &target.permission);
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

    /// Resolves the settings as a tunnel does, with this doctor's deadlines. An error is the check
    /// that failed.
    async fn prepare(self) -> Result<(Check, Examination), Check> {
        if let Some(host) = &self.document.remote_host {
            remote_host::check(host)
                .map_err(|error| Check::fail(CheckName::Session, error.to_string()))?;
        }
        let resolved = self.settings.resolve().await.map_err(of_settings)?;
        if let Some(url) = endpoint::configured(&resolved.sdk_config, "STS") {
            endpoint::check(&url).map_err(of_settings)?;
        }
        let region = resolved.region;
        let timeouts = match resolved.sdk_config.timeout_config() {
            Some(timeouts) => timeouts.to_builder(),
            None => TimeoutConfig::builder(),
        };
        let timeouts = timeouts
            .read_timeout(self.deadline)
            .operation_timeout(self.deadline)
            .build();
        let sdk_config = resolved.sdk_config.to_builder().timeout_config(timeouts);
        let examination = Examination {
            access: Access {
                sdk_config: sdk_config.build(),
                endpoint_url: resolved.endpoint_url,
            },
            stream_endpoint: resolved.stream_endpoint,
            proxy: resolved.proxy,
            ca_bundle: resolved.ca_bundle,
            target: self.target,
            document: self.document,
            mfa: self.mfa,
            credentials_from: self.credentials_from,
            start_session: self.start_session,
            deadline: self.deadline,
        };
        let check = Check::pass(CheckName::Region, region.as_str()).detail("region", region);
        Ok((check, examination))
    }
}

/// Settings without which no endpoint is known.
fn of_settings(error: Error) -> Check {
    const NAME: CheckName = CheckName::Region;
    match error {
        Error::NoRegion => Check::fail(NAME, "no AWS region is set, so no endpoint is known")
            .next("give one such as eu-west-1, or set AWS_REGION or `region` in the profile"),
        error => Check::fail(NAME, error.to_string()),
    }
}
