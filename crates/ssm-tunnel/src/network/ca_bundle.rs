//! Certificates to trust instead of the system's.

use std::path::Path;

use thiserror::Error;

/// Root certificates to trust **instead of** the system's, as the AWS CLI does with
/// `AWS_CA_BUNDLE`: those of a company whose proxy replaces certificates, or of a private VPC
/// endpoint.
#[derive(Debug, Clone)]
pub struct CaBundle(ssm_relay::CaBundle);

/// Why a certificate bundle cannot be used.
#[derive(Debug, Clone, Error)]
#[error(transparent)]
pub struct CaBundleError(ssm_relay::CaBundleError);

impl CaBundle {
    /// The certificates in a PEM text.
    ///
    /// # Errors
    /// When there are none, or one cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CaBundleError> {
        let bundle = ssm_relay::CaBundle::from_pem(pem);
        bundle.map(Self).map_err(CaBundleError)
    }

    /// The certificates in a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no certificate.
    pub fn read(path: &Path) -> Result<Self, CaBundleError> {
        let bundle = ssm_relay::CaBundle::read(path);
        bundle.map(Self).map_err(CaBundleError)
    }

    /// The bundle that `AWS_CA_BUNDLE` names; `None` when it is unset or empty. A program reads the
    /// file once, however many tunnels use it.
    ///
    /// # Errors
    /// When that file cannot be read or holds no certificate: going on with others would hide the
    /// mistake.
    pub fn from_env() -> Result<Option<Self>, CaBundleError> {
        let bundle = ssm_relay::CaBundle::from_env().map_err(CaBundleError)?;
        Ok(bundle.map(Self))
    }

    /// The PEM text of the certificates.
    pub fn pem(&self) -> &[u8] {
        self.0.pem()
    }

    pub(crate) fn inner(&self) -> &ssm_relay::CaBundle {
        &self.0
    }
}
