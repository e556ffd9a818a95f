//! State that the sandbox's parts share, with limits on what clients can make it keep.

pub(crate) mod faults;
pub(crate) mod requests;

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::session_control::{Command, SessionControl};
use crate::account::{Account, AuthError, Caller};
use crate::clock::Clock;
use crate::sigv4::{self, Claim};
use faults::{ApiFault, Faults, ResumeUrl};
use requests::{Code, RecordedParameters, RecordedRequest, RequestOutcome};

/// How many requests are kept; the oldest are dropped first.
const MOST_REQUESTS: usize = 100_000;
/// How many different codes are counted.
const MOST_CODES: usize = 10_000;
/// How many queued API faults are kept.
const MOST_FAULTS: usize = 1_000;

/// Everything the sandbox's parts share.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) region: String,
    /// `ws://127.0.0.1:PORT`.
    pub(crate) gateway: String,
    pub(crate) faults: Faults,
    /// Whether the sandbox's own paths are answered.
    pub(crate) control: bool,
    /// Messages that agents processed twice.
    pub(crate) repeated: AtomicU64,
    account: Mutex<Account>,
    requests: Mutex<VecDeque<RecordedRequest>>,
    /// The different codes so far.
    codes: Mutex<Vec<Code>>,
    api_faults: Mutex<VecDeque<(String, ApiFault)>>,
    resume_url: Mutex<ResumeUrl>,
}

impl State {
    pub(crate) fn new(
        clock: Clock,
        region: String,
        gateway: String,
        faults: Faults,
        control: bool,
        account: Account,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock,
            region,
            gateway,
            faults,
            control,
            repeated: AtomicU64::new(0),
            account: Mutex::new(account),
            requests: Mutex::default(),
            codes: Mutex::default(),
            api_faults: Mutex::default(),
            resume_url: Mutex::default(),
        })
    }

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    pub(crate) fn stream_url(&self, session_id: &str, cell: Option<&str>) -> String {
        let cell = cell.map_or_else(String::new, |cell| format!("&cell-number={cell}"));
        format!(
            "{}/v1/data-channel/{session_id}?role=publish_subscribe{cell}",
            self.gateway
        )
    }

    pub(crate) fn resume_url(&self) -> ResumeUrl {
        *lock(&self.resume_url)
    }

    pub(crate) fn set_resume_url(&self, kind: ResumeUrl) {
        *lock(&self.resume_url) = kind;
    }

    /// Verifies a request's signature and returns its caller; `key` receives the access key id it named.
    pub(crate) fn authenticate(
        &self,
        request: &sigv4::Request<'_>,
        key: &mut Option<String>,
    ) -> Result<Caller, AuthError> {
        let now = self.clock.unix();
        let account = self.account();
        sigv4::verify(request, now, |claim: &Claim| {
            *key = Some(claim.access_key_id.clone());
            account.secret(claim, now)
        })?;
        account
            .caller(key.as_deref().unwrap_or_default())
            .ok_or(AuthError::UnknownKey)
    }

    pub(crate) fn record(
        &self,
        action: &str,
        access_key_id: Option<String>,
        asked: RecordedParameters,
        outcome: RequestOutcome,
    ) {
        let code = asked.code.map(|code| self.number(code));
        let mut requests = lock(&self.requests);
        if requests.len() >= MOST_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(RecordedRequest {
            action: requests::shortened(action),
            at: self.clock.now(),
            access_key_id,
            parameters: asked.parameters,
            code,
            outcome,
        });
    }

    /// Counts the different codes from 1.
    fn number(&self, code: Code) -> usize {
        let mut codes = lock(&self.codes);
        if let Some(at) = codes.iter().position(|known| *known == code) {
            return at + 1;
        }
        if codes.len() < MOST_CODES {
            codes.push(code);
        }
        codes.len()
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).iter().cloned().collect()
    }

    /// Queues a fault; returns whether there was room.
    pub(crate) fn add_fault(&self, action: &str, fault: ApiFault) -> bool {
        let mut faults = lock(&self.api_faults);
        if faults.len() >= MOST_FAULTS {
            return false;
        }
        faults.push_back((action.to_owned(), fault));
        true
    }

    /// Takes the next fault queued for this action.
    pub(crate) fn take_fault(&self, action: &str) -> Option<ApiFault> {
        let mut faults = lock(&self.api_faults);
        let at = faults.iter().position(|(of, _)| of == action)?;
        faults.remove(at).map(|(_, fault)| fault)
    }

    /// Sends a command to all running sessions, or to one.
    pub(crate) fn tell(&self, only: Option<&str>, command: impl Fn() -> Command) {
        for control in self.controls(only) {
            control.send(command());
        }
    }

    /// The service forgets all sessions, or one.
    pub(crate) fn forget(&self, only: Option<&str>) {
        for (id, session) in &mut self.account().sessions {
            session.forgotten |= only.is_none_or(|only| only == id);
        }
    }

    /// The controls of all running sessions, or of one.
    fn controls(&self, only: Option<&str>) -> Vec<SessionControl> {
        let account = self.account();
        let running = account
            .sessions
            .iter()
            .filter(|(id, session)| !session.is_over() && only.is_none_or(|only| only == *id));
        running
            .map(|(_, session)| session.control.clone())
            .collect()
    }

    /// Terminates all sessions or one, as an administrator can.
    pub(crate) fn terminate(&self, only: Option<&str>) {
        let controls = self.controls(only);
        let now = self.clock.unix();
        for (id, session) in &mut self.account().sessions {
            if only.is_none_or(|only| only == id) {
                session.end(now);
            }
        }
        controls.iter().for_each(SessionControl::terminate);
    }

    /// Marks a session as ended.
    pub(crate) fn ended(&self, session_id: &str) {
        let now = self.clock.unix();
        if let Some(session) = self.account().sessions.get_mut(session_id) {
            session.end(now);
        }
    }

    /// Records whether a session's websocket is open.
    pub(crate) fn set_connected(&self, session_id: &str, connected: bool) {
        if let Some(session) = self.account().sessions.get_mut(session_id) {
            session.connected = Some(connected);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
