use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use zeroize::Zeroizing;

use super::{ConnectError, Connector, WebSocket};
use crate::net::proxy::Proxy;
use crate::net::stream_url::StreamEndpoint;

fn connector() -> Connector {
    Connector::new(
        StreamEndpoint::aws().or_loopback(),
        None,
        Duration::from_secs(20),
        Proxy::none(),
        None,
    )
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    (
        listener,
        format!("ws://{address}/v1/data-channel/s?role=publish_subscribe"),
    )
}

async fn open(url: &str) -> Result<WebSocket, ConnectError> {
    connector()
        .open(url, Zeroizing::new("{\"TokenValue\":\"t\"}".to_owned()))
        .await
}

/// A server that answers an upgrade with these bytes.
async fn answering(answer: &'static [u8]) -> Result<WebSocket, ConnectError> {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 4096];
        let read = tcp.read(&mut request).await.expect("a request");
        assert!(
            request[..read].starts_with(b"GET /v1/data-channel/s?role=publish_subscribe HTTP/1.1")
        );
        tcp.write_all(answer).await.expect("taken");
    });
    open(&url).await
}

#[tokio::test]
async fn first_message_is_open_data_channel_and_nagle_is_off() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let mut websocket = tokio_tungstenite::accept_async(tcp)
            .await
            .expect("an upgrade");
        websocket.next().await.expect("a message").expect("sound")
    });
    let websocket = open(&url).await.expect("opens");
    let tcp = websocket.get_ref().get_ref().tcp();
    assert!(tcp.nodelay().expect("a TCP socket"), "TCP_NODELAY is off");
    let first = server.await.expect("no panic");
    assert_eq!(first, Message::text("{\"TokenValue\":\"t\"}"));
}

#[tokio::test]
async fn a_refusal_is_reported_with_its_status_and_text() {
    let error = answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nForbidden").await;
    let error = error.expect_err("refused");
    assert!(matches!(&error, ConnectError::Refused { status: 403, text } if text == "Forbidden"));
    assert!(!error.is_retryable());
    assert!(
        error.to_string().contains("ssmmessages:OpenDataChannel"),
        "{error}"
    );
    let error = answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    assert!(error.expect_err("refused").is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_refusals_text_survives_a_body_of_any_length() {
    let words = "Forbidden: no. ".repeat(2000);
    let long = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{words}",
        words.len()
    );
    let endless = format!(
        "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{words}\r\n",
        words.len()
    );
    let stalled = "HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\nForbidden: no. ".to_owned();
    let until_closed = format!("HTTP/1.1 403 Forbidden\r\n\r\n{words}");
    for (answer, stays) in [
        (long.clone(), false),
        (long, true),
        (endless, true),
        (stalled.clone(), true),
        (stalled, false),
        (until_closed, true),
    ] {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.expect("a connection");
            let read = tcp.read(&mut [0; 4096]).await.expect("a request");
            assert!(read > 0);
            // The client may have left in the middle.
            let _ = tcp.write_all(answer.as_bytes()).await;
            if stays {
                std::future::pending::<()>().await;
            }
        });
        let error = open(&url).await.expect_err("refused");
        assert!(
            matches!(&error, ConnectError::Refused { status: 403, text } if text.starts_with("Forbidden: no.")),
            "{error}"
        );
        server.abort();
    }
}

#[tokio::test]
async fn non_websocket_answer_is_refused() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let error = answering(answer).await.expect_err("not a websocket");
        assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
    }
}

#[tokio::test]
async fn refused_connection_is_a_retryable_network_error() {
    // Bound, so that no other process can listen there.
    let taken = tokio::net::TcpSocket::new_v4().expect("a TCP socket");
    taken
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port of loopback");
    let closed = taken.local_addr().expect("bound");
    let url = format!("ws://{closed}/v1/data-channel/s");
    let error = open(&url).await.expect_err("the port is closed");
    assert!(matches!(error, ConnectError::Network { .. }), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let (listener, url) = listen().await;
    let silent = tokio::spawn(async move {
        let (tcp, _): (TcpStream, _) = listener.accept().await.expect("a connection");
        std::future::pending::<()>().await;
        drop(tcp);
    });
    let error = open(&url).await.expect_err("no answer");
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
    silent.abort();
}
