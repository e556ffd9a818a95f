//! `cargo run --example doctor -- my-windows-box`
//!
//! Why does the tunnel not open? Looks at everything between this machine and the target, and says
//! of each thing whether it passes, fails or is unknown, what that means, and what to do. The
//! target and the options are those of the tunnel that does not open:
//!
//! ```text
//! $ doctor my-windows-box --profile you --local-port-number 17320          (bash)
//! > .\doctor.exe my-windows-box --profile you --local-port-number 17320    (PowerShell)
//! pass     region        eu-west-1
//! pass     credentials   temporary credentials of the profile you, id ending in WXYZ, until 2026-11-25T18:00:00Z
//! pass     identity      arn:aws:iam::123456789012:user/you, account 123456789012
//! pass     mfa           an MFA session, until 2026-11-25T18:00:00Z
//! pass     clock         agrees with AWS's
//! pass     proxy         none in between
//! pass     sts           sts.eu-west-1.amazonaws.com:443 answers at 52.94.0.1, a public address
//! pass     ssm           ssm.eu-west-1.amazonaws.com:443 answers at 10.0.3.7, a private address: a VPC endpoint
//! pass     ssmmessages   ssmmessages.eu-west-1.amazonaws.com:443 answers at 10.0.3.9, a private address: a VPC endpoint
//! pass     instance      i-0123456789abcdef0: my-windows-box, EC2AMAZ-ABCDEF0, 10.0.0.5, Microsoft Windows Server 2022 Datacenter, agent 3.3.4851.0, Online
//! pass     agent         version 3.3.4851.0
//! FAIL     data-channel  its agent is not connected for sessions
//!                        -> if it is online, it does not reach ssmmessages: let port 443 out to it from the instance ...
//! ```
//!
//! `--output json` prints an object a line: `"event": "check"` with `check`, `status` (`pass`,
//! `fail`, `unknown`), `meaning`, `next_step` and `details`, and at the end `"event": "doctor"`.
//!
//! ```text
//! $ doctor my-windows-box --output json | jq -r 'select(.status == "fail") | .check, .next_step'
//! > .\doctor.exe my-windows-box --output json | ConvertFrom-Json | Where-Object status -eq fail
//! ```
//!
//! # What it costs
//!
//! A session is started, and terminated at once, since nothing else tells whether it may be;
//! `--no-session` leaves that out. What the checks are stands at `ssm_tunnel::doctor`. Besides what
//! a tunnel needs, they use this statement, and say "unknown" without it:
//!
//! ```json
//! {
//!   "Effect": "Allow",
//!   "Action": ["ssm:DescribeInstanceInformation", "ssm:GetConnectionStatus"],
//!   "Resource": "*"
//! }
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::doctor::main()
}
