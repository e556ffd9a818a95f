//! Codes known from the start: the program's, or the environment's.

use std::sync::Mutex;

use zeroize::Zeroizing;

use super::source::{BoxFuture, Challenge, CodeError, MfaCodeSource};
use crate::code::mfa_code::MfaCode;

/// One code for one request, for instance from the command line.
#[derive(Debug)]
pub struct StaticCode(Mutex<Option<MfaCode>>);

impl StaticCode {
    /// A source of this one code.
    pub fn new(code: MfaCode) -> Self {
        Self(Mutex::new(Some(code)))
    }
}

impl MfaCodeSource for StaticCode {
    fn code<'a>(&'a self, _: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        let code = self.0.lock().ok().and_then(|mut code| code.take());
        Box::pin(async { code.ok_or(CodeError::UsedUp) })
    }

    fn is_spent(&self) -> bool {
        self.0.lock().is_ok_and(|code| code.is_none())
    }
}

/// A code, for one request. `ssm_aws::secret_variables` names it too.
pub(crate) const CODE_VARIABLE: &str = "SSM_TUNNEL_MFA_CODE";

/// The code in the environment variable `SSM_TUNNEL_MFA_CODE`, good for one request.
pub(crate) struct EnvironmentCode(Mutex<Option<Zeroizing<String>>>);

impl EnvironmentCode {
    /// `None` when unset or empty.
    pub(crate) fn read() -> Option<Self> {
        let text = std::env::var(CODE_VARIABLE).ok()?;
        if text.trim().is_empty() {
            return None;
        }
        Some(Self(Mutex::new(Some(Zeroizing::new(text)))))
    }
}

impl MfaCodeSource for EnvironmentCode {
    fn code<'a>(&'a self, _: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        let text = self.0.lock().ok().and_then(|mut text| text.take());
        Box::pin(async move { Ok(text.ok_or(CodeError::UsedUp)?.parse::<MfaCode>()?) })
    }

    fn is_spent(&self) -> bool {
        self.0.lock().is_ok_and(|text| text.is_none())
    }
}
