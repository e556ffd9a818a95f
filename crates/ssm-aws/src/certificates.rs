//! Certificates in PEM files, as `AWS_CA_BUNDLE` names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;

/// The certificates of a PEM text, at least one, and the text itself.
#[derive(Debug, Clone)]
pub struct Certificates {
    pem: Arc<[u8]>,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file is no certificate bundle.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CaBundleError {
    /// It cannot be read.
    #[error("the certificate bundle {} cannot be read: {error}; check AWS_CA_BUNDLE", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
    /// It holds no certificate that can be used.
    #[error(
        "the certificate bundle holds no usable certificate{}: it must be PEM, with BEGIN CERTIFICATE lines", because(.reason)
    )]
    NoCertificate {
        /// What is wrong, where one was found.
        reason: Option<String>,
    },
}

/// A reason in brackets, where there is one.
pub(crate) fn because(reason: &Option<String>) -> String {
    reason
        .as_ref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default()
}

impl Certificates {
    /// The certificates in a PEM text.
    ///
    /// # Errors
    /// When there are none, or one cannot be read.
    pub fn from_pem(pem: impl Into<Arc<[u8]>>) -> Result<Self, CaBundleError> {
        let pem = pem.into();
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                Err(CaBundleError::NoCertificate { reason: None })
            }
            Ok(certificates) => Ok(Self { pem, certificates }),
            Err(error) => Err(CaBundleError::NoCertificate {
                reason: Some(error.to_string()),
            }),
        }
    }

    /// The certificates in a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or holds none.
    pub fn read(path: &Path) -> Result<Self, CaBundleError> {
        let pem = std::fs::read(path).map_err(|error| CaBundleError::Unreadable {
            path: path.to_owned(),
            error: Arc::new(error),
        })?;
        Self::from_pem(pem)
    }

    /// The text.
    pub fn pem(&self) -> &Arc<[u8]> {
        &self.pem
    }

    /// The certificates in it.
    pub fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.certificates.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_certificates_are_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n";
        for text in ["", "not PEM at all", broken] {
            let error = Certificates::from_pem(text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains("must be PEM"), "{error}");
        }
    }

    #[test]
    fn unreadable_files_are_named() {
        let error = Certificates::read(Path::new("no-such-folder/bundle.pem"));
        let text = error.expect_err("not there").to_string();
        assert!(
            text.contains("bundle.pem") && text.contains("AWS_CA_BUNDLE"),
            "{text}"
        );
    }
}
