use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use ssm_aws::{AwsConfig, Loader};
use ssm_relay::{
    CaBundle, Limits, Listener, OnSessionEnd, Proxy, Relay, RelayConfig, SessionApi, Signer,
    StreamEndpoint,
};

use crate::aws::SystemsManager;
use crate::aws::nodes::Nodes;
use crate::error::{Error, ServiceError};
use crate::network;
use crate::remote_host;
use crate::settings;
use crate::started::{Attached, StartedSession};
use crate::target;
use crate::target_state::TargetState;
use crate::tunnel::Tunnel;

/// `portNumber` and `localPortNumber` on the target itself.
pub(crate) const PORT: &str = "AWS-StartPortForwardingSession";
/// The same, and `host` as seen from the target.
pub(crate) const REMOTE_HOST: &str = "AWS-StartPortForwardingSessionToRemoteHost";

/// What stands for the local address of a tunnel that has none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Settings of a [`Tunnel`]; see [`Tunnel::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens until `open` is called"]
pub struct TunnelBuilder {
    target: String,
    started: Option<StartedSession>,
    remote_port: Option<u16>,
    remote_host: Option<String>,
    local: Option<Local>,
    exposed: bool,
    same_user_only: bool,
    document_name: Option<String>,
    parameters: BTreeMap<String, Vec<String>>,
    reason: Option<String>,
    aws: Option<AwsConfig>,
    sdk_config: Option<SdkConfig>,
    endpoint_url: Option<String>,
    stream_endpoint: Option<String>,
    proxy: Proxy,
    ca_bundle: Option<CaBundle>,
    limits: Limits,
    on_session_end: OnSessionEnd,
    unsigned_start: bool,
}

/// Where local programs connect.
#[derive(Debug, Clone)]
enum Local {
    Address(SocketAddr),
    Socket(PathBuf),
}

