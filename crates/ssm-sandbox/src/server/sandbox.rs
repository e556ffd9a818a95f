//! The handle: starts a sandbox, inspects it and steers it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::api;
use crate::account::document::Document;
use crate::account::instance::Instance;
use crate::account::role::Role;
use crate::account::session_control::Command;
use crate::account::user::{AccessKey, User};
use crate::account::{ACCOUNT_ID, Account, Member};
use crate::clock::Clock;
use crate::gateway;
use crate::state::State;
use crate::state::faults::{ApiFault, Faults, ResumeUrl};
use crate::state::requests::RecordedRequest;

/// A running stand-in for AWS. Dropping it stops everything it started.
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
    users: Vec<User>,
    roles: Vec<Role>,
    region: String,
    enforce_mfa: bool,
    denied: Vec<(String, String)>,
    instances: Vec<Instance>,
    documents: Vec<String>,
    clock: Clock,
    faults: Faults,
    port: u16,
    control: bool,
    resume_url: ResumeUrl,
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            roles: Vec::new(),
            region: "us-east-1".to_owned(),
            enforce_mfa: true,
            denied: Vec::new(),
            instances: Vec::new(),
            documents: Vec::new(),
            clock: Clock::default(),
            faults: Faults::default(),
            port: 0,
            control: false,
            resume_url: ResumeUrl::default(),
        }
    }
}

impl SandboxBuilder {
    /// Adds an IAM user. The default is `taro`, with one virtual MFA device.
    pub fn user(mut self, user: impl Into<User>) -> Self {
        self.users.push(user.into());
        self
    }

    /// Adds a role. By default every role name can be assumed.
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// The region that answers name; requests for any region are accepted. Default `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Whether every Systems Manager action is denied without an MFA session. Default `true`.
    pub fn enforce_mfa(mut self, enforce: bool) -> Self {
        self.enforce_mfa = enforce;
        self
    }

    /// Denies an action of Systems Manager or EC2, such as `ssm:GetConnectionStatus`, to every caller.
    /// `context` is the end of AWS's error text, after the resource, such as `because no identity-based policy allows the ssm:GetConnectionStatus
    /// action` or `with an explicit deny in a service control policy` (IAM User Guide,
    /// "Troubleshoot access denied error messages").
    pub fn deny(mut self, action: impl Into<String>, context: impl Into<String>) -> Self {
        self.denied.push((action.into(), context.into()));
        self
    }

    /// Adds a managed instance.
    pub fn instance(mut self, instance: Instance) -> Self {
        self.instances.push(instance);
        self
    }

