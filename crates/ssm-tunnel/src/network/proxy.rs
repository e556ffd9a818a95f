//! Which connections go through a proxy.

use std::ffi::OsString;

use thiserror::Error;

/// Which connections go through a proxy: those by `https` and `wss`. By `http` and `ws` only this
/// machine and the metadata services of AWS are reached, for which no proxy can stand in.
///
/// A proxy is reached by HTTP (`http://`, CONNECT) or SOCKS 5 (`socks5://`, where this machine
/// resolves the name, or `socks5h://`, where the proxy does).
#[derive(Debug, Clone, Default)]
pub struct Proxy(ssm_relay::Proxy);

/// Why a proxy setting cannot be used. The text names the variable; it shows no credentials.
#[derive(Debug, Clone, Error)]
#[error(transparent)]
pub struct ProxyError(ssm_relay::ProxyError);

impl Proxy {
    /// As the environment says: `HTTPS_PROXY`, or `ALL_PROXY`, with credentials if the URL contains
    /// them (`http://USER:PASSWORD@HOST:PORT`), except for what `NO_PROXY` lists; in lower case too.
    /// Empty variables count as unset. The default.
    ///
    /// Entries of `NO_PROXY` are separated by commas or blanks: `*`; names, which include their
    /// subdomains (`example.com`, `.example.com`) or mean only those (`*.example.com`); addresses
    /// and networks (`10.0.0.0/8`, `fd00::/8`), for hosts that are given as addresses; names and
    /// addresses with a port (`example.com:8443`).
    ///
    /// A variable that cannot be read is an error of [`check`](Self::check), and of every connection
    /// that it concerns.
    pub fn from_env() -> Self {
        Self(ssm_relay::Proxy::from_env())
    }

    /// The same with the variables of another environment.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        Self(ssm_relay::Proxy::from_variables(lookup))
    }

    /// Through the proxy at this URL, whatever the environment says.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn named(url: &str) -> Result<Self, ProxyError> {
        let proxy = ssm_relay::Proxy::named(url);
        proxy.map(Self).map_err(ProxyError)
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self(ssm_relay::Proxy::none())
    }

    /// Whether the variables could be read.
    ///
    /// # Errors
    /// With the name of the one that could not.
    pub fn check(&self) -> Result<(), ProxyError> {
        self.0.check().map_err(ProxyError)
    }

    pub(crate) fn inner(&self) -> &ssm_relay::Proxy {
        &self.0
    }
}