impl TunnelBuilder {
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            started: None,
            remote_port: None,
            remote_host: None,
            local: None,
            exposed: false,
            same_user_only: false,
            document_name: None,
            parameters: BTreeMap::new(),
            reason: None,
            aws: None,
            sdk_config: None,
            endpoint_url: None,
            stream_endpoint: None,
            proxy: Proxy::default(),
            ca_bundle: None,
            limits: Limits::default(),
            on_session_end: OnSessionEnd::Stop,
            unsigned_start: false,
        }
    }

    pub(crate) fn attached(session: StartedSession) -> Self {
        Self {
            started: Some(session),
            ..Self::new(String::new())
        }
    }

    /// The port to reach. Required, unless a custom document says otherwise.
    pub fn remote_port(mut self, port: u16) -> Self {
        self.remote_port = Some(port);
        self
    }

    /// A host to reach from the target: the session uses
    /// `AWS-StartPortForwardingSessionToRemoteHost`. Unset, it is the target itself; so it is with
    /// `localhost`, `127.0.0.1`, `::1` and every other spelling of them
    /// ([`is_target_itself`](crate::is_target_itself)), unless a document is named too.
    pub fn remote_host(mut self, host: impl Into<String>) -> Self {
        self.remote_host = Some(host.into());
        self
    }

    /// Accept local connections on this port of 127.0.0.1; 0 takes a free one. Unset, there is no
    /// local port, only [`Tunnel::connect`].
    pub fn local_port(self, port: u16) -> Self {
        self.local_address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Accept local connections on this address, which must be a loopback one unless
    /// [`expose_to_network`](Self::expose_to_network) is called too.
    pub fn local_address(mut self, address: SocketAddr) -> Self {
        self.local = Some(Local::Address(address));
        self
    }

    /// Let [`local_address`](Self::local_address) be one that other machines reach. **Whoever can
    /// connect to it uses the tunnel with your permissions.**
    pub fn expose_to_network(mut self) -> Self {
        self.exposed = true;
        self
    }

    /// Accept local connections on a Unix socket that only this user may connect to (mode 0600),
    /// instead of a port. A socket left by a killed program is replaced, and the file removed at
    /// the end. What is cut off cannot be reset on it: its peer reads an end-of-file. Not on
    /// Windows.
    pub fn local_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.local = Some(Local::Socket(path.into()));
        self
    }

    /// Admit only local connections of the user that this program runs as; others are reset. On
    /// Linux and macOS; elsewhere [`open`](Self::open) fails.
    pub fn same_user_only(mut self) -> Self {
        self.same_user_only = true;
        self
    }

    /// The session document. Default `AWS-StartPortForwardingSession`, or the one for remote hosts.
    /// A custom one must be of session type `Port`; it gets `portNumber` and `host` as far as they
    /// are set, and what [`parameter`](Self::parameter) says.
    pub fn document_name(mut self, name: impl Into<String>) -> Self {
        self.document_name = Some(name.into());
        self
    }

    /// A parameter of the session document; replaces what would be sent under that name.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), vec![value.into()]);
        self
    }

    /// Why the session is started: shown in the session history. At most 256 characters.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Region, credentials and transport. Unset, `ssm_aws::Loader` reads the
    /// environment and the files as the AWS CLI does.
    pub fn sdk_config(mut self, config: &SdkConfig) -> Self {
        self.sdk_config = Some(config.clone());
        self
    }

    /// Call Systems Manager here instead, such as a VPC endpoint of `ssm`. When it is on loopback
    /// (a sandbox), stream URLs on loopback are accepted too.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Open the data channel here instead of the host that the service names, such as a VPC
    /// endpoint of `ssmmessages`: `wss://HOST[:PORT]`, or `ws://` on loopback.
    pub fn stream_endpoint(mut self, url: impl Into<String>) -> Self {
        self.stream_endpoint = Some(url.into());
        self
    }

    /// The AWS configuration as `ssm_aws::Loader` read it: SDK configuration and certificates.
    /// [`sdk_config`](Self::sdk_config) and [`ca_bundle`](Self::ca_bundle) go before it.
    pub fn aws(mut self, aws: &AwsConfig) -> Self {
        self.aws = Some(aws.clone());
        self
    }

    /// How the data channel gets through a proxy, and, unless the SDK configuration has an HTTP client
    /// of its own ([`http_client_through`](crate::http_client_through)), the calls to Systems Manager.
    /// Default [`Proxy::from_env`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Root certificates to trust instead of the system's, for the data channel and, unless the
    /// SDK configuration has an HTTP client of its own, for the calls to Systems Manager. Default:
    /// the file that `AWS_CA_BUNDLE` names, if it is set.
    pub fn ca_bundle(mut self, bundle: CaBundle) -> Self {
        self.ca_bundle = Some(bundle);
        self
    }

    /// Spread connections over up to so many sessions, for parallel downloads: the agent sends at
    /// most about 0.8 MB/s a session. Default 1. What it costs: [`Limits::sessions`], which this
    /// sets; call it after [`limits`](Self::limits).
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.limits.sessions = sessions;
        self
    }

    /// Limits and times.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Keep the session alive while nothing is transferred, with a smux keep-alive at this
    /// interval: the account's idle time-out (20 minutes unless configured) then never ends it.
    /// Off by default; agents up to 3.1.1511.0 need keep-alives and get them anyway. Sets
    /// [`Limits::keep_alive`]: call it after [`limits`](Self::limits).
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.limits.keep_alive = Some(interval);
        self
    }

    /// What becomes of the tunnel when its session ends for good. Default: it ends too.
    pub fn on_session_end(mut self, policy: OnSessionEnd) -> Self {
        self.on_session_end = policy;
        self
    }

    /// Leave the data channel's first request unsigned: it takes no credentials until the session is
    /// resumed or terminated. The service may refuse it; `SSM_PLUGIN_SKIP_CLIENT_CONFIGURE` asks
    /// AWS's plugin for the same.
    pub fn unsigned_start(mut self) -> Self {
        self.unsigned_start = true;
        self
    }

    /// Binds the local port, looks the target up unless it is an id, starts the session, and
    /// returns once the service answered. When it answers that the target is not connected, two
    /// further calls ask why, for [`Limits::connect_timeout`] at most; where they are denied, the
    /// error does not say.
    ///
    /// # Errors
    /// Settings that cannot work, the local port in use, no region or credentials, and whatever
    /// the service answered, each a variant of [`Error`] that says what to do next.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<Tunnel, Error> {
        self.check()?;
        // Before anything is asked of the service: a busy port costs no session.
        let listener = self.listen().await?;
        let local_addr = match &listener {
            Some(listener) => listener
                .local_addr()
                .map_err(|error| local(NOWHERE, error))?
                .unwrap_or(NOWHERE),
            None => NOWHERE,
        };
        let parameters = self.session_parameters(local_addr.port());
        let standard = match self.named_host() {
            Some(_) => REMOTE_HOST,
            None => PORT,
        };
        let (sdk_config, ca_bundle) = self.configuration().await?;
        let region = sdk_config.region().ok_or(Error::NoRegion)?.to_string();
        settings::region(&region)?;
        let credentials = sdk_config
            .credentials_provider()
            .ok_or(Error::NoCredentials)?;

        let api_url = self
            .endpoint_url
            .clone()
            .or_else(|| settings::configured_endpoint(&sdk_config, "SSM"));
        if let Some(url) = &api_url {
            settings::endpoint_url(url)?;
        }
        settings::endpoint_variants(&sdk_config, api_url.as_deref())?;
        let mut endpoint = match &self.stream_endpoint {
            Some(url) => StreamEndpoint::named(url).map_err(Error::StreamEndpoint)?,
            None => StreamEndpoint::aws(),
        };
        if api_url.as_deref().is_some_and(settings::is_loopback) {
            endpoint = endpoint.or_loopback();
        }
        let nodes = Nodes::new(&sdk_config, self.endpoint_url.as_deref());
        let target = match &self.started {
            None if !target::is_id(&self.target) => target::find(&nodes, &self.target).await?.id,
            _ => self.target,
        };
        let document = self.document_name.unwrap_or_else(|| standard.to_owned());
        let systems_manager = SystemsManager::new(
            &sdk_config,
            self.endpoint_url.as_deref(),
            target.clone(),
            document,
            parameters,
            self.reason,
        );
        let api: Arc<dyn SessionApi> = match self.started {
            Some(session) => Arc::new(Attached::new(session, systems_manager)),
            None => Arc::new(systems_manager),
        };
        let patience = self.limits.connect_timeout;
        let mut signer = Signer::new(credentials, region);
        if self.unsigned_start {
            signer = signer.skip_first();
        }
        let config = RelayConfig {
            limits: self.limits,
            endpoint,
            signer: Some(signer),
            proxy: self.proxy,
            ca_bundle,
            on_session_end: self.on_session_end,
        };
        match Relay::open(config, api, listener).await {
            Ok(relay) => Ok(Tunnel::new(relay, local_addr, target)),
            Err(error) => Err(explained(error.into(), &nodes, patience).await),
        }
    }

    /// The configuration that is given, or else that of the environment and the files; with the
    /// certificates for the data channel.
    async fn configuration(&self) -> Result<(SdkConfig, Option<CaBundle>), Error> {
        let given = match &self.aws {
            Some(aws) => Some(aws.clone()),
            None if self.sdk_config.is_some() => None,
            None => {
                let proxy = self.proxy.clone();
                let loader = Loader::new().http_client(move |pem| {
                    let bundle = pem.and_then(|pem| CaBundle::from_pem(pem).ok());
                    network::http_client_through(&proxy, bundle.as_ref())
                });
                Some(loader.load().await.map_err(Error::Configuration)?)
            }
        };
        let of_given = given.as_ref().map(AwsConfig::ca_bundle_pem);
        let ca_bundle = match (&self.ca_bundle, of_given) {
            (Some(bundle), _) => Some(bundle.clone()),
            (None, Some(pem)) => pem
                .map(CaBundle::from_pem)
                .transpose()
                .map_err(Error::CaBundle)?,
            (None, None) => CaBundle::from_env().map_err(Error::CaBundle)?,
        };
        let config = match (&self.sdk_config, &given) {
            (Some(config), _) => config.clone(),
            (None, Some(aws)) => aws.sdk_config().clone(),
            (None, None) => return Err(Error::NoCredentials),
        };
        // What the program asks for goes before what is configured, but not before a client of
        // the program's own.
        let own = self.sdk_config.is_some() && config.http_client().is_some();
        if own {
            return Ok((config, ca_bundle));
        }
        let client = network::http_client_through(&self.proxy, ca_bundle.as_ref());
        Ok((config.to_builder().http_client(client).build(), ca_bundle))
    }

    async fn listen(&self) -> Result<Option<Listener>, Error> {
        let (listener, place) = match &self.local {
            None => return Ok(None),
            Some(Local::Address(address)) => (
                Listener::tcp(*address)
                    .await
                    .map_err(|error| local(*address, error))?,
                address.to_string(),
            ),
            Some(Local::Socket(path)) => {
                let listener = Listener::socket(path).map_err(|error| Error::LocalSocket {
                    path: path.clone(),
                    error: Arc::new(error),
                })?;
                (listener, path.display().to_string())
            }
        };
        if !self.same_user_only {
            return Ok(Some(listener));
        }
        let listener = listener.same_user_only().map_err(|error| {
            Error::Settings(format!(
                "only this user's connections to {place} were to be admitted, but {error}"
            ))
        })?;
        Ok(Some(listener))
    }

    fn check(&self) -> Result<(), Error> {
        self.proxy.check().map_err(Error::Proxy)?;
        self.check_local()?;
        self.check_limits()?;
        if self.started.is_some() {
            return Ok(());
        }
        settings::target(&self.target)?;
        if let Some(name) = &self.document_name {
            settings::document_name(name)?;
        }
        let custom = self
            .document_name
            .as_deref()
            .is_some_and(|name| !name.starts_with("AWS-"));
        let required = !custom && !self.parameters.contains_key("portNumber");
        settings::remote_port(self.remote_port, required)?;
        if let Some(host) = &self.remote_host {
            remote_host::check(host)?;
        }
        if let Some(reason) = &self.reason {
            settings::reason(reason)?;
        }
        Ok(())
    }

    fn check_local(&self) -> Result<(), Error> {
        match self.local {
            Some(Local::Address(address)) if !self.exposed && !is_local(address.ip()) => {
                Err(Error::Settings(format!(
                    "{address} is not a loopback address, so other machines could use the tunnel with your permissions: listen on 127.0.0.1, or expose it to the network explicitly"
                )))
            }
            None if self.same_user_only => Err(Error::Settings(
                "without a local port or socket there are no connections to tell the user of"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// What is zero here would spin, or never get anything done.
    fn check_limits(&self) -> Result<(), Error> {
        let limits = &self.limits;
        let zero = [
            ("max_unacknowledged", limits.max_unacknowledged == 0),
            ("session_receive_budget", limits.session_receive_budget == 0),
            ("stream_send_buffer", limits.stream_send_buffer == 0),
            ("max_connections", limits.max_connections == 0),
            ("sessions", limits.sessions == 0),
            ("max_sessions", limits.max_sessions == 0),
            ("handshake_timeout", limits.handshake_timeout.is_zero()),
            ("peer_timeout", limits.peer_timeout.is_zero()),
            (
                "keep_alive",
                limits.keep_alive.is_some_and(|every| every.is_zero()),
            ),
            ("ping_interval", limits.ping_interval.is_zero()),
            ("pong_timeout", limits.pong_timeout.is_zero()),
            ("connect_timeout", limits.connect_timeout.is_zero()),
            ("close_timeout", limits.close_timeout.is_zero()),
        ];
        if limits.max_payload < Limits::MIN_PAYLOAD {
            return Err(Error::Settings(format!(
                "the limit max_payload is {}: a message needs {} bytes or more, and carries 1024 by default",
                limits.max_payload,
                Limits::MIN_PAYLOAD
            )));
        }
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(Error::Settings(format!(
                "the limit {name} is zero: give a value above it, or leave its default"
            ))),
            None => Ok(()),
        }
    }

    fn named_host(&self) -> Option<&str> {
        remote_host::named(self.remote_host.as_deref(), self.document_name.as_deref())
    }

    fn session_parameters(&self, local_port: u16) -> BTreeMap<String, Vec<String>> {
        let document = self.document_name.as_deref();
        let takes_local_port = document.is_none_or(|name| name == PORT || name == REMOTE_HOST);
        let local_port = (local_port != 0 && takes_local_port).then_some(local_port);
        let standard = [
            ("portNumber", self.remote_port.map(|port| port.to_string())),
            ("localPortNumber", local_port.map(|port| port.to_string())),
            ("host", self.named_host().map(str::to_owned)),
        ];
        let mut parameters: BTreeMap<_, _> = standard
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), vec![value?])))
            .collect();
        parameters.extend(self.parameters.clone());
        parameters
    }
}

/// A target that is not connected, with what is known of it.
async fn explained(error: Error, nodes: &Nodes, patience: Duration) -> Error {
    let Error::Service(service) = &error else {
        return error;
    };
    let ServiceError::TargetNotConnected {
        target, request_id, ..
    } = &**service
    else {
        return error;
    };
    let state = TargetState::ask(nodes, target, patience).await;
    ServiceError::TargetNotConnected {
        target: target.clone(),
        state,
        request_id: request_id.clone(),
    }
    .into()
}

/// Whether only this machine reaches it.
fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn local(address: SocketAddr, error: io::Error) -> Error {
    Error::LocalAddress {
        address,
        error: Arc::new(error),
    }
}
