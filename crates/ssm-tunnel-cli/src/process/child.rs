//! Child processes.

use std::process::Command;

/// Removes this program's secrets from a child's environment: a code that may be unused, a session's
/// token.
pub fn keep_secrets_from(command: &mut Command) {
    for name in ssm_mfa::secret_variables() {
        command.env_remove(name);
    }
}
