//! The way through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::websocket::{ConnectError, is_passing};

/// Which connections go through a proxy. Those to plain `ws` endpoints, which are on this machine,
/// never do.
#[derive(Clone)]
pub struct Proxy(Option<Arc<Matcher>>);

impl Proxy {
    /// As the environment says: `HTTPS_PROXY` or `ALL_PROXY`, with credentials if they stand in it
    /// (`http://USER:PASSWORD@HOST:PORT`), except for what `NO_PROXY` lists; in lower case too. The
    /// AWS SDK goes by the same variables and rules. The default.
    pub fn from_env() -> Self {
        Self::matching(Matcher::from_env())
    }

    /// None, whatever the environment says.
    pub fn none() -> Self {
        Self(None)
    }

    pub(crate) fn matching(matcher: Matcher) -> Self {
        Self(Some(Arc::new(matcher)))
    }

    /// The proxy between here and a URL's host.
    pub(crate) fn before(&self, url: &Url) -> Option<Intercept> {
        if !matches!(url.scheme(), "wss" | "https") {
            return None;
        }
        let destination = Uri::builder()
            .scheme("https")
            .authority(authority(url))
            .path_and_query("/")
            .build();
        self.0.as_ref()?.intercept(&destination.ok()?)
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
        f.debug_tuple("Proxy").field(&self.0).finish()
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or(443))
}

/// The proxy's URL, without credentials.
pub(crate) fn shown(proxy: &Intercept) -> String {
    proxy.uri().to_string().trim_end_matches('/').to_owned()
}

/// Has the proxy connect to `host` (host and port).
pub(crate) async fn connect(proxy: &Intercept, host: &str) -> Result<TcpStream, ConnectError> {
    let uri = proxy.uri();
    let failed = |reason: String, retryable: bool| ConnectError::Proxy {
        proxy: shown(proxy),
        host: host.to_owned(),
        reason,
        retryable,
    };
    if uri.scheme_str() != Some("http") {
        let reason = "only proxies that are spoken to by plain http can be used: http://HOST:PORT";
        return Err(failed(reason.to_owned(), false));
    }
    let name = uri.host().unwrap_or_default();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((bare.to_owned(), uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| {
            let reason = format!("{error}; check HTTPS_PROXY, or name the host in NO_PROXY");
            failed(reason, true)
        })?;
    let request = request(host, proxy.basic_auth())
        .map_err(|error| failed(format!("the host is no authority: {error}"), false))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp))
        .await
        .map_err(|error| failed(error.to_string(), true))?;
    // The connection must be driven while the exchange waits for it.
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(Refusal::Http)?;
        if !response.status().is_success() {
            return Err(Refusal::Status(response.status()));
        }
        hyper::upgrade::on(response).await.map_err(Refusal::Http)
    };
    let (upgraded, _) = tokio::join!(exchange, connection.with_upgrades());
    let upgraded: Upgraded = upgraded.map_err(|refusal| match refusal {
        Refusal::Http(error) => failed(error.to_string(), true),
        Refusal::Status(status) => failed(meaning(status), is_passing(status.as_u16())),
    })?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| failed("the connection was not handed back".to_owned(), true))?;
    if !parts.read_buf.is_empty() {
        return Err(failed("it sent bytes of its own".to_owned(), true));
    }
    Ok(parts.io.into_inner())
}

enum Refusal {
    Http(hyper::Error),
    Status(StatusCode),
}

fn request(host: &str, auth: Option<&HeaderValue>) -> http::Result<Request<Empty<Bytes>>> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(host)
        .header(HOST, host);
    if let Some(auth) = auth {
        request = request.header(PROXY_AUTHORIZATION, auth);
    }
    request.body(Empty::new())
}

/// What an answer means, and what to do.
fn meaning(status: StatusCode) -> String {
    match status {
        // tinyproxy answers a wrong password with 401.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => {
            "it does not accept the credentials: put them into HTTPS_PROXY as http://USER:PASSWORD@HOST:PORT".to_owned()
        }
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => format!(
            "its rules forbid it (HTTP {}): have the host and CONNECT to its port allowed, or name the host in NO_PROXY if it can be reached directly",
            status.as_u16()
        ),
        status => format!("HTTP {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests;
