//! `.rdp` files: settings for Remote Desktop clients.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Size limit for reading a file: clients write a few kilobytes.
const LONGEST: u64 = 1 << 20;
/// Byte order mark of UTF-16, little-endian.
const UTF_16LE: [u8; 2] = [0xFF, 0xFE];
/// Byte order mark of UTF-8.
const UTF_8: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// What a new file says beside the address. Source of names and values: Microsoft, "Supported RDP
/// properties" (learn.microsoft.com/azure/virtual-desktop/rdp-properties).
///
/// The address is the same for every machine behind a tunnel, so a password that the client keeps
/// for it may be another machine's: it asks. The machine's certificate never names this address:
/// the client shows it and lets the user decide. The clipboard is shared, nothing else of this
/// machine is.
const DEFAULTS: [(&str, char, &str); 12] = [
    ("prompt for credentials", 'i', "1"),
    ("authentication level", 'i', "2"),
    ("gatewayusagemethod", 'i', "0"),
    ("autoreconnection enabled", 'i', "1"),
    ("compression", 'i', "1"),
    ("dynamic resolution", 'i', "1"),
    ("redirectclipboard", 'i', "1"),
    ("redirectprinters", 'i', "0"),
    ("redirectcomports", 'i', "0"),
    ("redirectsmartcards", 'i', "0"),
    ("audiocapturemode", 'i', "0"),
    ("drivestoredirect", 's', ""),
];

/// A file of settings for Remote Desktop clients (`.rdp`): mstsc, the Windows App, FreeRDP.
///
/// ```
/// use ssm_tunnel_cli::rdp::RdpFile;
///
/// let file = RdpFile::new(([127, 0, 0, 1], 17320).into()).username("Administrator")?;
/// assert!(file.to_bytes().starts_with(b"full address:s:127.0.0.1:17320\r\n"));
/// # Ok::<(), ssm_tunnel_cli::rdp::RdpFileError>(())
/// ```
///
/// It never holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdpFile {
    settings: Vec<Setting>,
}

/// `name:kind:value`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    name: String,
    /// `i` a number, `s` a text, `b` binary.
    kind: char,
    value: String,
}

