//! The private key of an instance's key pair.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// The private half of an EC2 key pair: RSA, 2048 to 8192 bits.
pub struct PrivateKey(Pkcs1PrivateDecryptingKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// Why a text is no private key that can be used. Nothing of it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrivateKeyError {
    /// It is protected by a passphrase.
    #[error(
        "the private key is encrypted: decrypt a copy, `openssl rsa -in KEY -out COPY`, and delete it afterwards"
    )]
    Encrypted,
    /// It is in a format of OpenSSH or PuTTY.
    #[error(
        "the private key is in {0}'s own format: convert a copy to PEM, `ssh-keygen -p -m PEM -f COPY` or in PuTTYgen `Export OpenSSH key`"
    )]
    OtherFormat(&'static str),
    /// It is of another kind than RSA.
    #[error(
        "the private key is not an RSA key: the password of a Windows instance is always encrypted for one"
    )]
    NotRsa,
    /// There is none in it.
    #[error(
        "there is no private key in it: give the .pem file of the key pair, which begins with BEGIN RSA PRIVATE KEY or BEGIN PRIVATE KEY"
    )]
    Missing,
    /// It is damaged, or too short.
    #[error(
        "the private key cannot be read: it is damaged, or not an RSA key of 2048 to 8192 bits"
    )]
    Unusable,
}

impl PrivateKey {
    /// Reads PEM: `RSA PRIVATE KEY` (PKCS #1, as EC2 hands it out) or `PRIVATE KEY` (PKCS #8), also
    /// with a byte order mark, and in UTF-16 as Windows PowerShell 5 writes what `>` redirects. The
    /// caller wipes the text.
    ///
    /// # Errors
    /// [`PrivateKeyError`] for everything else.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PrivateKeyError> {
        if let Some(text) = pem.strip_prefix(&UTF_16LE) {
            // PEM is ASCII: each second byte is zero.
            let low = text.iter().step_by(2).copied();
            // At its full size from the start: a vector that grows leaves copies behind.
            let mut pem = Zeroizing::new(Vec::with_capacity(text.len()));
            pem.extend(low);
            return Self::from_text(&pem);
        }
        Self::from_text(pem.strip_prefix(&UTF_8).unwrap_or(pem))
    }

    fn from_text(pem: &[u8]) -> Result<Self, PrivateKeyError> {
        let has = |words: &str| {
            pem.windows(words.len())
                .any(|part| part == words.as_bytes())
        };
        // RFC 7468, section 11, and RFC 1421, section 4.6.1.1.
        if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
            return Err(PrivateKeyError::Encrypted);
        }
        if has("BEGIN OPENSSH PRIVATE KEY") {
            return Err(PrivateKeyError::OtherFormat("OpenSSH"));
        }
        if has("PuTTY-User-Key-File") {
            return Err(PrivateKeyError::OtherFormat("PuTTY"));
        }
        let mut der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| PrivateKeyError::Missing)?;
        let key = Self::from_der(&der);
        der.zeroize();
        key
    }

    fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, PrivateKeyError> {
        let unusable = PrivateKeyError::Unusable;
        let key = match der {
            PrivateKeyDer::Pkcs1(der) => {
                let pair = KeyPair::from_der(der.secret_pkcs1_der());
                let pair = pair.map_err(|_| unusable.clone())?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unusable.clone())?;
                PrivateDecryptingKey::from_pkcs8(der.as_ref())
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                if !der.windows(RSA.len()).take(64).any(|part| part == RSA) {
                    return Err(PrivateKeyError::NotRsa);
                }
                PrivateDecryptingKey::from_pkcs8(der)
            }
            _ => return Err(PrivateKeyError::NotRsa),
        };
        let key = key.map_err(|_| unusable.clone())?;
        let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| unusable)?;
        Ok(Self(key))
    }

    /// `None` when this is not the key that it was encrypted for. RSAES-PKCS1-v1_5 (RFC 8017,
    /// section 7.2) has no check value: a wrong key fails its padding, or gives what is no text.
    pub(super) fn decrypt(&self, encrypted: &[u8]) -> Option<Zeroizing<String>> {
        let mut plain = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let password = self.0.decrypt(encrypted, &mut plain).ok()?;
        let password = Zeroizing::new(str::from_utf8(password).ok()?.to_owned());
        let is_text = !password.is_empty() && !password.chars().any(char::is_control);
        is_text.then_some(password)
    }
}

