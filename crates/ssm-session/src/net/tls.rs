//! Which certificates are trusted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
pub use ssm_aws::CaBundleError;
use ssm_aws::Certificates;

/// Environment variable with the path of a bundle (AWS SDKs and Tools Reference Guide, "General
/// configuration settings").
const VARIABLE: &str = "AWS_CA_BUNDLE";

/// Root certificates to trust **instead of** the system's, as the AWS CLI does with
/// `AWS_CA_BUNDLE`: those of a company whose proxy replaces certificates, or of a private VPC
/// endpoint.
#[derive(Clone)]
pub struct CaBundle(Arc<Bundle>);

struct Bundle {
    pem: Arc<[u8]>,
    roots: Arc<RootCertStore>,
    /// Created once, so that reconnecting resumes TLS sessions.
    config: OnceLock<Arc<ClientConfig>>,
}

impl CaBundle {
    /// The certificates in a PEM text.
    ///
    /// # Errors
    /// When there are none, or one cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CaBundleError> {
        Self::of(Certificates::from_pem(pem)?)
    }

    fn of(certificates: Certificates) -> Result<Self, CaBundleError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates.iter() {
            roots.add(certificate.clone()).map_err(|error| {
                let reason = Some(error.to_string());
                CaBundleError::NoCertificate { reason }
            })?;
        }
        Ok(Self(Arc::new(Bundle {
            pem: certificates.pem().clone(),
            roots: Arc::new(roots),
            config: OnceLock::new(),
        })))
    }

    /// The certificates in a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or contains none.
    pub fn read(path: &Path) -> Result<Self, CaBundleError> {
        Self::of(Certificates::read(path)?)
    }

    /// The bundle that `AWS_CA_BUNDLE` names; `None` when it is unset or empty. A program reads the
    /// file once, so that a thousand tunnels share it.
    ///
    /// # Errors
    /// When that file cannot be read or contains no certificate: falling back to others would hide the
    /// mistake.
    pub fn from_env() -> Result<Option<Self>, CaBundleError> {
        static READ: Mutex<Option<(PathBuf, CaBundle)>> = Mutex::new(None);
        let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let path = PathBuf::from(path);
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, bundle)) = &*read
            && *of == path
        {
            return Ok(Some(bundle.clone()));
        }
        let bundle = Self::read(&path)?;
        *read = Some((path, bundle.clone()));
        Ok(Some(bundle))
    }

    /// The PEM text, for the trust store of an AWS SDK client.
    pub fn pem(&self) -> &[u8] {
        &self.0.pem
    }
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaBundle")
            .field("certificates", &self.0.roots.len())
            .finish_non_exhaustive()
    }
}

/// The settings of every TLS connection with these roots, or with the system's.
pub(crate) fn client_config(bundle: Option<&CaBundle>) -> Result<Arc<ClientConfig>, String> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let cell = bundle.map_or(&SYSTEM, |bundle| &bundle.0.config);
    if let Some(config) = cell.get() {
        return Ok(config.clone());
    }
    let roots = match bundle {
        Some(bundle) => bundle.0.roots.clone(),
        None => Arc::new(system_roots()?),
    };
    let config = with_roots(roots)?;
    Ok(cell.get_or_init(|| config).clone())
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("the system has no root certificates".to_owned());
    }
    Ok(roots)
}

fn with_roots(roots: Arc<RootCertStore>) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundle_without_certificates_is_refused_with_a_remedy() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "not PEM at all", broken] {
            let error = CaBundle::from_pem(text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains("must be PEM"), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let path = Path::new("no-such-folder/bundle.pem");
        let error = CaBundle::read(path).expect_err("not there");
        let text = error.to_string();
        assert!(
            text.contains("bundle.pem") && text.contains("AWS_CA_BUNDLE"),
            "{text}"
        );
    }
}
