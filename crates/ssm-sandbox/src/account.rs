//! The one AWS account: its user, device, sessions, instances and policy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::instance::{Document, Instance};
use crate::sigv4::{Claim, SignatureError};
use crate::totp;

pub(crate) const ACCOUNT_ID: &str = "123456789012";

/// What the APIs know, behind one lock.
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) enforce_mfa: bool,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) documents: BTreeMap<String, Document>,
    pub(crate) sessions: BTreeMap<String, Session>,
    temporary: BTreeMap<String, Temporary>,
    random: fastrand::Rng,
    issued: Vec<String>,
}

/// An IAM user with long-term keys and a virtual MFA device.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) seed: Vec<u8>,
    used_steps: BTreeSet<u64>,
}

/// Credentials of GetSessionToken or AssumeRole.
pub(crate) struct Temporary {
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) expires: Duration,
    pub(crate) mfa: bool,
    pub(crate) role: Option<String>,
}

/// A Systems Manager session, as the API sees it.
pub(crate) struct Session {
    pub(crate) owner: String,
    /// Good for opening the data channel once.
    pub(crate) token: Option<String>,
    pub(crate) terminated: bool,
    /// It cannot be resumed.
    pub(crate) forgotten: bool,
    pub(crate) control: crate::gateway::SessionControl,
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) arn: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LongTerm,
    /// GetSessionToken.
    Session {
        mfa: bool,
    },
    /// AssumeRole.
    Role {
        mfa: bool,
    },
}

impl Caller {
    pub(crate) fn has_mfa(&self) -> bool {
        matches!(
            self.kind,
            Kind::Session { mfa: true } | Kind::Role { mfa: true }
        )
    }
}

/// Why credentials are not accepted.
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

/// A code's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeCheck {
    Accepted,
    WrongSerial,
    WrongCode,
}

impl Account {
    pub(crate) fn new(user: &str, enforce_mfa: bool, mut random: fastrand::Rng) -> Self {
        let user = User {
            name: user.to_owned(),
            access_key_id: format!("AKIA{}", letters(&mut random, 16)),
            secret_access_key: letters(&mut random, 40),
            seed: std::iter::repeat_with(|| random.u8(..)).take(20).collect(),
            used_steps: BTreeSet::new(),
        };
        Self {
            user,
            enforce_mfa,
            instances: BTreeMap::new(),
            documents: BTreeMap::new(),
            sessions: BTreeMap::new(),
            temporary: BTreeMap::new(),
            random,
            issued: Vec::new(),
        }
    }

    /// Secrets handed out so far.
    pub(crate) fn issued(&self) -> &[String] {
        &self.issued
    }

    pub(crate) fn user_arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT_ID}:user/{}", self.user.name)
    }

    pub(crate) fn mfa_serial(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT_ID}:mfa/{}", self.user.name)
    }

    /// The secret key of a claim.
    pub(crate) fn secret(&self, claim: &Claim, now: Duration) -> Result<String, AuthError> {
        if claim.access_key_id == self.user.access_key_id && claim.session_token.is_none() {
            return Ok(self.user.secret_access_key.clone());
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

    /// Who holds an access key whose signature was good.
    pub(crate) fn caller(&self, access_key_id: &str) -> Caller {
        match self.temporary.get(access_key_id) {
            None => Caller {
                arn: self.user_arn(),
                kind: Kind::LongTerm,
            },
            Some(Temporary {
                role: Some(role),
                mfa,
                ..
            }) => Caller {
                arn: role.clone(),
                kind: Kind::Role { mfa: *mfa },
            },
            Some(temporary) => Caller {
                arn: self.user_arn(),
                kind: Kind::Session { mfa: temporary.mfa },
            },
        }
    }

    /// Issues temporary credentials: access key id, and the rest.
    pub(crate) fn issue(
        &mut self,
        expires: Duration,
        mfa: bool,
        role: Option<String>,
    ) -> (String, &Temporary) {
        let id = format!("ASIA{}", letters(&mut self.random, 16));
        let temporary = Temporary {
            secret_access_key: letters(&mut self.random, 40),
            session_token: letters(&mut self.random, 200),
            expires,
            mfa,
            role,
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

    /// Checks a code and uses it up: each step's code is good once, one step around now.
    pub(crate) fn use_code(&mut self, serial: &str, code: &str, now: Duration) -> CodeCheck {
        if serial != self.mfa_serial() {
            return CodeCheck::WrongSerial;
        }
        let now = totp::step(now);
        let user = &mut self.user;
        let step = (now.saturating_sub(1)..=now + 1)
            .find(|step| totp::code(&user.seed, *step) == code && !user.used_steps.contains(step));
        match step {
            Some(step) => {
                user.used_steps.insert(step);
                CodeCheck::Accepted
            }
            None => CodeCheck::WrongCode,
        }
    }

    /// The code of the first step within reach that is not used up.
    pub(crate) fn next_code(&self, now: Duration) -> String {
        let now = totp::step(now);
        let free = [now, now + 1, now.saturating_sub(1)]
            .into_iter()
            .find(|step| !self.user.used_steps.contains(step));
        totp::code(&self.user.seed, free.unwrap_or(now))
    }

    pub(crate) fn new_session_id(&mut self) -> String {
        format!("{}-{}", self.user.name, hex(&mut self.random, 17))
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
