//! The builder: users, roles, instances and faults of a sandbox, and its start.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use super::api;
use super::sandbox::Sandbox;
use crate::account::Account;
use crate::account::document::Document;
use crate::account::instance::Instance;
use crate::account::role::Role;
use crate::account::user::User;
use crate::clock::Clock;
use crate::gateway;
use crate::state::State;
use crate::state::faults::{Faults, ResumeUrl};

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

    /// The region that responses name; requests for any region are accepted. Default `us-east-1`.
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

    /// The `StreamUrl` in ResumeSession's response. Default: as StartSession's.
    pub fn resume_url(mut self, kind: ResumeUrl) -> Self {
        self.resume_url = kind;
        self
    }

    /// Whether scripts may control the sandbox over HTTP at its API endpoint. Default `false`.
    ///
    /// | | |
    /// |---|---|
    /// | `GET /sandbox/` | this list |
    /// | `GET /sandbox/code?serial=…` | what the device shows; without `serial` the first user's first |
    /// | `GET /sandbox/requests` | the requests so far, one JSON object per line |
    /// | `GET /sandbox/sessions` | the sessions, as DescribeSessions has them, one JSON object per line |
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
    /// A request with an `Origin` header, which web pages send, is refused.
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
