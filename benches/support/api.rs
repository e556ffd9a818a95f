use std::sync::Arc;

use ssm_relay::{
    ApiError, BoxFuture, Limits, Relay, RelayConfig, SessionApi, StreamEndpoint, Ticket, Token,
};
use tokio::net::TcpListener;

/// StartSession that always answers with the same URL.
struct Api {
    url: String,
}

impl SessionApi for Api {
    fn start(&self) -> BoxFuture<'_, Result<Ticket, ApiError>> {
        let ticket = Ticket {
            session_id: "bench-0".to_owned(),
            stream_url: self.url.clone(),
            token: Token::new("token"),
        };
        Box::pin(async move { Ok(ticket) })
    }

    fn resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Ticket>, ApiError>> {
        Box::pin(async { Ok(None) })
    }

    fn terminate<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A relay whose session is at `url`, ready.
pub async fn relay(url: &str, limits: Limits, listener: Option<TcpListener>) -> Relay {
    let config = RelayConfig {
        endpoint: StreamEndpoint::aws().or_loopback(),
        limits,
        ..RelayConfig::default()
    };
    let api = Api {
        url: url.to_owned(),
    };
    let relay = Relay::open(config, Arc::new(api), listener.map(Into::into))
        .await
        .expect("StartSession answers");
    relay.ready().await.expect("the handshake completes");
    relay
}
