//! Environment variables that hold secrets of this program, and are kept from the programs it runs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, PoisonError};

/// An MFA code, for one request (`ssm-mfa`).
const CODE_VARIABLE: &str = "SSM_TUNNEL_MFA_CODE";
/// The variable in which the AWS CLI hands a session, token included, to its plugin, with or without a
/// suffix (`awscli/customizations/sessionmanager.py` of `aws/aws-cli`).
const SESSION_VARIABLES: &str = "AWS_SSM_START_SESSION_RESPONSE";

/// Other variables that secrets were read from.
static OTHERS: Mutex<BTreeSet<OsString>> = Mutex::new(BTreeSet::new());

/// Names of the environment variables that no child process may inherit: those of a code, of the
/// session that the AWS CLI hands to its plugin, and of a seed that was read. The programs that this
/// crate runs do not get them; a program that runs others removes them too:
///
/// ```
/// let mut command = std::process::Command::new("psql");
/// for name in ssm_aws::secret_variables() {
///     command.env_remove(name);
/// }
/// ```
pub fn secret_variables() -> Vec<OsString> {
    let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut names = vec![CODE_VARIABLE.into(), SESSION_VARIABLES.into()];
    names.extend(others.iter().cloned());
    let present = std::env::vars_os().map(|(name, _)| name);
    names.extend(present.filter(|name| is_session(name)));
    names
}

/// Adds a variable to [`secret_variables`].
pub fn keep_from_children(name: &OsStr) {
    let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
    others.insert(name.to_owned());
}

/// Names of variables are case-insensitive on Windows.
fn is_session(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    name.starts_with(SESSION_VARIABLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_variables_of_the_aws_cli_are_known_by_prefix() {
        for name in [
            "AWS_SSM_START_SESSION_RESPONSE",
            "AWS_SSM_START_SESSION_RESPONSE_1f",
        ] {
            assert!(is_session(name.as_ref()), "{name}");
        }
        for name in ["AWS_SESSION_TOKEN", "AWS_SSM_START_SESSION", ""] {
            assert!(!is_session(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn kept_variables_stay_secret() {
        let name = OsStr::new("A_SEED_THAT_IS_NOT_SET");
        assert!(!secret_variables().iter().any(|it| it == name));
        keep_from_children(name);
        let names = secret_variables();
        assert!(names.iter().any(|it| it == name));
        assert!(names.iter().any(|it| it == CODE_VARIABLE));
    }
}