    /// Adds a session document of the account, of type `Port` with `portNumber`,
    /// `host`, `localPortNumber`, `localConnectionType` and `localUnixSocket`.
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.documents.push(name.into());
        self
    }

    /// The clock that governs codes and the expiry of sessions.
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

    /// The `StreamUrl` of ResumeSession's answers. Default: as StartSession's.
    pub fn resume_url(mut self, kind: ResumeUrl) -> Self {
        self.resume_url = kind;
        self
    }

    /// Whether scripts may steer the sandbox over HTTP at its API endpoint. Default `false`.
    ///
    /// | | |
    /// |---|---|
    /// | `GET /sandbox/` | this list |
    /// | `GET /sandbox/code?serial=…` | what the device shows; without `serial` the first user's first |
    /// | `GET /sandbox/requests` | the requests so far, one JSON object a line |
    /// | `GET /sandbox/sessions` | the sessions, as DescribeSessions has them, one JSON object a line |
    /// | `POST /sandbox/fault?action=…&kind=…` | [`Sandbox::fail_next`]: `throttle`, `error-after-handling`, `drop-after-handling`, `malformed-body`, `date-ahead` with `seconds`, `refuse` with `code` and `message` |
    /// | `POST /sandbox/resume-url?kind=…` | [`Sandbox::set_resume_url`]: `same`, `new-cell`, `empty`, `absent` |
    /// | `POST /sandbox/expire` | [`Sandbox::expire_sessions`] |
    /// | `POST /sandbox/advance?seconds=…` | [`Clock::advance`] |
    /// | `POST /sandbox/instance?id=…` | [`Sandbox::set_instance`]: with `online`, `connected`, `stopped` (`true` or `false`), `name`, `agent-version`, `destination` |
    ///
    /// Of all sessions, or with `session=ID` of one:
    ///
    /// | | |
    /// |---|---|
    /// | `POST /sandbox/cut` | [`Sandbox::cut_websockets`] |
    /// | `POST /sandbox/close` | [`Sandbox::close_websockets`] |
    /// | `POST /sandbox/silence` | [`Sandbox::go_silent`] |
    /// | `POST /sandbox/speak` | [`Sandbox::speak_again`] |
    /// | `POST /sandbox/break-agent` | [`Sandbox::break_agent_websockets`] |
    /// | `POST /sandbox/forget` | [`Sandbox::forget_sessions`] |
    /// | `POST /sandbox/terminate` | [`Sandbox::terminate_sessions`] |
    ///
    /// A request with an `Origin`, as web pages make them, is refused.
    pub fn control(mut self, control: bool) -> Self {
        self.control = control;
        self
    }

    /// Starts everything on 127.0.0.1.
    ///
    /// # Errors
    /// If the sandbox cannot listen on loopback.
    ///
    /// # Panics
    /// If called outside a tokio runtime with time and I/O enabled.
    pub async fn start(mut self) -> io::Result<Sandbox> {
        if self.users.is_empty() {
            self.users.push("taro".into());
        }
        let api_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let gateway_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = api_listener.local_addr()?;
        let mut account = Account::new(
            self.users,
            self.roles,
            self.enforce_mfa,
            fastrand::Rng::new(),
        );
        account.denied.extend(self.denied);
        account.documents = Document::standard();
        for name in self.documents {
            account.documents.insert(name, Document::custom());
        }
        for instance in self.instances {
            account.instances.insert(instance.id.clone(), instance);
        }
        let gateway = format!("ws://{}", gateway_listener.local_addr()?);
        let state = State::new(
            self.clock,
            self.region,
            gateway,
            self.faults,
            self.control,
            account,
        );
        state.set_resume_url(self.resume_url);
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

    fn first<T: Default>(&self, of: impl FnOnce(&Member) -> T) -> T {
        self.state
            .account()
            .users()
            .first()
            .map(of)
            .unwrap_or_default()
    }

    /// The first user's long-term access key.
    pub fn access_key_id(&self) -> String {
        self.first(|member| member.key.id.clone())
    }

    /// Its secret.
    pub fn secret_access_key(&self) -> String {
        self.first(|member| member.key.secret.clone())
    }

    /// Serial number of the first user's first MFA device.
    pub fn mfa_serial(&self) -> String {
        self.first(|member| member.serial().to_owned())
    }

    /// What that device shows: the code of this step, or of the next if this one's is used up.
    pub fn next_unused_code(&self) -> String {
        self.next_unused_code_of(&self.mfa_serial())
            .unwrap_or_default()
    }

    /// The device's secret, to be given to an authenticator or `oathtool`.
    pub fn mfa_seed(&self) -> Vec<u8> {
        self.mfa_seed_of(&self.mfa_serial()).unwrap_or_default()
    }

    /// Names of the users, in the order given.
    pub fn users(&self) -> Vec<String> {
        let account = self.state.account();
        let names = account.users().iter().map(|it| it.user.name.clone());
        names.collect()
    }

    /// A user's long-term keys.
    pub fn access_key_of(&self, user: &str) -> Option<AccessKey> {
        Some(self.state.account().user(user)?.key.clone())
    }

    /// Serial numbers of a user's MFA devices, in the order given.
    pub fn mfa_serials_of(&self, user: &str) -> Vec<String> {
        let account = self.state.account();
        let devices = account.user(user).into_iter().flat_map(|it| &it.devices);
        devices.map(|device| device.serial.clone()).collect()
    }

    /// The code a device shows; `None` if it does not exist or has no codes.
    pub fn next_unused_code_of(&self, serial: &str) -> Option<String> {
        let account = self.state.account();
        let device = account.device(serial).filter(|device| device.has_codes())?;
        Some(device.next_code(self.state.clock.unix()))
    }

    /// A device's secret; `None` if it does not exist or has no codes.
    pub fn mfa_seed_of(&self, serial: &str) -> Option<Vec<u8>> {
        let account = self.state.account();
        let device = account.device(serial).filter(|device| device.has_codes())?;
        Some(device.seed.clone())
    }

    /// ARNs of the roles that were given.
    pub fn role_arns(&self) -> Vec<String> {
        let account = self.state.account();
        let arn = |name: &str| format!("arn:aws:iam::{ACCOUNT_ID}:role/{name}");
        account.role_names().map(arn).collect()
    }

    /// Changes an instance, or adds it, for sessions started from now on.
    pub fn set_instance(&self, instance: Instance) {
        self.state
            .account()
            .instances
            .insert(instance.id.clone(), instance);
    }

    /// Makes the next call of this action fail as `fault` says. Up to a thousand faults can be queued.
    pub fn fail_next(&self, action: &str, fault: ApiFault) {
        self.state.add_fault(action, fault);
    }

    /// The `StreamUrl` of ResumeSession's answers from now on.
    pub fn set_resume_url(&self, kind: ResumeUrl) {
        self.state.set_resume_url(kind);
    }

    /// Every API request so far, and every opening of a data channel as `OpenDataChannel`; the latest
    /// 100,000.
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

    /// How many requests carried a code that an earlier one had carried: AWS accepts each once.
    pub fn repeated_codes(&self) -> usize {
        let mut seen = std::collections::BTreeSet::new();
        let codes = self.requests().into_iter().filter_map(|it| it.code);
        codes.filter(|code| !seen.insert(*code)).count()
    }

    /// Ids of the sessions that are not over.
    pub fn active_sessions(&self) -> Vec<String> {
        let account = self.state.account();
        let running = account
            .sessions
            .iter()
            .filter(|(_, session)| !session.is_over());
        running.map(|(id, _)| id.clone()).collect()
    }

    /// Expires every temporary credential now; the clients still believe the old expiry.
    pub fn expire_sessions(&self) {
        self.state.account().expire_temporary();
    }

    /// Every secret key, session token and data-channel token that was issued, so that
    /// a test can search logs and files for them.
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

    /// Makes API and gateway refuse new connections; open ones stay open.
    pub fn stop_listening(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for control in self.state.controls(None) {
            control.send(command());
        }
    }

    /// Closes every websocket with 1000 "Bye", as the service does about once an hour.
    pub fn close_websockets(&self) {
        self.tell(|| Command::Bye);
    }

    /// Drops every websocket's connection without a close frame.
    pub fn cut_websockets(&self) {
        self.tell(|| Command::Cut);
    }

    /// Stops reading and writing every websocket: no message, no pong. A client that reconnects is
    /// served again.
    pub fn go_silent(&self) {
        self.tell(|| Command::Silent(true));
    }

    /// Undoes [`go_silent`](Self::go_silent).
    pub fn speak_again(&self) {
        self.tell(|| Command::Silent(false));
    }

    /// Makes every session's agent disappear without notice.
    pub fn vanish_agents(&self) {
        self.tell(|| Command::Vanish);
    }

    /// Breaks the websocket between the gateway and each session's agent once, as
    /// [`Faults::agent_breaks_after`](crate::Faults::agent_breaks_after) does: while the agent
    /// acknowledges the next message with port data.
    pub fn break_agent_websockets(&self) {
        self.tell(|| Command::BreakAgent);
    }

    /// How many messages agents processed twice because they could not acknowledge the first copy.
    pub fn repeated_messages(&self) -> u64 {
        self.state.repeated.load(Ordering::Relaxed)
    }

    /// Makes every session's agent send these bytes as port data.
    pub fn send_raw(&self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.tell(|| Command::SendRaw(bytes.clone()));
    }

    /// Agents of instances with [`Instance::hold_handshake`] complete their handshakes.
    pub fn release_handshakes(&self) {
        self.tell(|| Command::ReleaseHandshake);
    }

    /// Terminates every session, as an administrator can.
    pub fn terminate_sessions(&self) {
        self.state.terminate(None);
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
