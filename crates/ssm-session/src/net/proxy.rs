//! Which connections go through a proxy, and which one.

mod connect;
mod no_proxy;
pub(super) mod variable;

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Intercept;
use url::Url;

pub(crate) use connect::connect;
use no_proxy::NoProxy;
pub use variable::ProxyError;
pub(super) use variable::shown;

/// Most specific first; where both are set, the one in lower case counts, as for curl and the AWS CLI.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Which connections go through a proxy: those with `https` and `wss`. `http` and `ws` reach only this
/// machine and AWS's metadata services, for which a proxy would be wrong.
///
/// The proxy may be an HTTP proxy (`http://`, CONNECT) or a SOCKS 5 proxy (`socks5://`, where this
/// machine resolves the name, or `socks5h://`, where the proxy does).
#[derive(Clone)]
pub struct Proxy(Arc<Rules>);

struct Rules {
    proxy: Result<Option<Intercept>, ProxyError>,
    except: NoProxy,
}

impl Proxy {
    /// The proxy of the environment: `HTTPS_PROXY`, or `ALL_PROXY`, with credentials if they contain
    /// them (`http://USER:PASSWORD@HOST:PORT`), except for hosts that `NO_PROXY` lists; in lower case
    /// too. Empty variables count as unset. The default.
    ///
    /// `NO_PROXY` is a list of entries separated by commas or blanks: `*`; names, which match their
    /// subdomains too (`example.com`, `.example.com`) or only these (`*.example.com`); addresses and
    /// networks (`10.0.0.0/8`, `fd00::/8`), which match hosts given as addresses; names and addresses
    /// with a port (`example.com:8443`).
    ///
    /// A variable that cannot be read is an error of [`check`](Self::check), and of every connection
    /// that would use it.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// Same as [`from_env`](Self::from_env), with variables from `lookup`.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let proxy = variable::first(&VARIABLES, &lookup)
            .map(|(variable, value)| variable::read(variable, value))
            .transpose();
        let except = match variable::first(&EXCEPTIONS, &lookup) {
            Some((_, list)) => NoProxy::read(&list.to_string_lossy()),
            None => NoProxy::default(),
        };
        Self::of(proxy, except)
    }

    /// This proxy, whatever the environment says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn named(url: &str) -> Result<Self, ProxyError> {
        let proxy = variable::read("the proxy's URL", url.into())?;
        Ok(Self::of(Ok(Some(proxy)), NoProxy::default()))
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self::of(Ok(None), NoProxy::default())
    }

    /// Whether the variables could be read.
    ///
    /// # Errors
    /// Names the variable that could not.
    pub fn check(&self) -> Result<(), ProxyError> {
        self.0.proxy.as_ref().map(drop).map_err(Clone::clone)
    }

    fn of(proxy: Result<Option<Intercept>, ProxyError>, except: NoProxy) -> Self {
        Self(Arc::new(Rules { proxy, except }))
    }

    /// The proxy between here and a URL's host.
    pub(crate) fn before(&self, url: &Url) -> Result<Option<&Intercept>, ProxyError> {
        if !matches!(url.scheme(), "wss" | "https") {
            return Ok(None);
        }
        let port = url.port_or_known_default().unwrap_or(443);
        let direct = url
            .host()
            .is_some_and(|host| self.0.except.contains(&host, port));
        if direct {
            return Ok(None);
        }
        match &self.0.proxy {
            Ok(proxy) => Ok(proxy.as_ref()),
            Err(error) => Err(error.clone()),
        }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::from_env()
    }
}

/// Does not show the proxy's credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = self.0.proxy.as_ref().map(|proxy| proxy.as_ref().map(shown));
        f.debug_struct("Proxy")
            .field("proxy", &proxy)
            .field("except", &self.0.except)
            .finish()
    }
}

#[cfg(test)]
mod tests;
