//! `ssh` and `scp` to an instance without any open port, as OpenSSH's ProxyCommand.
//!
//! In `~/.ssh/config`, after `cargo install --path examples --example ssh_proxy` or with the
//! program's full path:
//!
//! ```text
//! Host i-* mi-*
//!     ProxyCommand ssh_proxy --target %h --port-number %p
//! ```
//!
//! Then `ssh ec2-user@i-0123456789abcdef0`, `scp`, `sftp`, `rsync`, `git` and editors over ssh work
//! as to any host. `Host i-* mi-* dev-*` lets `ssh ec2-user@dev-web` find the machine whose `Name` tag
//! or computer name that is. A user who must use MFA names the device as `mfa_serial` in the profile, or adds
//! `--mfa-serial arn:aws:iam::123456789012:mfa/you`: the code is asked for on the terminal, since
//! standard input and output carry ssh's own data, and once a day. `ControlMaster auto`,
//! `ControlPersist 10m` and `ControlPath ~/.ssh/%C` let further commands share the connection.
//!
//! The session's document is `AWS-StartSSHSession`, which the user's policy must name. It reaches
//! `sshd` on the instance itself, which authenticates the user as ever. Whatever there is to say
//! goes to standard error: what went wrong, or with `--output json` every event.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::ssh_proxy::main()
}
