//! Where credentials travel: by https, or by plain http that stays on this machine.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use aws_config::SdkConfig;
use e2e::http::answering;
use e2e::peers::installed;
use e2e::{TARGET, config_without_sandbox, echo, instance, sandbox, soon, tunnel};
use ssm_mfa::{MemoryStore, MfaProvider, MfaProviderBuilder, RoleSpec, StaticCode};
use ssm_tunnel::Tunnel;
use ssm_tunnel_cli::rdp::{PrivateKey, administrator_password};

/// Calls each service at this endpoint in every possible way, and returns the texts of the failures.
async fn every_call(endpoint: &str) -> Vec<(&'static str, String)> {
    let config = config_without_sandbox(endpoint);
    let mut failures = Vec::new();
    let opened = soon("opening", open(&config, None)).await;
    failures.push(("SSM", opened.expect_err("SSM").to_string()));
    let elsewhere = config_without_sandbox("https://127.0.0.1:1");
    let opened = soon("opening", open(&elsewhere, Some(endpoint))).await;
    failures.push(("SSM by the builder", opened.expect_err("SSM").to_string()));
    let user = soon("a login", login(mfa(&config))).await;
    failures.push(("STS, a user", user.expect_err("STS")));
    let role = mfa(&config).role(RoleSpec::new("arn:aws:iam::123456789012:role/dev"));
    let role = soon("a role", login(role)).await;
    failures.push(("STS, a role", role.expect_err("STS")));
    let found = soon("devices", mfa(&config).find_devices()).await;
    failures.push(("IAM", found.expect_err("IAM").to_string()));
    let key = Command::new(installed("openssl", "apt-get install openssl"))
        .args(["genrsa", "2048"])
        .output()
        .expect("openssl runs");
    let key = PrivateKey::from_pem(&key.stdout).expect("a key");
    let password = administrator_password(&config, TARGET, &key);
    let password = soon("the password", password).await;
    failures.push(("EC2", password.expect_err("EC2").to_string()));
    failures
}

async fn open(config: &SdkConfig, endpoint: Option<&str>) -> Result<Tunnel, ssm_tunnel::Error> {
    let mut builder = Tunnel::builder(TARGET).remote_port(3389).sdk_config(config);
    if let Some(url) = endpoint {
        builder = builder.endpoint_url(url);
    }
    builder.open().await
}

fn mfa(config: &SdkConfig) -> MfaProviderBuilder {
    let code = StaticCode::new("123456".parse().expect("six digits"));
    MfaProvider::builder()
        .sts_config(config)
        .serial("arn:aws:iam::123456789012:mfa/taro".parse().expect("one"))
        .code_source(code)
        .store(MemoryStore::new())
}

async fn login(builder: MfaProviderBuilder) -> Result<(), String> {
    let provider = builder.build().map_err(|error| error.to_string())?;
    let session = provider.login().await;
    session.map(drop).map_err(|error| error.to_string())
}

/// A listener that a program must take for another machine: 0.0.0.0 is not a loopback address, and
/// yet leads here.
struct Trap(TcpListener);

impl Trap {
    fn new() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.0.local_addr().expect("bound"))
    }

    fn assert_empty(&self) {
        let caught = self.0.accept().map(|(_, from)| from);
        let error = caught.expect_err("something was sent in clear");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_never_leaves_this_machine() {
    let trap = Trap::new();
    for (call, text) in every_call(&trap.url("http")).await {
        let refused = text.contains("https://") && text.contains("http:// to this machine");
        assert!(refused, "{call}: {text}");
    }
    trap.assert_empty();
}

/// A server that answers every request with a redirection.
async fn redirecting(status: &str, target: String) -> SocketAddr {
    answering(format!(
        "HTTP/1.1 {status}\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_never_followed_with_credentials() {
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let trap = Trap::new();
        let endpoint = redirecting(status, trap.url("http")).await;
        every_call(&format!("http://{endpoint}")).await;
        trap.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_of_the_data_channel_are_never_followed() {
    let sandbox = sandbox(instance(echo().await)).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let trap = Trap::new();
        let endpoint = redirecting(status, trap.url("ws")).await;
        let builder = tunnel(&sandbox).stream_endpoint(format!("ws://{endpoint}"));
        let failure = async { builder.open().await?.ready().await };
        let error = soon("the failure", failure).await;
        error.expect_err("no websocket");
        trap.assert_empty();
    }
    let trap = Trap::new();
    let builder = tunnel(&sandbox).stream_endpoint(trap.url("ws"));
    let error = soon("the refusal", builder.open()).await;
    let error = error.expect_err("in clear").to_string();
    assert!(
        error.contains("wss is required, ws only to this machine"),
        "{error}"
    );
    trap.assert_empty();
}
