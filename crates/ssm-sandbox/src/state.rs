use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::Account;
use crate::clock::Clock;
use crate::faults::{ApiFault, Faults};
use crate::gateway::{NewSession, SessionControl};
use crate::requests::{Asked, Code, Outcome, RecordedRequest};

/// Everything the sandbox's parts share.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) region: String,
    /// `ws://127.0.0.1:PORT`.
    pub(crate) gateway: String,
    pub(crate) faults: Faults,
    /// Whether the sandbox's own paths are answered.
    pub(crate) control: bool,
    /// Messages that agents processed again.
    pub(crate) repeated: AtomicU64,
    account: Mutex<Account>,
    requests: Mutex<Vec<RecordedRequest>>,
    /// The different codes so far.
    codes: Mutex<Vec<Code>>,
    api_faults: Mutex<VecDeque<(String, ApiFault)>>,
    me: std::sync::OnceLock<std::sync::Weak<State>>,
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
        let state = Arc::new(Self {
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
            me: std::sync::OnceLock::new(),
        });
        let _ = state.me.set(Arc::downgrade(&state));
        state
    }

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    pub(crate) fn stream_url(&self, session_id: &str) -> String {
        format!(
            "{}/v1/data-channel/{session_id}?role=publish_subscribe",
            self.gateway
        )
    }

    pub(crate) fn launch(&self, session: NewSession) {
        if let Some(state) = self.me.get().and_then(std::sync::Weak::upgrade) {
            crate::gateway::launch(state, session);
        }
    }

    pub(crate) fn record(
        &self,
        action: &str,
        access_key_id: Option<String>,
        asked: Asked,
        outcome: Outcome,
    ) {
        let code = asked.code.map(|code| self.number(code));
        lock(&self.requests).push(RecordedRequest {
            action: action.to_owned(),
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
        codes.push(code);
        codes.len()
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).clone()
    }

    pub(crate) fn add_fault(&self, action: &str, fault: ApiFault) {
        lock(&self.api_faults).push_back((action.to_owned(), fault));
    }

    /// The next fault that waits for this action.
    pub(crate) fn take_fault(&self, action: &str) -> Option<ApiFault> {
        let mut faults = lock(&self.api_faults);
        let at = faults.iter().position(|(of, _)| of == action)?;
        faults.remove(at).map(|(_, fault)| fault)
    }

    /// The controls of all sessions that are not over.
    pub(crate) fn controls(&self) -> Vec<SessionControl> {
        let account = self.account();
        let running = account
            .sessions
            .values()
            .filter(|session| !session.terminated);
        running.map(|session| session.control.clone()).collect()
    }

    /// A session ended by itself.
    pub(crate) fn ended(&self, session_id: &str) {
        if let Some(session) = self.account().sessions.get_mut(session_id) {
            session.terminated = true;
            session.token = None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
