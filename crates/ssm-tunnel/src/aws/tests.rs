//! Calls through proxies, and the errors of those that were not sent.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ssm_sandbox::{Instance, Sandbox};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Access;
use super::nodes::Nodes;
use crate::error::ServiceError;
use crate::network::{Proxy, sdk_config_through};

const TARGET: &str = "i-0123456789abcdef0";

fn proxy(variables: &[(&str, &str)]) -> Proxy {
    Proxy::from_variables(|name| {
        let set = variables.iter().find(|(set, _)| *set == name)?;
        Some(set.1.into())
    })
}

fn config(endpoint: &str, keys: Credentials, proxy: &Proxy) -> SdkConfig {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    sdk_config_through(&config, proxy, None)
}

fn nodes(sdk_config: SdkConfig) -> Nodes {
    Nodes::new(Access {
        sdk_config,
        endpoint_url: None,
    })
}

fn keys() -> Credentials {
    Credentials::new("AKIAEXAMPLE", "secret", None, None, "test")
}

async fn refused(endpoint: &str, proxy: &Proxy) -> ServiceError {
    let config = config(endpoint, keys(), proxy);
    let asked = nodes(config).is_connected(TARGET).await;
    asked.expect_err("nothing there")
}

/// A proxy that refuses every request, and the first line of the first.
async fn refusing() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let asked = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(tcp.read_u8().await.expect("a request"));
        }
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        tcp.write_all(answer).await.expect("taken");
        let text = String::from_utf8(request).expect("text");
        text.lines().next().unwrap_or_default().to_owned()
    });
    (address, asked)
}

#[tokio::test]
async fn calls_use_the_data_channels_proxy_and_report_its_refusal() {
    let (address, asked) = refusing().await;
    let through = proxy(&[
        (
            "HTTPS_PROXY",
            &format!(r"http://CORP\user:planted-marker@{address}"),
        ),
        ("NO_PROXY", "ssm.us-east-1.amazonaws.com:8443"),
    ]);
    let error = refused("https://ssm.us-east-1.amazonaws.com", &through).await;
    assert_eq!(
        asked.await.expect("no panic"),
        "CONNECT ssm.us-east-1.amazonaws.com:443 HTTP/1.1"
    );
    let text = error.to_string();
    assert!(matches!(error, ServiceError::NotSent { .. }), "{text}");
    assert!(
        text.contains("it does not accept the credentials"),
        "{text}"
    );
    assert!(text.contains(&address), "{text}");
    assert!(!text.contains("check the network"), "{text}");
    assert!(!format!("{error:?} {text}").contains("planted-marker"));
}

#[tokio::test]
async fn calls_reach_ports_in_no_proxy_directly() {
    // Taken, so that nothing else can listen there.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = taken.local_addr().expect("bound");
    let exception = format!("127.0.0.1:{}", address.port());
    let through = proxy(&[
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", &exception),
    ]);
    let error = refused(&format!("https://{address}"), &through).await;
    let text = error.to_string();
    assert!(matches!(error, ServiceError::Network { .. }), "{text}");
    assert!(text.contains(&format!("cannot reach {address}")), "{text}");
    assert!(text.contains("check the network"), "{text}");
}

#[tokio::test]
async fn unreadable_proxy_variable_fails_the_call_and_is_named() {
    for variable in ["HTTPS_PROXY", "all_proxy"] {
        let through = proxy(&[(variable, "ftp://user:planted-marker@proxy:1")]);
        let error = refused("https://127.0.0.1:9", &through).await;
        let text = error.to_string();
        assert!(
            matches!(
                error,
                ServiceError::NotSent {
                    retryable: false,
                    ..
                }
            ),
            "{text}"
        );
        assert!(text.contains(variable), "{text}");
        assert!(!text.contains("check the network"), "{text}");
        assert!(!format!("{error:?} {text}").contains("planted-marker"));
    }
}

#[tokio::test]
async fn settings_the_sdk_refuses_are_not_network_errors() {
    let config = config("https://127.0.0.1:9", keys(), &Proxy::none());
    let config = config.to_builder().use_fips(true).build();
    let asked = nodes(config).is_connected(TARGET).await;
    let error = asked.expect_err("no FIPS with an endpoint of one's own");
    let text = error.to_string();
    assert!(text.to_lowercase().contains("fips"), "{text}");
    assert!(!text.contains("check the network"), "{text}");
}

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::builder()
        .instance(Instance::new(TARGET))
        .enforce_mfa(false);
    sandbox.start().await.expect("loopback")
}

fn of(sandbox: &Sandbox, proxy: &Proxy) -> SdkConfig {
    let keys = Credentials::new(
        sandbox.access_key_id(),
        sandbox.secret_access_key(),
        None,
        None,
        "test",
    );
    config(&sandbox.endpoint_url(), keys, proxy)
}

#[tokio::test]
async fn loopback_calls_use_no_proxy() {
    let sandbox = sandbox().await;
    let dead = proxy(&[
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
    ]);
    let nodes = nodes(of(&sandbox, &dead));
    for _ in 0..2 {
        nodes.is_connected(TARGET).await.expect("reached directly");
    }
}

#[test]
fn stopped_runtime_delays_no_call_on_another() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let service = builder.enable_all().build().expect("a runtime");
    let sandbox = service.block_on(sandbox());
    let nodes = nodes(of(&sandbox, &Proxy::none()));
    let (first, second) = (runtime(), runtime());
    for runtime in [&first, &second, &first] {
        let asked = runtime.block_on(nodes.is_connected(TARGET));
        asked.expect("an answer");
    }
}
