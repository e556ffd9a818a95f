//! The one AWS account: its users, devices, roles, sessions, instances and policy.

pub(crate) mod document;
pub(crate) mod instance;
mod resolver;
pub(crate) mod role;
pub(crate) mod session_control;
mod totp;
pub(crate) mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::sigv4::{Claim, SignatureError};
use document::Document;
use instance::Instance;
use role::Role;
use session_control::SessionControl;
pub(crate) use user::ACCOUNT_ID;
use user::{AccessKey, User};

/// How many ended sessions stay listed.
const MOST_HISTORY: usize = 10_000;

/// The account as the services see it.
pub(crate) struct Account {
    /// In the order given, never empty. Most tests use the first.
    users: Vec<Member>,
    roles: BTreeMap<String, Role>,
    pub(crate) enforce_mfa: bool,
    /// Denied actions, each with the end of AWS's error text.
    pub(crate) denied: BTreeMap<String, String>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) documents: BTreeMap<String, Document>,
    pub(crate) sessions: BTreeMap<String, Session>,
    next_session: u64,
    temporary: BTreeMap<String, Temporary>,
    random: fastrand::Rng,
    issued: Vec<String>,
}

/// An IAM user with their keys and devices.
pub(crate) struct Member {
    pub(crate) user: User,
    pub(crate) key: AccessKey,
    pub(crate) devices: Vec<Device>,
}

/// An MFA device.
pub(crate) struct Device {
    pub(crate) serial: String,
    pub(crate) seed: Vec<u8>,
    used_steps: BTreeSet<u64>,
}

/// Credentials of GetSessionToken or AssumeRole.
pub(crate) struct Temporary {
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) expires: Duration,
    caller: Caller,
}

/// A Systems Manager session, as the API sees it.
pub(crate) struct Session {
    /// Counts the account's sessions.
    pub(crate) number: u64,
    pub(crate) owner: String,
    pub(crate) target: String,
    pub(crate) document: String,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Duration,
    /// When it ended.
    pub(crate) ended_at: Option<Duration>,
    /// Whether the client's websocket is open; `None` before the first.
    pub(crate) connected: Option<bool>,
    /// Opens the data channel once.
    pub(crate) token: Option<String>,
    /// `cell-number` of the URL that the data channel is opened at.
    pub(crate) cell: Option<String>,
    /// The service refuses to resume it.
    pub(crate) forgotten: bool,
    pub(crate) control: SessionControl,
}

/// A [`Session`]'s state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionStatus {
    Connecting,
    Connected,
    Disconnected,
    Terminated,
}

impl Session {
    pub(crate) fn status(&self) -> SessionStatus {
        match (self.ended_at, self.connected) {
            (Some(_), _) => SessionStatus::Terminated,
            (None, None) => SessionStatus::Connecting,
            (None, Some(true)) => SessionStatus::Connected,
            (None, Some(false)) => SessionStatus::Disconnected,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Ends the session at `now`, unless it has already ended.
    pub(crate) fn end(&mut self, now: Duration) {
        self.ended_at.get_or_insert(now);
        self.token = None;
    }
}

/// The principal that signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) arn: String,
    /// The user's name, or the role session's.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// When their MFA code was accepted, if one was.
    pub(crate) mfa_at: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LongTerm,
    /// GetSessionToken.
    Session,
    /// AssumeRole.
    Role,
}

/// Why a request's credentials are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthError {
    Signature(SignatureError),
    UnknownKey,
    Expired,
}

impl From<SignatureError> for AuthError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

/// The outcome of STS's check of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeCheck {
    Accepted,
    WrongSerial,
    WrongCode,
}

impl Account {
    pub(crate) fn new(
        users: Vec<User>,
        roles: Vec<Role>,
        enforce_mfa: bool,
        mut random: fastrand::Rng,
    ) -> Self {
        let users = users
            .into_iter()
            .map(|user| Member::new(user, &mut random))
            .collect();
        Self {
            users,
            roles: roles
                .into_iter()
                .map(|role| (role.name.clone(), role))
                .collect(),
            enforce_mfa,
            denied: BTreeMap::new(),
            instances: BTreeMap::new(),
            documents: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            temporary: BTreeMap::new(),
            random,
            issued: Vec::new(),
        }
    }

    /// Secrets issued so far.
    pub(crate) fn issued(&self) -> &[String] {
        &self.issued
    }

    pub(crate) fn users(&self) -> &[Member] {
        &self.users
    }

    pub(crate) fn user(&self, name: &str) -> Option<&Member> {
        self.users.iter().find(|member| member.user.name == name)
    }

    pub(crate) fn device(&self, serial: &str) -> Option<&Device> {
        self.users
            .iter()
            .flat_map(|member| &member.devices)
            .find(|device| device.serial == serial)
    }

