//! What a provider works by, fixed once it is built.

/// What a code is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// [`Session`](Self::Session), except that it is [`Direct`](Self::Direct) for a role that is to
    /// last more than an hour, for source credentials that are temporary already, and for a role
    /// that refused the MFA session.
    #[default]
    Auto,
    /// A session of the user (STS GetSessionToken): one code for all of the user's roles, each of
    /// which lasts up to an hour and is renewed without a code.
    Session,
    /// The role itself (STS AssumeRole): one code for each role, each time it expires.
    Direct,
}

/// When a code may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Interaction {
    /// Whenever one is needed, including in the middle of an SDK call.
    #[default]
    Always,
    /// Only by [`MfaProvider::login`] and [`MfaProvider::renew`]. Without a session, SDK calls fail
    /// with [`MfaError::LoginRequired`].
    ///
    /// [`MfaProvider::login`]: crate::MfaProvider::login
    /// [`MfaProvider::renew`]: crate::MfaProvider::renew
    /// [`MfaError::LoginRequired`]: crate::MfaError::LoginRequired
    LoginOnly,
    /// Never: logins that need a code fail too.
    Never,
}

/// Which setting named the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The role's profile, or the program: the role can be assumed with a code.
    Role,
    /// The source profile, or AWS_MFA_SERIAL. As in botocore, no role inherits it, but it can start
    /// a session of the user whose keys these are, unless the keys are temporary already.
    Source,
}

/// What one login may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoginRequest {
    pub(crate) may_prompt: bool,
    /// Start a new session even though there is a usable one.
    pub(crate) force_new: bool,
}

impl LoginRequest {
    /// Whether what comes of this serves whoever wants that.
    pub(crate) fn serves(self, wanted: Self) -> bool {
        (self.may_prompt || !wanted.may_prompt) && (self.force_new || !wanted.force_new)
    }
}
