use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use super::*;
use crate::net::error::ConnectError;

const HOST: &str = "ssmmessages.us-east-1.amazonaws.com:443";

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}

fn stream_url() -> Url {
    url(&format!("wss://{HOST}/v1/data-channel/s"))
}

fn proxy(address: &str, exceptions: &str) -> Proxy {
    with(&[("HTTPS_PROXY", address), ("NO_PROXY", exceptions)])
}

fn with(variables: &[(&str, &str)]) -> Proxy {
    Proxy::from_variables(|name| {
        let set = variables.iter().find(|(set, _)| *set == name)?;
        Some(set.1.into())
    })
}

fn before<'a>(proxy: &'a Proxy, url: &Url) -> Option<&'a Intercept> {
    proxy.before(url).expect("readable")
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
    let through = before(&through, &stream_url()).expect("a proxy");
    let error = connect(through, HOST).await.expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("planted-marker"));
    error
}

#[tokio::test]
async fn connect_sends_credentials_and_returns_the_connection() {
    let (address, asked) = answering(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    let through = proxy(&format!("http://user:p%40ss@{address}"), "");
    let through = before(&through, &stream_url()).expect("a proxy");
    let mut tcp = connect(through, HOST).await.expect("let through");
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
async fn refusal_names_its_meaning_and_whether_to_retry() {
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
async fn absent_proxy_is_named_without_credentials() {
    // Bound, so that no other process can listen there.
    let taken = TcpSocket::new_v4().expect("a TCP socket");
    taken
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port of loopback");
    let address = taken.local_addr().expect("bound");
    let through = proxy(&format!("http://user:planted-marker@{address}"), "");
    let through = before(&through, &stream_url()).expect("a proxy");
    let error = connect(through, HOST)
        .await
        .expect_err("the port is closed");
    assert!(
        error
            .to_string()
            .contains(&format!("the proxy http://{address} did not")),
        "{error}"
    );
    assert!(error.to_string().contains("check HTTPS_PROXY"), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted-marker"));
}

#[test]
fn a_proxy_of_another_kind_is_refused_for_good() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        for value in [
            "socks4://u:planted-marker@127.0.0.1:1",
            "https://u:planted-marker@127.0.0.1:1",
            "http://u:planted/marker@127.0.0.1:1",
        ] {
            let proxy = with(&[(variable, value)]);
            let error = proxy.check().expect_err(value);
            assert_eq!(error.variable, variable);
            assert!(error.to_string().contains(variable), "{error}");
            // Nothing bypasses it.
            let error = proxy.before(&stream_url()).expect_err(value);
            let error = ConnectError::from(error);
            assert!(!error.is_retryable());
            let shown = format!("{proxy:?} {error:?} {error}");
            assert!(!shown.contains("marker"), "{shown}");
        }
    }
}

#[test]
fn the_most_specific_variable_with_a_value_counts() {
    let uri = |variables: &[(&str, &str)]| before(&with(variables), &stream_url()).map(shown);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(uri(&[]), None);
    assert_eq!(uri(&[("HTTPS_PROXY", "")]), None);
    assert_eq!(uri(&[("HTTP_PROXY", "http://h:1")]), None);
    assert_eq!(uri(&[("ALL_PROXY", "http://a:1")]), some("http://a:1"));
    assert_eq!(
        uri(&[("all_proxy", "socks5h://a:1")]),
        some("socks5h://a:1")
    );
    let all = ("ALL_PROXY", "nonsense://");
    assert_eq!(
        uri(&[all, ("HTTPS_PROXY", "http://s:1")]),
        some("http://s:1")
    );
    let upper = ("HTTPS_PROXY", "http://upper:1");
    let lower = ("https_proxy", "http://lower:1");
    assert_eq!(uri(&[upper, lower]), some("http://lower:1"));
    assert_eq!(uri(&[upper, ("https_proxy", "")]), some("http://upper:1"));
    assert_eq!(uri(&[upper, ("no_proxy", ""), ("NO_PROXY", "*")]), None);
}

#[test]
fn exceptions_and_this_machine_are_reached_directly() {
    let some = proxy("http://127.0.0.1:1", "amazonaws.com, example.net:443");
    assert!(before(&some, &stream_url()).is_none());
    assert!(before(&some, &url("wss://example.com/x")).is_some());
    assert!(before(&some, &url("https://example.net/x")).is_none());
    assert!(before(&some, &url("https://example.net:8443/x")).is_some());
    assert!(before(&some, &url("ws://127.0.0.1:1/x")).is_none());
    assert!(before(&some, &url("http://169.254.169.254/x")).is_none());
    assert!(before(&Proxy::none(), &stream_url()).is_none());
    // What NO_PROXY lists does not need the proxy to be readable.
    let unreadable = proxy("nonsense://", "amazonaws.com");
    assert!(before(&unreadable, &stream_url()).is_none());
    unreadable
        .before(&url("wss://example.com/x"))
        .expect_err("unreadable");
    let named = Proxy::named("http://proxy:1").expect("a proxy");
    assert!(before(&named, &stream_url()).is_some());
    Proxy::named("nonsense://").expect_err("unknown");
    let shown = format!("{:?}", proxy("http://user:planted-marker@127.0.0.1:1", ""));
    assert!(!shown.contains("planted-marker"), "{shown}");
}

/// A SOCKS 5 proxy that takes this user and password, or none, and answers each request with this
/// status (RFC 1928, RFC 1929); what it was asked to connect to.
async fn socks(
    user: Option<(&'static str, &'static str)>,
    status: u8,
) -> (String, JoinHandle<(Vec<u8>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let asked = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let version = tcp.read_u8().await.expect("a version");
        let mut methods = vec![0; usize::from(tcp.read_u8().await.expect("a number"))];
        tcp.read_exact(&mut methods).await.expect("methods");
        let method = if user.is_some() { 2 } else { 0 };
        assert!(version == 5 && methods.contains(&method), "{methods:?}");
        tcp.write_all(&[5, method]).await.expect("taken");
        if let Some((user, password)) = user {
            assert_eq!(tcp.read_u8().await.expect("a version"), 1);
            let mut read = Vec::new();
            for _ in 0..2 {
                let mut bytes = vec![0; usize::from(tcp.read_u8().await.expect("a length"))];
                tcp.read_exact(&mut bytes).await.expect("a text");
                read.push(String::from_utf8(bytes).expect("UTF-8"));
            }
            assert_eq!(read, [user, password]);
            tcp.write_all(&[1, 0]).await.expect("taken");
        }
        let mut head = [0; 4];
        tcp.read_exact(&mut head).await.expect("a request");
        let [5, 1, 0, kind] = head else {
            panic!("{head:?}");
        };
        let length = match kind {
            1 => 4,
            4 => 16,
            _ => tcp.read_u8().await.expect("a length"),
        };
        let mut destination = vec![0; usize::from(length) + 2];
        tcp.read_exact(&mut destination)
            .await
            .expect("a destination");
        let answer = [5, status, 0, 1, 0, 0, 0, 0, 0, 0];
        tcp.write_all(&answer).await.expect("taken");
        let mut rest = String::new();
        let _ = tcp.read_to_string(&mut rest).await;
        (destination, rest)
    });
    (address, asked)
}

#[tokio::test]
async fn socks_proxy_is_asked_for_the_host() {
    for (user, prefix) in [
        (None, ""),
        (Some((r"DOMAIN\user", "p@ss")), r"DOMAIN\user:p@ss@"),
    ] {
        let (address, asked) = socks(user, 0).await;
        let proxy = with(&[("ALL_PROXY", &format!("socks5h://{prefix}{address}"))]);
        let through = before(&proxy, &stream_url()).expect("a proxy");
        let mut tcp = connect(through, HOST).await.expect("let through");
        tcp.write_all(b"hello").await.expect("taken");
        drop(tcp);
        let (destination, rest) = asked.await.expect("no panic");
        let name = HOST.split(':').next().expect("a name");
        assert_eq!(
            destination,
            [name.as_bytes(), &443_u16.to_be_bytes()].concat()
        );
        assert_eq!(rest, "hello");
    }
    // With socks5 the name is resolved here.
    let (address, asked) = socks(None, 0).await;
    let proxy = with(&[("HTTPS_PROXY", &format!("socks5://{address}"))]);
    let through = before(&proxy, &stream_url()).expect("a proxy");
    drop(
        connect(through, "127.0.0.1:8443")
            .await
            .expect("let through"),
    );
    let (destination, _) = asked.await.expect("no panic");
    assert_eq!(destination, [127, 0, 0, 1, 0x20, 0xfb]);
}

#[tokio::test]
async fn refusing_socks_proxy_is_named_without_credentials() {
    let (address, _asked) = socks(None, 2).await;
    let proxy = with(&[("ALL_PROXY", &format!("socks5h://{address}"))]);
    let through = before(&proxy, &stream_url()).expect("a proxy");
    let error = connect(through, HOST).await.expect_err("refused");
    let text = error.to_string();
    assert!(
        text.contains(&format!("the proxy socks5h://{address} did not")),
        "{text}"
    );
    assert!(text.contains(HOST), "{text}");
    // A proxy that wants a password and gets none.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let _refusing = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let _ = tcp.read_exact(&mut [0; 3]).await;
        let _ = tcp.write_all(&[5, 0xff]).await;
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    let proxy = with(&[(
        "ALL_PROXY",
        &format!("socks5h://u:planted-marker@{address}"),
    )]);
    let through = before(&proxy, &stream_url()).expect("a proxy");
    let error = connect(through, HOST).await.expect_err("refused");
    assert!(error.to_string().contains("USER:PASSWORD"), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted-marker"));
}
