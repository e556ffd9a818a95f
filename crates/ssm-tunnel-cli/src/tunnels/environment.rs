//! The tunnels' addresses as environment variables.

use std::ffi::OsString;
use std::net::SocketAddr;

use super::forward::LocalSide;

/// The variables: `SSM_TUNNEL_ADDR`, and for TCP also `SSM_TUNNEL_HOST` and `SSM_TUNNEL_PORT`. From
/// the second tunnel on they end in `_2`, `_3` and so on.
pub fn environment(locals: &[(LocalSide, SocketAddr)]) -> Vec<(String, OsString)> {
    let mut variables = Vec::new();
    for (at, (local, address)) in locals.iter().enumerate() {
        let suffix = match at {
            0 => String::new(),
            _ => format!("_{}", at + 1),
        };
        let mut set = |name: &str, value: OsString| {
            variables.push((format!("SSM_TUNNEL_{name}{suffix}"), value));
        };
        match local {
            LocalSide::Socket(path) => set("ADDR", path.into()),
            LocalSide::Address(_) => {
                set("ADDR", address.to_string().into());
                set("HOST", address.ip().to_string().into());
                set("PORT", address.port().to_string().into());
            }
        }
    }
    variables
}
