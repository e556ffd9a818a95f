//! HTTP for the AWS SDK, on the way that the data channel takes: one set of proxy rules and of trusted
//! certificates for every connection.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::shared::IntoShared as _;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ssm_relay::{CaBundle, ConnectError, Connection, Dialer, Proxy};
use tokio::runtime::{self, Handle};
use tower_service::Service;

/// Idle connections of so many runtimes and settings are kept.
const MOST_POOLS: usize = 4;

/// An HTTP client for the AWS SDK that trusts these root certificates instead of the system's, and
/// goes through the proxies of the environment.
///
/// The AWS SDK for Rust does not read `AWS_CA_BUNDLE`; `ssm_aws::Loader` does. A program that makes
/// its SDK configuration otherwise gives it this client, so that signing in (SSO, AssumeRole, MFA)
/// gets through as well:
///
/// ```no_run
/// # async fn run() -> Result<(), ssm_tunnel::CaBundleError> {
/// use ssm_tunnel::{CaBundle, Proxy};
///
/// let bundle = CaBundle::from_env()?;
/// let client = ssm_tunnel::http_client_through(&Proxy::from_env(), bundle.as_ref());
/// let loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
/// let config = loader.http_client(client).load().await;
/// # Ok(())
/// # }
/// ```
pub fn http_client(bundle: &CaBundle) -> SharedHttpClient {
    http_client_through(&Proxy::from_env(), Some(bundle))
}

/// An HTTP client for the AWS SDK that goes through the same proxies as a tunnel's data channel, by
/// the same rules ([`Proxy`]), and trusts the same certificates: these, or the system's.
///
/// The SDK's own client reads the same variables by rules of its own: it goes past a proxy that it
/// cannot read, and knows no ports in `NO_PROXY`.
pub fn http_client_through(proxy: &Proxy, bundle: Option<&CaBundle>) -> SharedHttpClient {
    Client {
        dialer: Dialer::new(proxy.clone(), bundle.cloned()),
        pools: Mutex::default(),
    }
    .into_shared()
}

struct Client {
    dialer: Dialer,
    pools: Mutex<Vec<(Key, Pool)>>,
}

type Pool = Hyper<Dial, SdkBody>;

/// Connections are driven by the runtime that they were made on: another one must not wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    runtime: Option<runtime::Id>,
    connect_timeout: Option<Duration>,
}

impl Client {
    fn pool(&self, key: Key) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools.iter().find(|(same, _)| *same == key) {
            return pool.clone();
        }
        let pool = Hyper::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(Dial {
                dialer: self.dialer.clone(),
                timeout: key.connect_timeout,
            });
        if pools.len() >= MOST_POOLS {
            pools.remove(0);
        }
        pools.push((key, pool.clone()));
        pool
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let key = Key {
            runtime: Handle::try_current().ok().map(|handle| handle.id()),
            connect_timeout: settings.connect_timeout(),
        };
        SharedHttpConnector::new(Connector {
            pool: self.pool(key),
            read_timeout: settings.read_timeout(),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.dialer).finish()
    }
}

/// Sends requests over one pool.
#[derive(Debug)]
struct Connector {
    pool: Pool,
    /// Until the head of the answer.
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let sending = self.pool.request(request);
        let read_timeout = self.read_timeout;
        HttpConnectorFuture::new(async move {
            let answer = match read_timeout {
                Some(limit) => tokio::time::timeout(limit, sending).await.map_err(|_| {
                    let late = io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("HTTP read timeout occurred after {limit:?}"),
                    );
                    ConnectorError::timeout(late.into())
                })?,
                None => sending.await,
            };
            let answer = answer.map_err(failure)?.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// What the SDK is to make of a failure: whether it tries again.
fn failure(error: hyper_util::client::legacy::Error) -> ConnectorError {
    let kind = match connect_error(&error) {
        Some(ConnectError::Timeout { .. }) => return ConnectorError::timeout(error.into()),
        Some(error) if error.is_retryable() => Some(true),
        Some(ConnectError::Tls { .. }) => None,
        Some(_) => Some(false),
        // The connection broke.
        None => Some(true),
    };
    match kind {
        Some(true) if error.is_connect() => ConnectorError::io(error.into()),
        Some(true) => ConnectorError::other(error.into(), Some(ErrorKind::TransientError)),
        Some(false) => ConnectorError::user(error.into()),
        None => ConnectorError::other(error.into(), None),
    }
}

/// Why there is no connection, where that is at an error's root.
pub(crate) fn connect_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a ConnectError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Connects for hyper.
#[derive(Debug, Clone)]
struct Dial {
    dialer: Dialer,
    timeout: Option<Duration>,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Connection>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { dialer, timeout } = self.clone();
        Box::pin(async move {
            let url = uri.to_string();
            let connecting = dialer.connect(&url);
            let connection = match timeout {
                Some(after) => tokio::time::timeout(after, connecting)
                    .await
                    .map_err(|_| {
                        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
                        ConnectError::Timeout { host, after }
                    })??,
                None => connecting.await?,
            };
            Ok(TokioIo::new(connection))
        })
    }
}

#[cfg(test)]
mod tests;
