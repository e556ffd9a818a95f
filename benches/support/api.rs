//! The calls to Systems Manager, answered without a service.

use std::sync::Arc;

use ssm_relay::{
    ApiError, BoxFuture, Limits, Relay, RelayConfig, SessionApi, SessionConnection, StreamEndpoint,
    Token,
};
use tokio::net::TcpListener;

/// No call here fails.
pub type Error = Arc<std::io::Error>;

/// StartSession that always answers with the same URL.
struct Api {
    url: String,
}

impl SessionApi for Api {
    type Error = Error;

    fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<Error>>> {
        let connection = SessionConnection {
            session_id: "bench-0".to_owned(),
            stream_url: self.url.clone(),
            token: Token::new("token"),
        };
        Box::pin(async move { Ok(connection) })
    }

    fn resume<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<Error>>> {
        Box::pin(async { Ok(None) })
    }

    fn terminate<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ApiError<Error>>> {
        Box::pin(async { Ok(()) })
    }
}

/// A relay whose session is at `url`, ready.
pub async fn relay(url: &str, limits: Limits, listener: Option<TcpListener>) -> Relay<Error> {
    let mut config = RelayConfig::default();
    config.endpoint = StreamEndpoint::aws().or_loopback();
    config.limits = limits;
    let api = Api {
        url: url.to_owned(),
    };
    let relay = Relay::open(config, Arc::new(api), listener.map(Into::into))
        .await
        .expect("StartSession answers");
    relay.ready().await.expect("the handshake completes");
    relay
}
