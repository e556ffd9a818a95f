//! The Remote Desktop client of this machine.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

/// The Remote Desktop client of this machine: mstsc on Windows, the Windows App on macOS, elsewhere
/// FreeRDP, or Remmina.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdpClient {
    program: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mstsc,
    /// An application of macOS, started by `open`.
    App,
    FreeRdp,
    Remmina,
}

/// What a client is to open.
#[derive(Debug, Clone, Copy)]
pub enum RdpOpen<'a> {
    /// An `.rdp` file.
    File(&'a Path),
    /// The same file, and the password follows on its standard input, with an end of line; only where
    /// [`RdpClient::reads_password`] says so.
    FileAndPassword(&'a Path),
    /// An address and nothing else; only where [`RdpClient::takes_address`] says so.
    Address(SocketAddr),
}

/// No client is installed.
#[derive(Debug, Clone, Error)]
#[error("no Remote Desktop client was found ({looked_for}): {remedy}")]
pub struct NoRdpClient {
    looked_for: String,
    remedy: &'static str,
}

impl RdpClient {
    /// Finds the first client that is installed.
    ///
    /// # Errors
    /// When there is none, with what to install.
    pub fn find() -> Result<Self, NoRdpClient> {
        let found = CLIENTS.iter().find_map(|(name, kind)| {
            let program = places(*kind)
                .map(|place| place.join(name))
                .find(|path| path.is_file() || (*kind == Kind::App && path.is_dir()))?;
            Some(Self {
                program,
                kind: *kind,
            })
        });
        found.ok_or_else(|| NoRdpClient {
            looked_for: CLIENTS.map(|(name, _)| name).join(", "),
            remedy: REMEDY,
        })
    }

    /// Its program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it takes an address instead of a file. mstsc does: since Windows' update of April 2026
    /// it warns of every unsigned `.rdp` file and switches its redirections off, but not of an
    /// address (Microsoft, "Understanding security warnings when opening Remote Desktop files").
    pub fn takes_address(&self) -> bool {
        self.kind == Kind::Mstsc
    }

    /// Whether it takes the password on its standard input, where no other user sees it. FreeRDP
    /// does (`/from-stdin:force`).
    pub fn reads_password(&self) -> bool {
        self.kind == Kind::FreeRdp
    }

    /// Whether its process may end while it runs on: Remmina hands what it opens to the one that
    /// runs already.
    pub fn hands_over(&self) -> bool {
        self.kind == Kind::Remmina
    }

    /// Whether it asks questions on the terminal.
    pub fn uses_terminal(&self) -> bool {
        self.kind == Kind::FreeRdp
    }

    /// Whether an exit code of its is that of an end in order. FreeRDP has its own for a session that
    /// was disconnected (1) or logged off (2), by an administrator or, with 11 and 12, by the user,
    /// and for a user who closed the window while it connected (145): `XF_EXIT_CODE` in
    /// `client/X11/xfreerdp.h`, the server's error infos up to 0xC that `client/X11/xf_client.c`
    /// passes on, and what `client/SDL/SDL3/sdl_context.cpp` reports no error for (FreeRDP
    /// @96265644). Sessions that timed out (3, 4) or were taken over by another one (5) are not.
    pub fn ended_in_order(&self, code: i32) -> bool {
        match self.kind {
            Kind::FreeRdp => matches!(code, 0..=2 | 11 | 12 | 145),
            _ => code == 0,
        }
    }

    /// The command that starts it and ends when the user has closed it (on macOS: has quit the
    /// application). `machine` is what FreeRDP remembers the machine's certificate by, accepting it
    /// the first time: behind a tunnel all machines have the same address.
    pub fn command(&self, open: RdpOpen<'_>, machine: &str) -> Command {
        let mut command = match self.kind {
            Kind::App => Command::new("/usr/bin/open"),
            _ => Command::new(&self.program),
        };
        match (self.kind, open) {
            (Kind::App, RdpOpen::File(path) | RdpOpen::FileAndPassword(path)) => {
                command.arg("-W").arg("-a").arg(&self.program).arg(path);
            }
            (Kind::App, RdpOpen::Address(address)) => {
                let url = format!("rdp://full%20address=s:{address}");
                command.arg("-W").arg("-a").arg(&self.program).arg(url);
            }
            (Kind::Mstsc, RdpOpen::File(path) | RdpOpen::FileAndPassword(path)) => {
                command.arg(path);
            }
            (Kind::Mstsc, RdpOpen::Address(address)) => {
                command.arg(format!("/v:{address}"));
            }
            (Kind::Remmina, RdpOpen::File(path) | RdpOpen::FileAndPassword(path)) => {
                command.arg("-c").arg(path);
            }
            (Kind::Remmina, RdpOpen::Address(address)) => {
                command.arg("-c").arg(format!("rdp://{address}"));
            }
            (Kind::FreeRdp, open) => {
                // A file must be the first argument, and its name end in .rdp.
                match open {
                    RdpOpen::File(path) | RdpOpen::FileAndPassword(path) => command.arg(path),
                    RdpOpen::Address(address) => command.arg(format!("/v:{address}")),
                };
                let word = |c: char| c.is_ascii_alphanumeric() || c == '.';
                let name = machine.replace(|c| !word(c), "-");
                command.arg(format!("/cert:tofu,name:{name}"));
                command.arg("/log-level:WARN");
                if matches!(open, RdpOpen::FileAndPassword(_)) {
                    command.arg("/from-stdin:force");
                }
            }
        }
        command
    }
}

#[cfg(windows)]
const CLIENTS: [(&str, Kind); 1] = [("mstsc.exe", Kind::Mstsc)];
#[cfg(windows)]
const REMEDY: &str = "mstsc.exe belongs to Windows, in System32: check PATH";

#[cfg(target_os = "macos")]
const CLIENTS: [(&str, Kind); 2] = [
    ("Windows App.app", Kind::App),
    ("Microsoft Remote Desktop.app", Kind::App),
];
#[cfg(target_os = "macos")]
const REMEDY: &str = "install the Windows App from the App Store, or connect a client of your own";

#[cfg(not(any(windows, target_os = "macos")))]
const CLIENTS: [(&str, Kind); 6] = [
    ("xfreerdp3", Kind::FreeRdp),
    ("xfreerdp", Kind::FreeRdp),
    ("sdl-freerdp3", Kind::FreeRdp),
    ("sdl-freerdp", Kind::FreeRdp),
    ("wlfreerdp", Kind::FreeRdp),
    ("remmina", Kind::Remmina),
];
#[cfg(not(any(windows, target_os = "macos")))]
const REMEDY: &str = "install FreeRDP (Debian: freerdp3-x11 or freerdp2-x11; Fedora: freerdp), or connect a client of your own";

/// The directories to search for this kind of client.
fn places(kind: Kind) -> impl Iterator<Item = PathBuf> {
    let applications = if kind == Kind::App {
        let own = env::home_dir().map(|home| home.join("Applications"));
        [Some(PathBuf::from("/Applications")), own]
    } else {
        [None, None]
    };
    let path = env::var_os("PATH").filter(|_| kind != Kind::App);
    let path = path.unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect();
    applications.into_iter().flatten().chain(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(kind: Kind, open: RdpOpen<'_>) -> Vec<String> {
        let program = PathBuf::from("/x/client");
        let command = RdpClient { program, kind }.command(open, "ecs:a_b,c");
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn every_client_is_started_as_it_wants_to_be() {
        let file = RdpOpen::File(Path::new("m.rdp"));
        let address = RdpOpen::Address(([127, 0, 0, 1], 5).into());
        assert_eq!(arguments(Kind::Mstsc, file), ["m.rdp"]);
        assert_eq!(arguments(Kind::Mstsc, address), ["/v:127.0.0.1:5"]);
        assert_eq!(
            arguments(Kind::App, file),
            ["-W", "-a", "/x/client", "m.rdp"]
        );
        assert_eq!(arguments(Kind::Remmina, file), ["-c", "m.rdp"]);
        let free = ["m.rdp", "/cert:tofu,name:ecs-a-b-c", "/log-level:WARN"];
        assert_eq!(arguments(Kind::FreeRdp, file), free);
        let file = RdpOpen::FileAndPassword(Path::new("m.rdp"));
        let with = arguments(Kind::FreeRdp, file);
        assert_eq!(with.last().map(String::as_str), Some("/from-stdin:force"));
    }

    #[test]
    fn freerdps_codes_of_a_user_who_left_are_ends_in_order() {
        let client = |kind| RdpClient {
            program: PathBuf::from("/x/client"),
            kind,
        };
        for code in [0, 1, 2, 11, 12, 145] {
            assert!(client(Kind::FreeRdp).ended_in_order(code), "{code}");
            let other = client(Kind::Mstsc).ended_in_order(code);
            assert_eq!(other, code == 0, "{code}");
        }
        for code in [3, 5, 7, 10, 13, 16, 32, 128, 131, 132, 147, 255, -1] {
            assert!(!client(Kind::FreeRdp).ended_in_order(code), "{code}");
        }
    }

    #[test]
    fn who_finds_none_is_told_what_to_install() {
        let error = NoRdpClient {
            looked_for: CLIENTS.map(|(name, _)| name).join(", "),
            remedy: REMEDY,
        };
        let text = error.to_string();
        assert!(
            text.contains(CLIENTS[0].0) && text.contains(REMEDY),
            "{text}"
        );
    }
}
