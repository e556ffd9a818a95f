//! What to do about a local port or socket that cannot be listened on.

use std::io;

pub(super) fn address_advice(error: &io::Error) -> String {
    port_advice(error.kind()).map_or_else(String::new, |text| format!("; {text}"))
}

/// For a local port.
pub(crate) fn port_advice(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::AddrInUse => Some(
            "another program, perhaps another tunnel, uses it: choose another local port, or 0 for a free one",
        ),
        io::ErrorKind::PermissionDenied => Some(FORBIDDEN),
        io::ErrorKind::AddrNotAvailable => {
            Some("this machine does not have that address: use 127.0.0.1")
        }
        _ => None,
    }
}

#[cfg(not(windows))]
const FORBIDDEN: &str = "ports below 1024 may need privileges: choose another";
/// WSAEACCES. Hyper-V, WSL and Docker reserve ranges that differ after each start.
#[cfg(windows)]
const FORBIDDEN: &str = "Windows has reserved it (`netsh interface ipv4 show excludedportrange protocol=tcp` lists the reserved ranges), or another program uses it exclusively: choose another local port, or 0 for a free one";

pub(super) fn socket_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program, perhaps another tunnel, listens there",
        io::ErrorKind::AlreadyExists => "; choose another path",
        io::ErrorKind::NotFound => "; its directory must exist",
        io::ErrorKind::PermissionDenied => "; its directory must be writable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Error;

    #[test]
    fn local_port_errors_say_what_to_do() {
        let shown = |kind: io::ErrorKind| {
            let address = ([127, 0, 0, 1], 80).into();
            let error = Arc::new(kind.into());
            Error::LocalAddress { address, error }.to_string()
        };
        assert!(shown(io::ErrorKind::AddrInUse).contains("perhaps another tunnel"));
        assert!(shown(io::ErrorKind::AddrNotAvailable).contains("use 127.0.0.1"));
        let forbidden = shown(io::ErrorKind::PermissionDenied);
        assert!(forbidden.contains("choose another"), "{forbidden}");
        // Windows has no privileged ports, but reserved ones.
        assert_eq!(forbidden.contains("privileges"), cfg!(not(windows)));
        assert_eq!(forbidden.contains("excludedportrange"), cfg!(windows));
    }
}