/// Byte order marks.
const UTF_16LE: [u8; 2] = [0xFF, 0xFE];
const UTF_8: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The object identifier rsaEncryption (RFC 8017, appendix A.1) in DER.
const RSA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> Vec<u8> {
        let body = aws_smithy_types::base64::encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
    }

    fn new_key() -> PrivateDecryptingKey {
        PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("generated")
    }

    fn pkcs8(key: &PrivateDecryptingKey) -> Vec<u8> {
        let der: Pkcs8V1Der<'_> = key.as_der().expect("encoded");
        der.as_ref().to_vec()
    }

    /// PKCS #8 is a head of 26 bytes before PKCS #1, for a key of this length.
    fn pkcs1(key: &PrivateDecryptingKey) -> Vec<u8> {
        pkcs8(key)[26..].to_vec()
    }

    fn encrypt(key: &PrivateDecryptingKey, text: &[u8]) -> Vec<u8> {
        let key = Pkcs1PublicEncryptingKey::new(key.public_key()).expect("a key");
        let mut out = vec![0; key.ciphertext_size()];
        key.encrypt(text, &mut out).expect("encrypts");
        out
    }

    #[test]
    fn both_forms_of_pem_decrypt_and_neither_is_shown() {
        let key = new_key();
        let encrypted = encrypt(&key, "Pässwörd".as_bytes());
        for pem in [
            pem("RSA PRIVATE KEY", &pkcs1(&key)),
            pem("PRIVATE KEY", &pkcs8(&key)),
        ] {
            let key = PrivateKey::from_pem(&pem).expect("a key");
            let password = key.decrypt(&encrypted).expect("it fits");
            assert_eq!(password.as_str(), "Pässwörd");
            assert_eq!(format!("{key:?}"), "PrivateKey(..)");
        }
    }

    #[test]
    fn what_windows_makes_of_the_file_is_the_key_still() {
        let key = new_key();
        let encrypted = encrypt(&key, b"secret");
        let pem = String::from_utf8(pem("RSA PRIVATE KEY", &pkcs1(&key))).expect("ASCII");
        let lines = pem.replace('\n', "\r\n");
        let utf_16 = format!("\u{feff}{lines}");
        let utf_16: Vec<u8> = utf_16.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [
            lines.as_bytes(),
            format!("\u{feff}{lines}").as_bytes(),
            &utf_16,
        ] {
            let key = PrivateKey::from_pem(text).expect("a key");
            let password = key.decrypt(&encrypted).expect("it fits");
            assert_eq!(password.as_str(), "secret");
        }
        for text in [&UTF_16LE[..], &UTF_16LE[..1], &UTF_8, b"\xFF\xFEM\0A\0R"] {
            let error = PrivateKey::from_pem(text).expect_err("no key");
            assert_eq!(error, PrivateKeyError::Missing);
        }
    }

    #[test]
    fn another_key_or_another_ciphertext_gives_nothing() {
        let (key, other) = (new_key(), new_key());
        let reader = PrivateKey::from_pem(&pem("PRIVATE KEY", &pkcs8(&other))).expect("a key");
        assert!(reader.decrypt(&encrypt(&key, b"secret")).is_none());
        assert!(reader.decrypt(&encrypt(&other, b"\x00\x01\x02")).is_none());
        assert!(reader.decrypt(b"short").is_none());
        assert!(reader.decrypt(&[]).is_none());
    }

    #[test]
    fn unusable_keys_get_a_remedy_and_are_never_shown() {
        let rsa = pkcs1(&new_key());
        let proc_type = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nTUFSS0VS\n-----END RSA PRIVATE KEY-----\n";
        for (pem, expected) in [
            (proc_type.as_bytes().to_vec(), PrivateKeyError::Encrypted),
            (
                pem("ENCRYPTED PRIVATE KEY", b"MARKER"),
                PrivateKeyError::Encrypted,
            ),
            (
                pem("OPENSSH PRIVATE KEY", b"MARKER"),
                PrivateKeyError::OtherFormat("OpenSSH"),
            ),
            (
                b"PuTTY-User-Key-File-3: ssh-rsa\nMARKER".to_vec(),
                PrivateKeyError::OtherFormat("PuTTY"),
            ),
            (pem("EC PRIVATE KEY", b"MARKER"), PrivateKeyError::NotRsa),
            (pem("PRIVATE KEY", b"MARKER"), PrivateKeyError::NotRsa),
            (pem("PUBLIC KEY", b"MARKER"), PrivateKeyError::Missing),
            (b"MARKER".to_vec(), PrivateKeyError::Missing),
            (Vec::new(), PrivateKeyError::Missing),
            (
                pem("RSA PRIVATE KEY", &rsa[..rsa.len() / 2]),
                PrivateKeyError::Unusable,
            ),
        ] {
            let error = PrivateKey::from_pem(&pem).expect_err("no key");
            assert_eq!(error, expected);
            let text = format!("{error} {error:?}");
            assert!(
                !text.contains("MARKER") && !text.contains("TUFSS0VS"),
                "{text}"
            );
        }
    }
}
