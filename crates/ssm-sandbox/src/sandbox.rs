use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::account::Account;
use crate::clock::Clock;
use crate::faults::{ApiFault, Faults};
use crate::gateway::{Command, SessionControl};
use crate::instance::{Document, Instance};
use crate::requests::RecordedRequest;
use crate::state::State;
use crate::{api, gateway};

/// A running stand-in for AWS. Everything it started ends when it is dropped.
pub struct Sandbox {
    state: Arc<State>,
    api: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("endpoint_url", &self.endpoint_url())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Sandbox`].
#[derive(Debug, Clone)]
#[must_use = "nothing is started until `start` is called"]
pub struct SandboxBuilder {
    user: String,
    region: String,
    enforce_mfa: bool,
    instances: Vec<Instance>,
    documents: Vec<String>,
    clock: Clock,
    faults: Faults,
    port: u16,
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            user: "taro".to_owned(),
            region: "us-east-1".to_owned(),
            enforce_mfa: true,
            instances: Vec::new(),
            documents: Vec::new(),
            clock: Clock::default(),
            faults: Faults::default(),
            port: 0,
        }
    }
}

impl SandboxBuilder {
    /// Name of the IAM user. Default `taro`.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = name.into();
        self
    }

    /// Region that texts name; requests for any are answered. Default `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Whether Systems Manager is denied without an MFA session. Default `true`.
    pub fn enforce_mfa(mut self, enforce: bool) -> Self {
        self.enforce_mfa = enforce;
        self
    }

    /// Adds a managed instance.
    pub fn instance(mut self, instance: Instance) -> Self {
        self.instances.push(instance);
        self
    }

    /// Adds a session document of the account, of type `Port` with `portNumber`,
    /// `localPortNumber` and `host`.
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.documents.push(name.into());
        self
    }

    /// The clock that codes and sessions go by.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Faults between the gateway and every client.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Port of the API endpoint. Default: a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts everything on 127.0.0.1.
    ///
    /// # Errors
    /// When loopback cannot be listened on.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn start(self) -> io::Result<Sandbox> {
        let api_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let gateway_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = api_listener.local_addr()?;
        let mut account = Account::new(&self.user, self.enforce_mfa, fastrand::Rng::new());
        account.documents = Document::standard();
        for name in self.documents {
            account.documents.insert(name, Document::custom());
        }
        for instance in self.instances {
            account.instances.insert(instance.id.clone(), instance);
        }
        let gateway = format!("ws://{}", gateway_listener.local_addr()?);
        let state = State::new(self.clock, self.region, gateway, self.faults, account);
        let tasks = vec![
            tokio::spawn(api::serve(api_listener, state.clone())),
            tokio::spawn(gateway::serve(gateway_listener, state.clone())),
        ];
        Ok(Sandbox { state, api, tasks })
    }
}

impl Sandbox {
    /// A sandbox with one user, MFA enforced, no instances.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    /// Endpoint of STS and Systems Manager: `http://127.0.0.1:PORT`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Where the data channel is opened: `ws://127.0.0.1:PORT`. StartSession names it too.
    pub fn stream_endpoint(&self) -> &str {
        &self.state.gateway
    }

    /// The user's long-term access key.
    pub fn access_key_id(&self) -> String {
        self.state.account().user.access_key_id.clone()
    }

    /// Its secret.
    pub fn secret_access_key(&self) -> String {
        self.state.account().user.secret_access_key.clone()
    }

    /// Serial number of the user's MFA device.
    pub fn mfa_serial(&self) -> String {
        self.state.account().mfa_serial()
    }

    /// What the device shows: the code of this step, or of the next if this one's is used up.
    pub fn next_unused_code(&self) -> String {
        self.state.account().next_code(self.state.clock.unix())
    }

    /// The device's secret, to be given to an authenticator or `oathtool`.
    pub fn mfa_seed(&self) -> Vec<u8> {
        self.state.account().user.seed.clone()
    }

    /// Changes an instance, or adds it, for sessions started from now on.
    pub fn set_instance(&self, instance: Instance) {
        self.state
            .account()
            .instances
            .insert(instance.id.clone(), instance);
    }

    /// Makes the next call of this action go wrong. Several wait in line.
    pub fn fail_next(&self, action: &str, fault: ApiFault) {
        self.state.add_fault(action, fault);
    }

    /// Every API request so far, and every opening of a data channel as `OpenDataChannel`.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.requests()
    }

    /// How many requests of an action there were.
    pub fn request_count(&self, action: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.action == action)
            .count()
    }

    /// Ids of the sessions that are not over.
    pub fn active_sessions(&self) -> Vec<String> {
        let account = self.state.account();
        let running = account
            .sessions
            .iter()
            .filter(|(_, session)| !session.terminated);
        running.map(|(id, _)| id.clone()).collect()
    }

    /// Every temporary credential expires now, whatever its holder believes.
    pub fn expire_sessions(&self) {
        self.state.account().expire_temporary();
    }

    /// Every secret key, session token and data-channel token that was issued, to be looked for
    /// where none may be.
    pub fn issued_secrets(&self) -> Vec<String> {
        self.state.account().issued().to_vec()
    }

    /// The service forgets every session: ResumeSession returns no token. Its websockets stay open
    /// until they are cut.
    pub fn forget_sessions(&self) {
        for session in self.state.account().sessions.values_mut() {
            session.forgotten = true;
        }
    }

    /// New connections are refused, by the API and by the gateway; what is open stays open.
    pub fn stop_listening(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for control in self.state.controls() {
            control.send(command());
        }
    }

    /// Closes every websocket with 1000 "Bye", as the service does about once an hour.
    pub fn close_websockets(&self) {
        self.tell(|| Command::Bye);
    }

    /// Drops every websocket's connection without a word.
    pub fn cut_websockets(&self) {
        self.tell(|| Command::Cut);
    }

    /// Stops reading and writing every websocket: no message, no pong. A client that reconnects is
    /// served again.
    pub fn go_silent(&self) {
        self.tell(|| Command::Silent(true));
    }

    /// Goes on where [`go_silent`](Self::go_silent) stopped.
    pub fn speak_again(&self) {
        self.tell(|| Command::Silent(false));
    }

    /// Every session's agent disappears without a word.
    pub fn vanish_agents(&self) {
        self.tell(|| Command::Vanish);
    }

    /// Every session's agent sends these bytes as data of the port.
    pub fn send_raw(&self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.tell(|| Command::SendRaw(bytes.clone()));
    }

    /// Agents of instances with [`Instance::hold_handshake`] complete their handshakes.
    pub fn release_handshakes(&self) {
        self.tell(|| Command::ReleaseHandshake);
    }

    /// The service ends every session, as an administrator may.
    pub fn terminate_sessions(&self) {
        let controls = self.state.controls();
        for session in self.state.account().sessions.values_mut() {
            session.terminated = true;
            session.token = None;
        }
        controls.iter().for_each(SessionControl::terminate);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.terminate_sessions();
    }
}