    /// The role of this name; any name is a role if the account defines none.
    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        if self.roles.is_empty() {
            return Some(role::any());
        }
        self.roles.get(name).cloned()
    }

    pub(crate) fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    /// The secret key of a claim.
    pub(crate) fn secret(&self, claim: &Claim, now: Duration) -> Result<String, AuthError> {
        let long_term = self
            .users
            .iter()
            .find(|member| member.key.id == claim.access_key_id);
        if let Some(member) = long_term.filter(|_| claim.session_token.is_none()) {
            return Ok(member.key.secret.clone());
        }
        let temporary = self
            .temporary
            .get(&claim.access_key_id)
            .ok_or(AuthError::UnknownKey)?;
        if claim.session_token.as_ref() != Some(&temporary.session_token) {
            return Err(AuthError::UnknownKey);
        }
        if now >= temporary.expires {
            return Err(AuthError::Expired);
        }
        Ok(temporary.secret_access_key.clone())
    }

    /// The principal that an access key belongs to.
    pub(crate) fn caller(&self, access_key_id: &str) -> Option<Caller> {
        if let Some(temporary) = self.temporary.get(access_key_id) {
            return Some(temporary.caller.clone());
        }
        let member = self.users.iter().find(|it| it.key.id == access_key_id)?;
        Some(Caller {
            arn: member.arn(),
            name: member.user.name.clone(),
            kind: Kind::LongTerm,
            mfa_at: None,
        })
    }

    /// Issues temporary credentials: access key id, and the rest.
    pub(crate) fn issue(&mut self, expires: Duration, caller: Caller) -> (String, &Temporary) {
        let id = format!("ASIA{}", letters(&mut self.random, 16));
        let temporary = Temporary {
            secret_access_key: letters(&mut self.random, 40),
            session_token: letters(&mut self.random, 200),
            expires,
            caller,
        };
        let secrets = [&temporary.secret_access_key, &temporary.session_token];
        self.issued.extend(secrets.map(String::clone));
        let temporary = self
            .temporary
            .entry(id.clone())
            .insert_entry(temporary)
            .into_mut();
        (id, temporary)
    }

    pub(crate) fn expire_temporary(&mut self) {
        for temporary in self.temporary.values_mut() {
            temporary.expires = Duration::ZERO;
        }
    }

    /// Why the caller may not do this, as AWS's text says after the resource.
    pub(crate) fn denial(&self, caller: &Caller, action: &str) -> Option<&str> {
        if self.enforce_mfa && caller.mfa_at.is_none() {
            return Some("with an explicit deny in an identity-based policy");
        }
        self.denied.get(action).map(String::as_str)
    }

    /// Checks a code of a user's device and spends it: each time step's code is accepted once, one step
    /// either side of now.
    pub(crate) fn use_code(
        &mut self,
        user: &str,
        serial: &str,
        code: &str,
        now: Duration,
    ) -> CodeCheck {
        let member = self.users.iter_mut().find(|it| it.user.name == user);
        let device = member.and_then(|it| it.devices.iter_mut().find(|it| it.serial == serial));
        let Some(device) = device.filter(|device| device.has_codes()) else {
            return CodeCheck::WrongSerial;
        };
        let now = totp::step(now);
        let step = (now.saturating_sub(1)..=now + 1).find(|step| {
            totp::code(&device.seed, *step) == code && !device.used_steps.contains(step)
        });
        match step {
            Some(step) => {
                device.used_steps.insert(step);
                CodeCheck::Accepted
            }
            None => CodeCheck::WrongCode,
        }
    }

    /// Adds a session. If too many have ended, forgets the oldest of them.
    pub(crate) fn add_session(&mut self, id: String, mut session: Session) {
        session.number = self.next_session;
        self.next_session += 1;
        self.sessions.insert(id, session);
        let over = || {
            self.sessions
                .iter()
                .filter(|(_, session)| session.is_over())
        };
        if over().count() > MOST_HISTORY {
            let oldest = over().min_by_key(|(_, session)| session.number);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.sessions.remove(&id);
            }
        }
    }

    /// A `cell-number` as the service has them: base64 of a few bytes.
    pub(crate) fn new_cell(&mut self) -> String {
        format!("AAE{}+/==", letters(&mut self.random, 24))
    }

    pub(crate) fn new_session_id(&mut self, caller: &Caller) -> String {
        format!("{}-{}", caller.name, hex(&mut self.random, 17))
    }

    pub(crate) fn new_token(&mut self) -> String {
        let token = letters(&mut self.random, 120);
        self.issued.push(token.clone());
        token
    }

    pub(crate) fn uuid(&mut self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes()).into_uuid()
    }
}

impl Member {
    fn new(user: User, random: &mut fastrand::Rng) -> Self {
        let key = AccessKey {
            id: format!("AKIA{}", letters(random, 16)),
            secret: letters(random, 40),
        };
        let devices = user.devices.iter().map(|serial| Device {
            serial: serial.clone(),
            seed: std::iter::repeat_with(|| random.u8(..)).take(20).collect(),
            used_steps: BTreeSet::new(),
        });
        let devices = devices.collect();
        Self { user, key, devices }
    }

    pub(crate) fn arn(&self) -> String {
        let User { path, name, .. } = &self.user;
        format!("arn:aws:iam::{ACCOUNT_ID}:user{path}{name}")
    }

    /// The serial number of the first device.
    pub(crate) fn serial(&self) -> &str {
        self.devices
            .first()
            .map_or("", |device| device.serial.as_str())
    }
}

impl Device {
    /// Passkeys and security keys have no codes.
    pub(crate) fn has_codes(&self) -> bool {
        !self.serial.contains(":u2f/")
    }

    /// The code of the first unspent time step in the window.
    pub(crate) fn next_code(&self, now: Duration) -> String {
        let now = totp::step(now);
        let free = [now, now + 1, now.saturating_sub(1)]
            .into_iter()
            .find(|step| !self.used_steps.contains(step));
        totp::code(&self.seed, free.unwrap_or(now))
    }
}

fn letters(random: &mut fastrand::Rng, count: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = || char::from(random.choice(ALPHABET).copied().unwrap_or(b'A'));
    std::iter::repeat_with(letter).take(count).collect()
}

fn hex(random: &mut fastrand::Rng, count: usize) -> String {
    std::iter::repeat_with(|| random.digit(16))
        .take(count)
        .collect()
}
