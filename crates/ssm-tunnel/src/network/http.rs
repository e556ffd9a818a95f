//! The HTTP client for the AWS SDK. It connects as the data channel does: one set of proxy rules and
//! of trusted certificates for every connection.

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
use ssm_relay::{ConnectError, Connection, Dialer};
use tokio::runtime::{self, Handle};
use tower_service::Service;

use super::{CaBundle, Proxy};
use crate::causes::connect_error;

/// Number of connection pools that are kept, one for each runtime and connect timeout.
const MAX_POOLS: usize = 4;

/// An HTTP client for the AWS SDK that goes through the same proxies as a tunnel's data channel, by
/// the same rules, and trusts the same certificates: these, or the system's.
pub(super) fn client(proxy: &Proxy, bundle: Option<&CaBundle>) -> SharedHttpClient {
    Client {
        dialer: Dialer::new(proxy.inner().clone(), bundle.map(|it| it.inner().clone())),
        pools: Mutex::default(),
    }
    .into_shared()
}

struct Client {
    dialer: Dialer,
    pools: Mutex<Vec<(Key, Pool)>>,
}

type Pool = Hyper<Dial, SdkBody>;

/// A connection is driven by the runtime on which it was made, so no other runtime may wait for it.
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
        if pools.len() >= MAX_POOLS {
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

/// Sends requests over one connection pool.
#[derive(Debug)]
struct Connector {
    pool: Pool,
    /// Time allowed until the head of the answer arrives.
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

/// Tells the SDK whether to retry after a failure.
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
