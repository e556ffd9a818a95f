//! Connects through a proxy: CONNECT (RFC 9110, section 9.3.6), or SOCKS 5 (RFC 1928).

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::variable::shown;
use crate::net::error::{ConnectError, is_passing};

/// Has the proxy connect to `host` (host and port).
pub(crate) async fn connect(proxy: &Intercept, host: &str) -> Result<TcpStream, ConnectError> {
    let uri = proxy.uri();
    let failed = |reason: String, retryable: bool| ConnectError::Proxy {
        proxy: shown(proxy),
        host: host.to_owned(),
        reason,
        retryable,
    };
    let name = uri.host().unwrap_or_default();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((bare.to_owned(), uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| {
            let reason =
                format!("{error}; check HTTPS_PROXY (or ALL_PROXY), or name the host in NO_PROXY");
            failed(reason, true)
        })?;
    if uri.scheme_str() != Some("http") {
        return socks(proxy, tcp, host)
            .await
            .map_err(|(reason, retryable)| failed(reason, retryable));
    }
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

/// SOCKS 5 (RFC 1928). An error is its reason, and whether another attempt may succeed.
async fn socks(proxy: &Intercept, tcp: TcpStream, host: &str) -> Result<TcpStream, (String, bool)> {
    let uri = proxy.uri();
    // With `socks5`, unlike `socks5h`, the proxy gets an address.
    let destination = match uri.scheme_str() {
        Some("socks5") => {
            let mut addresses = tokio::net::lookup_host(host)
                .await
                .map_err(|error| (format!("the host does not resolve here: {error}; socks5h:// has the proxy resolve it"), true))?;
            let address = addresses
                .next()
                .ok_or(("the host has no address".to_owned(), true))?;
            address.to_string()
        }
        _ => host.to_owned(),
    };
    let destination = Uri::builder()
        .scheme("https")
        .authority(destination)
        .path_and_query("/")
        .build()
        .map_err(|error| (format!("the host is no authority: {error}"), false))?;
    let mut socks = SocksV5::new(uri.clone(), Given(Some(TokioIo::new(tcp))));
    if let Some((user, password)) = proxy.raw_auth() {
        socks = socks.with_auth(user.to_owned(), password.to_owned());
    }
    match socks.call(destination).await {
        Ok(connection) => Ok(connection.into_inner()),
        Err(error) => {
            let refusal = error.to_string();
            // The library's types for these errors are not public.
            let about_credentials = refusal.contains("credentials") || refusal.contains("auth");
            Err(match about_credentials {
                true => (
                    "it does not accept the credentials: put them into the variable as socks5://USER:PASSWORD@HOST:PORT".to_owned(),
                    false,
                ),
                false => (refusal, true),
            })
        }
    }
}

/// An open connection, where the library expects a connector.
struct Given(Option<TokioIo<TcpStream>>);

impl Service<Uri> for Given {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or(io::ErrorKind::NotConnected.into()))
    }
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

/// What a refusal means, and what to do.
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
