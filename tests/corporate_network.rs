//! The programs in a company's network: a proxy that requires a password (Debian: tinyproxy), and
//! endpoints with certificates of a private authority (Debian: stunnel4, openssl).
#![cfg(unix)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::peers::{accepts, command, example, free_port, installed, output, printed, succeed};
use e2e::running::Running;
use e2e::{TARGET, echo, echoed, instance, no_sessions, sandbox};
use serde_json::Value;
use ssm_sandbox::Sandbox;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const PACKAGES: &str = "apt-get install tinyproxy-bin stunnel4 openssl";
const LENGTH: usize = 300_000;
const PASSWORD: &str = "MARKER-p4ss&w<rd>";

/// Everything between a workstation and the sandbox.
struct Company {
    folder: TempDir,
    sandbox: Sandbox,
    /// TLS in front of the API, of the gateway, and again of the API for EC2 alone.
    api: SocketAddr,
    gateway: SocketAddr,
    ec2: SocketAddr,
    proxy: SocketAddr,
    _servers: Vec<Child>,
}

impl Company {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        windows_password(folder.path()).await;
        let data = std::fs::read_to_string(folder.path().join("password.b64"));
        let instance = instance(echo().await).password_data(data.expect("Base64"));
        let company = Self {
            folder,
            sandbox: sandbox(instance).await,
            api: free_port(),
            gateway: free_port(),
            ec2: free_port(),
            proxy: free_port(),
            _servers: Vec::new(),
        };
        company.certificates().await;
        let servers = vec![company.tls().await, company.tinyproxy().await];
        accepts("the proxy", company.proxy).await;
        for address in [company.api, company.gateway, company.ec2] {
            accepts("TLS", address).await;
        }
        Self {
            _servers: servers,
            ..company
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).expect("written");
    }

    /// A private authority, `ca.crt`, and its certificate for `localhost`.
    async fn certificates(&self) {
        let openssl = |arguments| openssl(self.folder.path(), arguments);
        self.write("server.ext", "subjectAltName=DNS:localhost\n");
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=company -keyout ca.key -out ca.crt",
        )
        .await;
        openssl(
            "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        )
        .await;
        openssl(
            "x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile server.ext -out server.crt",
        )
        .await;
    }

    async fn tls(&self) -> Child {
        let api = self.sandbox.endpoint_url().replace("http://", "");
        let gateway = self.sandbox.stream_endpoint().replace("ws://", "");
        let config = format!(
            "foreground = yes\npid =\ncert = {cert}\nkey = {key}\n\
             [api]\naccept = {}\nconnect = {api}\n[gateway]\naccept = {}\nconnect = {gateway}\n\
             [ec2]\naccept = {}\nconnect = {api}\n",
            self.api,
            self.gateway,
            self.ec2,
            cert = self.at("server.crt").display(),
            key = self.at("server.key").display(),
        );
        self.write("stunnel.conf", &config);
        let mut command = Command::new(installed("stunnel4", PACKAGES));
        serve(command.arg(self.at("stunnel.conf")))
    }

    /// A proxy that admits CONNECT to the endpoints only.
    async fn tinyproxy(&self) -> Child {
        let config = format!(
            "Listen {}\nPort {}\nBasicAuth user p4ss\nConnectPort {}\nConnectPort {}\n\
             ConnectPort {}\nLogFile \"{}\"\nLogLevel Connect\n",
            self.proxy.ip(),
            self.proxy.port(),
            self.api.port(),
            self.gateway.port(),
            self.ec2.port(),
            self.at("proxy.log").display(),
        );
        self.write("tinyproxy.conf", &config);
        let mut command = Command::new(installed("tinyproxy", PACKAGES));
        serve(command.arg("-d").arg("-c").arg(self.at("tinyproxy.conf")))
    }

    /// A program with the network's VPC endpoints.
    async fn run(&self, program: &str, proxy: &str, bundle: Option<&str>) -> Command {
        let program = example(program).await;
        let mut command = command(&self.sandbox, program, self.folder.path());
        command
            .env(
                "AWS_ENDPOINT_URL",
                format!("https://localhost:{}", self.api.port()),
            )
            .env(
                "AWS_ENDPOINT_URL_EC2",
                format!("https://localhost:{}", self.ec2.port()),
            )
            .env("HTTPS_PROXY", proxy)
            .args([
                "--target",
                TARGET,
                "--port-number",
                "3389",
                "--output",
                "json",
            ])
            .arg("--stream-endpoint")
            .arg(format!("wss://localhost:{}", self.gateway.port()));
        if let Some(bundle) = bundle {
            command.env("AWS_CA_BUNDLE", self.at(bundle));
        }
        command
    }

    fn proxied(&self, address: SocketAddr) -> usize {
        let log = std::fs::read_to_string(self.at("proxy.log")).expect("a log");
        let line = format!("CONNECT localhost:{} ", address.port());
        log.matches(&line).count()
    }
}

async fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new(installed("openssl", PACKAGES));
    command.args(arguments.split(' ')).current_dir(folder);
    succeed("openssl", &mut command).await;
}

/// A key pair, `windows.pem`, and the encrypted password as EC2 returns it, `password.b64`.
async fn windows_password(folder: &Path) {
    std::fs::write(folder.join("password"), PASSWORD).expect("written");
    for line in [
        "genrsa -traditional -out windows.pem 2048",
        "rsa -in windows.pem -pubout -out windows.pub",
        "pkeyutl -encrypt -pubin -inkey windows.pub -in password -out password.enc",
        "base64 -in password.enc -out password.b64",
    ] {
        openssl(folder, line).await;
    }
}

