//! `cargo run --release --example port_forward -- --target i-0123456789abcdef0 --port-number 5432`
//!
//! Forwards a local port to any port of an instance, or with `--host` to any host it reaches.
//! The machine is given by its id, or by its `Name` tag, computer name or private IP.
//! Credentials come from the environment or the profile, with a code of the MFA device that it
//! names; it prints as soon as it listens. On a terminal its last line tells connections, bytes, rate,
//! round trip and resumes.
//!
//! # Several at once
//!
//! `--forward [LOCAL=][HOST:]PORT`, as often as needed. `LOCAL` is a port of 127.0.0.1, any address
//! with its port, or a Unix socket's path; without it a free port is taken. ssh's way of writing it,
//! `LOCAL:HOST:PORT`, is understood too. Each has a session of its own; when one ends, all do.
//!
//! ```text
//! port_forward --target i-… --forward 15432=db.internal:5432 --forward ./redis.sock=cache.internal:6379
//! ```
//!
//! # In scripts
//!
//! A command after `--` runs once everything is ready. When it ends the tunnels are closed, and its
//! exit code is this program's. It finds them in `SSM_TUNNEL_ADDR` (address and port, or socket),
//! `SSM_TUNNEL_HOST` and `SSM_TUNNEL_PORT`, the second one in `SSM_TUNNEL_ADDR_2` and so on:
//!
//! ```text
//! port_forward --target i-… --host db.internal --port-number 5432 -- \
//!     sh -c 'pg_dump --host "$SSM_TUNNEL_HOST" --port "$SSM_TUNNEL_PORT" app' > app.sql
//! ```
//!
//! Standard output is then the command's, and events go to standard error. Exit code 125 means that
//! the tunnel failed, 126 that the command could not be started, 127 that there is none, 128 and a
//! number that this signal ended it.
//!
//! For a tunnel in the background, `--ready-file FILE` appears once everything is ready, with the
//! addresses, a line each, and disappears before the tunnels are closed; a file that is there at the
//! start is removed. With `--output json` the events `ready` say the same. SIGTERM or Ctrl-C ends the
//! session.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::forward::main()
}
