use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use super::*;

const HOST: &str = "ssmmessages.us-east-1.amazonaws.com:443";

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}

fn stream_url() -> Url {
    url(&format!("wss://{HOST}/v1/data-channel/s"))
}

fn proxy(address: &str, exceptions: &str) -> Proxy {
    Proxy::matching(Matcher::builder().https(address).no(exceptions).build())
}

/// A proxy that gives this answer, and what it was asked.
async fn answering(answer: &'static [u8]) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let asked = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(tcp.read_u8().await.expect("a request"));
        }
        tcp.write_all(answer).await.expect("taken");
        let mut rest = Vec::new();
        tcp.read_to_end(&mut rest).await.expect("an end");
        String::from_utf8([request, rest].concat()).expect("text")
    });
    (address, asked)
}

async fn refused(answer: &'static [u8]) -> ConnectError {
    let (address, _asked) = answering(answer).await;
    let through = proxy(&format!("http://user:planted-marker@{address}"), "");
    let through = through.before(&stream_url()).expect("a proxy");
    let error = connect(&through, HOST).await.expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("planted-marker"));
    error
}

#[tokio::test]
async fn asks_for_the_host_with_the_credentials_and_hands_the_connection_over() {
    let (address, asked) = answering(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    let through = proxy(&format!("http://user:p%40ss@{address}"), "");
    let through = through.before(&stream_url()).expect("a proxy");
    let mut tcp = connect(&through, HOST).await.expect("let through");
    tcp.write_all(b"hello").await.expect("taken");
    drop(tcp);
    let asked = asked.await.expect("no panic").to_lowercase();
    assert!(
        asked.starts_with(&format!("connect {HOST} http/1.1\r\n")),
        "{asked}"
    );
    assert!(asked.contains(&format!("host: {HOST}\r\n")), "{asked}");
    // The Base64 of "user:p@ss", in lower case as the rest.
    assert!(
        asked.contains("proxy-authorization: basic dxnlcjpwqhnz\r\n"),
        "{asked}"
    );
    assert!(asked.ends_with("hello"), "{asked}");
}

#[tokio::test]
async fn says_what_a_refusal_means_and_whether_another_attempt_may_help() {
    for answer in [
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n".as_slice(),
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
    ] {
        let error = refused(answer).await;
        let text = error.to_string();
        assert!(
            text.contains("HTTPS_PROXY as http://USER:PASSWORD@"),
            "{text}"
        );
        assert!(!error.is_retryable());
    }
    let error = refused(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    assert!(
        error.to_string().contains("its rules forbid it (HTTP 403)"),
        "{error}"
    );
    assert!(error.to_string().contains(HOST), "{error}");
    assert!(!error.is_retryable());
    let error = refused(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert!(error.is_retryable(), "{error}");
    let error = refused(b"what?\r\n\r\n").await;
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_without_its_credentials() {
    // Taken, so that nobody else can listen there.
    let taken = TcpSocket::new_v4().expect("a TCP socket");
    taken
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port of loopback");
    let address = taken.local_addr().expect("bound");
    let through = proxy(&format!("http://user:planted-marker@{address}"), "");
    let through = through.before(&stream_url()).expect("a proxy");
    let error = connect(&through, HOST).await.expect_err("nobody there");
    assert!(
        error
            .to_string()
            .contains(&format!("the proxy http://{address} did not")),
        "{error}"
    );
    assert!(error.to_string().contains("check HTTPS_PROXY"), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted-marker"));
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_refused_for_good() {
    let through = proxy("socks5h://127.0.0.1:1", "").before(&stream_url());
    let error = connect(&through.expect("a proxy"), HOST)
        .await
        .expect_err("not http");
    assert!(error.to_string().contains("http://HOST:PORT"), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn exceptions_and_this_machine_are_reached_directly() {
    let some = proxy("http://127.0.0.1:1", "amazonaws.com");
    assert!(some.before(&stream_url()).is_none());
    assert!(some.before(&url("wss://example.com/x")).is_some());
    assert!(some.before(&url("ws://127.0.0.1:1/x")).is_none());
    assert!(Proxy::none().before(&stream_url()).is_none());
    let shown = format!("{:?}", proxy("http://user:planted-marker@127.0.0.1:1", ""));
    assert!(!shown.contains("planted-marker"), "{shown}");
}