/// What is wrong with a file or a setting.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RdpFileError {
    /// A file that is something else is not touched.
    #[error("{} is there already and is not an .rdp file: choose another path", path.display())]
    NotRdp {
        /// The file.
        path: PathBuf,
    },
    /// A value would be more than one line.
    #[error("the {name} of an .rdp file cannot hold control characters, such as an end of line")]
    Value {
        /// The setting.
        name: &'static str,
    },
    /// The file cannot be read or written.
    #[error("cannot write the .rdp file {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl RdpFile {
    /// With this address of a tunnel, and settings for a machine behind one: the client asks for the
    /// password and shows the machine's certificate, uses no Remote Desktop gateway, connects again
    /// by itself, and shares the clipboard but no drives, printers or cards.
    pub fn new(address: SocketAddr) -> Self {
        let mut file = Self {
            settings: Vec::new(),
        };
        file.set("full address", 's', address.to_string());
        for (name, kind, value) in DEFAULTS {
            file.set(name, kind, value.to_owned());
        }
        file
    }

    /// The file at `path` with this address, all its other settings kept; [`new`](Self::new) where
    /// there is none. A signature in it would no longer hold, and is left out.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn at(path: &Path, address: SocketAddr) -> Result<Self, RdpFileError> {
        let failed = |error| RdpFileError::Io {
            path: path.to_owned(),
            error,
        };
        let bytes = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new(address)),
            Err(error) => return Err(failed(error)),
            Ok(meta) if meta.is_file() && meta.len() <= LONGEST => {
                std::fs::read(path).map_err(failed)?
            }
            Ok(_) => Vec::from("not a file of settings"),
        };
        let mut file = Self::parse(&bytes).ok_or_else(|| RdpFileError::NotRdp {
            path: path.to_owned(),
        })?;
        file.set("full address", 's', address.to_string());
        file.settings.retain(|setting| {
            let is = |name: &str| setting.name.eq_ignore_ascii_case(name);
            !is("signature") && !is("signscope") && !is("alternate full address")
        });
        Ok(file)
    }

    /// Who signs in: `Administrator`, `DOMAIN\user`, `user@domain`.
    ///
    /// # Errors
    /// When it holds a control character.
    pub fn username(mut self, name: &str) -> Result<Self, RdpFileError> {
        if name.chars().any(char::is_control) {
            return Err(RdpFileError::Value { name: "user name" });
        }
        self.set("username", 's', name.to_owned());
        Ok(self)
    }

    fn set(&mut self, name: &str, kind: char, value: String) {
        let setting = Setting {
            name: name.to_owned(),
            kind,
            value,
        };
        let same = |known: &&mut Setting| known.name.eq_ignore_ascii_case(name);
        match self.settings.iter_mut().find(same) {
            Some(known) => *known = setting,
            None => self.settings.push(setting),
        }
    }

    /// `None` when it is something else.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = if let Some(rest) = bytes.strip_prefix(&UTF_16LE) {
            let units = rest.chunks_exact(2).map(|unit| match *unit {
                [low, high] => u16::from_le_bytes([low, high]),
                _ => 0,
            });
            char::decode_utf16(units)
                .collect::<Result<String, _>>()
                .ok()?
        } else {
            let bytes = bytes.strip_prefix(&UTF_8).unwrap_or(bytes);
            str::from_utf8(bytes).ok()?.to_owned()
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let settings = lines.map(|line| {
            let (name, rest) = line.split_once(':')?;
            let (kind, value) = rest.split_once(':')?;
            let kind = match kind {
                "i" => 'i',
                "s" => 's',
                "b" => 'b',
                _ => return None,
            };
            Some(Setting {
                name: name.to_owned(),
                kind,
                value: value.to_owned(),
            })
        });
        Some(Self {
            settings: settings.collect::<Option<_>>()?,
        })
    }

    /// Lines that end in CR LF: in ASCII, which every client reads, or where that does not do in
    /// UTF-16 with a byte order mark, which mstsc writes itself and FreeRDP reads
    /// (`client/common/file.c` of FreeRDP 2.11.7 and 3.9.0).
    pub fn to_bytes(&self) -> Vec<u8> {
        let line = |Setting { name, kind, value }: &Setting| format!("{name}:{kind}:{value}\r\n");
        let text: String = self.settings.iter().map(line).collect();
        if text.is_ascii() {
            return text.into_bytes();
        }
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        UTF_16LE.into_iter().chain(units).collect()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the system does not.
    pub fn save(&self, path: &Path) -> Result<(), RdpFileError> {
        std::fs::write(path, self.to_bytes()).map_err(|error| RdpFileError::Io {
            path: path.to_owned(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddr {
        ([127, 0, 0, 1], 17320).into()
    }

    #[test]
    fn a_new_file_is_ascii_with_one_setting_a_line() {
        let file = RdpFile::new(address())
            .username("Administrator")
            .expect("a name");
        let text = String::from_utf8(file.to_bytes()).expect("ASCII");
        assert!(
            text.starts_with("full address:s:127.0.0.1:17320\r\n"),
            "{text}"
        );
        for line in [
            "username:s:Administrator",
            "prompt for credentials:i:1",
            "authentication level:i:2",
            "drivestoredirect:s:",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
        assert!(!text.to_lowercase().contains("password"), "{text}");
        assert_eq!(RdpFile::parse(file.to_bytes().as_slice()), Some(file));
        let v6 = RdpFile::new(([0, 0, 0, 0, 0, 0, 0, 1], 5).into()).to_bytes();
        assert!(v6.starts_with(b"full address:s:[::1]:5\r\n"));
    }

    #[test]
    fn other_letters_make_it_utf_16_with_a_byte_order_mark() {
        let file = RdpFile::new(address())
            .username(r"BÜRO\jörg😀")
            .expect("a name");
        let bytes = file.to_bytes();
        assert!(bytes.starts_with(b"\xFF\xFEf\0u\0l\0l\0"));
        assert_eq!(RdpFile::parse(&bytes), Some(file));
    }

    #[test]
    fn a_name_cannot_bring_a_setting_along() {
        for name in ["a\r\nalternate shell:s:evil.exe", "a\nb", "a\0"] {
            RdpFile::new(address()).username(name).expect_err(name);
        }
    }

    #[test]
    fn an_existing_file_keeps_all_but_address_and_signature() {
        let folder = std::env::temp_dir().join(format!("ssm-tunnel-rdp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("work.rdp");
        let old = "Full Address:s:10.0.0.1\r\nuse multimon:i:1\r\nusername:s:me\r\nwinposstr:s:0,1,a:b\r\nsignscope:s:x\r\nsignature:s:y\r\n";
        std::fs::write(&path, old).expect("written");
        RdpFile::at(&path, address())
            .expect("a file")
            .save(&path)
            .expect("written");
        let text = std::fs::read_to_string(&path).expect("ASCII");
        assert_eq!(
            text,
            "full address:s:127.0.0.1:17320\r\nuse multimon:i:1\r\nusername:s:me\r\nwinposstr:s:0,1,a:b\r\n"
        );
        std::fs::write(&path, "export PATH=/bin\n").expect("written");
        let error = RdpFile::at(&path, address()).expect_err("something else");
        assert!(error.to_string().contains("is not an .rdp file"), "{error}");
        RdpFile::at(&folder, address()).expect_err("a folder");
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(
            RdpFile::at(&path, address()).expect("new"),
            RdpFile::new(address())
        );
    }
}
