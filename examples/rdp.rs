//! `cargo run --example rdp -- my-windows-box --mfa-serial arn:aws:iam::123456789012:mfa/you`
//!
//! Remote Desktop to a Windows instance in a private subnet, under enforced MFA. The machine is given
//! by its id, `Name` tag, computer name or private IP. The options have the AWS CLI's names.
//! `--sandbox` shows all of it on this machine, without an AWS account.
//!
//! # The client
//!
//! `--launch` starts the Remote Desktop client of this machine: mstsc on Windows, the Windows App on
//! macOS (the tunnel stays until it is quit), FreeRDP or Remmina elsewhere. When it ends, the tunnel
//! does; exit code 11 means that it is missing or failed. `--rdp-file FILE.rdp` writes a file for any
//! client instead, or for the one that is launched: it asks for the password, shows the machine's
//! certificate, and shares the clipboard and nothing else. A file that is there keeps its settings but
//! the address. mstsc warns of such files, as they are not signed, but not when `--launch` stands
//! alone, without `--rdp-file` and `--username`. FreeRDP accepts a machine's certificate the first
//! time and remembers it by the machine, not by the address, which is the same for all of them.
//!
//! # The Administrator's password
//!
//! `--private-key KEY.pem` asks EC2 for the password that a Windows instance made at its first start
//! (`ec2:GetPasswordData`, on the instance) and decrypts it with the private key of its key pair. It
//! is shown once, on the terminal only unless `--show-password` is given; or `--copy-password` copies
//! it (clip, pbcopy, wl-copy, xclip, xsel; a clipboard's history may keep it); with `--launch` FreeRDP
//! gets it on its standard input, without showing it. It is never on a command line, in a file or in a
//! log. Exit code 12: the password is not available yet, up to 15 minutes after the launch.
//!
//! ```text
//! rdp my-windows-box --private-key ~/keys/windows.pem --copy-password --launch
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::rdp::main()
}
