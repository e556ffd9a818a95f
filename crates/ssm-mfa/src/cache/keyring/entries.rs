//! A session as entries of a keyring. The first entry of a key is a header and the body's
//! beginning; the rest, if any, is in numbered entries, which the header chooses from two sets, so
//! that writing the first entry replaces the whole session at once:
//!
//! | bytes | |
//! |---|---|
//! | 8 | `ssm-mfa1` |
//! | 1 | set of the further entries, 0 or 1 |
//! | 1 | number of entries, this one included |
//! | 32 | SHA-256 of the body |
//! | rest | the body's beginning |

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

const SERVICE: &str = "ssm-tunnel MFA";
const MAGIC: &[u8; 8] = b"ssm-mfa1";
pub(super) const HEADER: usize = MAGIC.len() + 2 + 32;
/// As in the file store.
const MAX_BODY: usize = 64 << 10;

#[derive(Clone)]
pub(super) struct Entries {
    store: Arc<CredentialStore>,
    /// Bytes in one entry.
    limit: usize,
    /// Attributes of each entry.
    modifiers: Modifiers,
}

/// Names and values specific to one kind of keyring.
pub(super) type Modifiers = &'static [(&'static str, &'static str)];

pub(super) enum Found {
    Nothing,
    /// Counts as nothing.
    Damaged,
    Body(Zeroizing<Vec<u8>>),
}

struct Header {
    set: u8,
    count: u8,
    digest: [u8; 32],
}

impl Entries {
    pub(super) fn new(store: Arc<CredentialStore>, limit: usize, modifiers: Modifiers) -> Self {
        Self {
            store,
            limit,
            modifiers,
        }
    }

    pub(super) fn load(&self, key: &str) -> Result<Found, Error> {
        // Another program may replace it between two entries: then the second read is complete.
        for _ in 0..2 {
            let Some(first) = self.get(key)? else {
                return Ok(Found::Nothing);
            };
            if let Some(body) = self.rest(key, &first)? {
                return Ok(Found::Body(body));
            }
        }
        Ok(Found::Damaged)
    }

    fn rest(&self, key: &str, first: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some((header, beginning)) = Header::read(first) else {
            return Ok(None);
        };
        if usize::from(header.count) > self.most() || beginning.len() > MAX_BODY {
            return Ok(None);
        }
        // Room for all of it: a growing buffer would leave copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        body.extend_from_slice(beginning);
        for number in 1..header.count {
            let Some(chunk) = self.get(&further(key, header.set, number))? else {
                return Ok(None);
            };
            if body.len() + chunk.len() > MAX_BODY {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        let digest: [u8; 32] = Sha256::digest(&body[..]).into();
        Ok((digest == header.digest).then_some(body))
    }

    pub(super) fn save(&self, key: &str, body: &[u8]) -> Result<(), Error> {
        let too_long = || Error::TooLong("session".to_owned(), MAX_BODY as u32);
        if body.len() > MAX_BODY {
            return Err(too_long());
        }
        let old = self.get(key)?;
        let old = old.as_deref().and_then(|first| Header::read(first));
        let set = old.map_or(0, |(header, _)| 1 - header.set);

        let (beginning, end) = body.split_at(body.len().min(self.limit.saturating_sub(HEADER)));
        let chunks = end.chunks(self.limit.max(1));
        let header = Header {
            set,
            count: u8::try_from(1 + chunks.len()).map_err(|_| too_long())?,
            digest: Sha256::digest(body).into(),
        };
        for (number, chunk) in (1..).zip(chunks) {
            self.put(&further(key, set, number), chunk)?;
        }
        self.put(key, &header.write(beginning))?;
        self.forget(key, 1 - set)
    }

    pub(super) fn remove(&self, key: &str) -> Result<(), Error> {
        self.delete(key)?;
        self.forget(key, 0)?;
        self.forget(key, 1)
    }

    /// Removes all possible entries of a set: a damaged header does not tell which exist.
    fn forget(&self, key: &str, set: u8) -> Result<(), Error> {
        for number in 1..u8::try_from(self.most()).unwrap_or(u8::MAX) {
            self.delete(&further(key, set, number))?;
        }
        Ok(())
    }

    /// Number of entries that the largest body takes.
    fn most(&self) -> usize {
        (MAX_BODY + HEADER).div_ceil(self.limit)
    }

    fn entry(&self, name: &str) -> Result<Entry, Error> {
        let modifiers: HashMap<_, _> = self.modifiers.iter().copied().collect();
        let modifiers = (!modifiers.is_empty()).then_some(&modifiers);
        self.store.build(SERVICE, name, modifiers)
    }

    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.entry(name)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(Error::Ambiguous(_)) => Ok(Some(Zeroizing::default())),
            Err(Error::BadEncoding(mut raw) | Error::BadDataFormat(mut raw, _)) => {
                raw.zeroize();
                Ok(Some(Zeroizing::default()))
            }
            Err(error) => Err(error),
        }
    }

    fn put(&self, name: &str, secret: &[u8]) -> Result<(), Error> {
        let entry = self.entry(name)?;
        match entry.set_secret(secret) {
            // One name, several entries: another program created them.
            Err(Error::Ambiguous(several)) => {
                delete_all(several)?;
                entry.set_secret(secret)
            }
            result => result,
        }
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        match self.entry(name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(Error::Ambiguous(several)) => delete_all(several),
            Err(error) => Err(error),
        }
    }
}

fn delete_all(several: Vec<Entry>) -> Result<(), Error> {
    several.iter().try_for_each(Entry::delete_credential)
}

fn further(key: &str, set: u8, number: u8) -> String {
    format!("{key}.{set}.{number}")
}

impl Header {
    fn read(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (&[set, count], rest) = entry.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (&digest, beginning) = rest.split_first_chunk()?;
        let header = Self { set, count, digest };
        (set < 2 && count > 0).then_some((header, beginning))
    }

    fn write(&self, beginning: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut entry = Zeroizing::new(Vec::with_capacity(HEADER + beginning.len()));
        entry.extend_from_slice(MAGIC);
        entry.extend_from_slice(&[self.set, self.count]);
        entry.extend_from_slice(&self.digest);
        entry.extend_from_slice(beginning);
        entry
    }
}

/// An error's text, without the contents that the library may quote.
pub(super) fn told(error: Error) -> String {
    match error {
        Error::PlatformFailure(error) | Error::NoStorageAccess(error) => error.to_string(),
        Error::BadEncoding(mut raw) | Error::BadDataFormat(mut raw, _) => {
            raw.zeroize();
            "an entry is damaged".to_owned()
        }
        Error::TooLong(_, limit) => format!("the session is longer than {limit} bytes"),
        Error::NoEntry => "an entry was removed meanwhile".to_owned(),
        Error::NoDefaultStore => "there is none on this system".to_owned(),
        _ => "it failed for an unknown reason".to_owned(),
    }
}
