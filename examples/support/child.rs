//! Programs that this one starts.

use std::process::Command;

/// Takes out of a program's environment what is for this one alone: a code that may be unspent, the
/// token of a session.
pub fn keep_secrets_from(command: &mut Command) {
    for name in ssm_mfa::secret_variables() {
        command.env_remove(name);
    }
}
