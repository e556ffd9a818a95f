//! The handle: inspects a running sandbox and steers it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::builder::SandboxBuilder;
use crate::account::instance::Instance;
use crate::account::session_control::Command;
use crate::account::user::AccessKey;
use crate::account::{ACCOUNT_ID, Member};
use crate::state::State;
use crate::state::faults::{ApiFault, ResumeUrl};
use crate::state::requests::RecordedRequest;

/// A running stand-in for AWS. Dropping it stops everything it started.
pub struct Sandbox {
    pub(super) state: Arc<State>,
    pub(super) api: SocketAddr,
    /// The API endpoint and the gateway.
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("endpoint_url", &self.endpoint_url())
            .finish_non_exhaustive()
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

    /// The code that a device shows; `None` if it does not exist or has no codes.
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

    /// The `StreamUrl` in ResumeSession's response from now on.
    pub fn set_resume_url(&self, kind: ResumeUrl) {
        self.state.set_resume_url(kind);
    }

    /// Every API request so far, and every opening of a data channel as `OpenDataChannel`; the latest
    /// 100,000.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.requests()
    }

    /// How many requests of an action arrived.
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
        self.state.forget(None);
    }

    /// Makes API and gateway refuse new connections; open ones stay open.
    pub fn stop_listening(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        self.state.tell(None, command);
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