fn serve(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts")
}

/// Interrupts the program, which must end well.
async fn interrupt(program: Running) {
    program.signal("INT").await;
    let (_, status) = program.end().await;
    assert!(status.success(), "{status}");
}

/// The events that a program prints, up to the one that says it is ready.
async fn until_ready(program: &mut Running) -> Vec<Value> {
    let ready = |line: &str| line.contains(r#""event":"ready""#).then_some(());
    let (lines, ()) = program.until("the tunnel", ready).await;
    let events = lines.iter().map(|line| serde_json::from_str(line));
    events.collect::<Result<_, _>>().expect("JSON")
}

/// A text of the first event of this name.
fn told<'a>(events: &'a [Value], event: &str, field: &str) -> &'a str {
    let event = events.iter().find(|it| it["event"] == event);
    event.and_then(|it| it[field].as_str()).expect("it says so")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tinyproxy, stunnel and openssl; .ci/run installs them"]
async fn calls_and_data_channel_use_the_proxy_and_the_companys_ca() {
    let company = Company::start().await;
    let proxy = format!("http://user:p4ss@{}", company.proxy);
    let mut command = company.run("port_forward", &proxy, Some("ca.crt")).await;
    let mut forward = Running::start(&mut command);
    let events = until_ready(&mut forward).await;
    let address = told(&events, "listening", "address");
    let tcp = TcpStream::connect(address).await.expect("it listens");
    echoed(tcp, 7, LENGTH).await;
    interrupt(forward).await;
    no_sessions(&company.sandbox).await;
    for (what, address) in [
        ("calls", company.api),
        ("the data channel", company.gateway),
    ] {
        assert!(company.proxied(address) >= 1, "{what} went past the proxy");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tinyproxy, stunnel and openssl; .ci/run installs them"]
async fn the_windows_password_request_uses_the_proxy() {
    let company = Company::start().await;
    let proxy = format!("http://user:p4ss@{}", company.proxy);
    let mut command = company.run("rdp", &proxy, Some("ca.crt")).await;
    command
        .args(["--local-port-number", "0", "--show-password"])
        .arg("--private-key")
        .arg(company.at("windows.pem"));
    let mut rdp = Running::start(&mut command);
    let events = until_ready(&mut rdp).await;
    assert_eq!(told(&events, "password", "password"), PASSWORD);
    interrupt(rdp).await;
    no_sessions(&company.sandbox).await;
    assert!(
        company.proxied(company.ec2) >= 1,
        "the call went past the proxy"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tinyproxy, stunnel and openssl; .ci/run installs them"]
async fn each_obstacle_on_the_network_is_named() {
    let company = Company::start().await;
    let with_password = format!("http://user:p4ss@{}", company.proxy);
    company.write("empty.pem", "");
    for (proxy, bundle, expected) in [
        // The system's certificates do not include the company's.
        (with_password.as_str(), None, "certificate"),
        (&with_password, Some("empty.pem"), "must be PEM"),
        (
            &with_password,
            Some("missing.pem"),
            "missing.pem cannot be read",
        ),
        (
            &format!("http://user:planted-marker@{}", company.proxy),
            Some("ca.crt"),
            // The SDK does not report the proxy's status.
            "a proxy in between",
        ),
    ] {
        let mut command = company.run("port_forward", proxy, bundle).await;
        let ended = output("port_forward", &mut command).await;
        let text = printed(&ended);
        assert!(!ended.status.success(), "{text}");
        assert!(text.contains(expected), "{expected} is missing: {text}");
        assert!(
            !text.contains("planted-marker") && !text.contains("p4ss"),
            "{text}"
        );
    }
    assert_eq!(company.sandbox.request_count("StartSession"), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tinyproxy, stunnel and openssl; .ci/run installs them"]
async fn the_doctor_uses_the_proxy_and_names_each_obstacle() {
    let company = Company::start().await;
    let with_password = format!("http://user:p4ss@{}", company.proxy);
    let wrong = format!("http://user:planted-marker@{}", company.proxy);
    let proxy = format!("http://{}", company.proxy);
    for (through, bundle, status, words) in [
        (&with_password, Some("ca.crt"), "pass", proxy.as_str()),
        (&with_password, None, "fail", "AWS_CA_BUNDLE"),
        (
            &wrong,
            Some("ca.crt"),
            "fail",
            "does not accept the credentials",
        ),
    ] {
        let mut command = company.run("doctor", through, bundle).await;
        let ended = output("doctor", command.args(["--timeout", "120"])).await;
        let text = printed(&ended);
        assert_eq!(ended.status.success(), status == "pass", "{text}");
        assert!(
            !text.contains("planted-marker") && !text.contains("p4ss"),
            "{text}"
        );
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        let checks: Vec<serde_json::Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        for name in ["sts", "ssm", "ssmmessages"] {
            let check = checks.iter().find(|check| check["check"] == name);
            let check = check.unwrap_or_else(|| panic!("no {name}: {text}"));
            assert_eq!(check["status"], status, "{text}");
            assert_eq!(check["details"]["proxy"], proxy, "{text}");
            let meaning = check["meaning"].as_str().expect("a text");
            assert!(meaning.contains(words), "{words} is not in {meaning}");
        }
    }
    assert!(company.proxied(company.api) >= 1 && company.proxied(company.gateway) >= 1);
    no_sessions(&company.sandbox).await;
}
