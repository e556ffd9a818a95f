//! `ssh_proxy` between OpenSSH's client and server (Debian: openssh-client, openssh-server).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::peers::{
    accepts, command, example, free_port, installed, output, printed, random_bytes, succeed,
};
use e2e::{TARGET, closed_port, instance, no_sessions, sandbox, soon};
use ssm_sandbox::Sandbox;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const PACKAGES: &str = "apt-get install openssh-client openssh-server";
const FILE_LENGTH: usize = 3_000_000;

/// A real sshd on loopback for the user who runs the tests, and the client's settings.
struct Ssh {
    folder: TempDir,
    address: SocketAddr,
    _sshd: Child,
}

impl Ssh {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let keygen = installed("ssh-keygen", PACKAGES);
        for key in ["host_key", "user_key"] {
            let mut command = Command::new(&keygen);
            command
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key));
            succeed("ssh-keygen", &mut command).await;
        }
        let address = free_port();
        let config = format!(
            "ListenAddress {address}\nHostKey {host}\nAuthorizedKeysFile {user}\nPidFile none\n\
             UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             Subsystem sftp internal-sftp\nLogLevel ERROR\n",
            host = at("host_key").display(),
            user = at("user_key.pub").display(),
        );
        std::fs::write(at("sshd_config"), config).expect("written");
        // The folder in which root's sshd separates privileges; Debian's service creates it.
        let _ = std::fs::create_dir("/run/sshd");
        let sshd = Command::new(installed("sshd", PACKAGES))
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sshd starts");
        accepts("sshd", address).await;
        Self {
            folder,
            address,
            _sshd: sshd,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of the example's documentation, with this test's paths and keys.
    async fn configure(&self, more: &str) {
        let proxy = example("ssh_proxy").await;
        let host_key = std::fs::read_to_string(self.at("host_key.pub")).expect("a key");
        std::fs::write(self.at("known_hosts"), format!("* {host_key}")).expect("written");
        let config = format!(
            "Host i-* mi-*\n    ProxyCommand {proxy} --target %h --port-number %p{more}\n\
             Host *\n    IdentityFile {key}\n    IdentitiesOnly yes\n    BatchMode yes\n\
             \x20   UserKnownHostsFile {known}\n    StrictHostKeyChecking yes\n    LogLevel ERROR\n",
            proxy = proxy.display(),
            key = self.at("user_key").display(),
            known = self.at("known_hosts").display(),
        );
        std::fs::write(self.at("config"), config).expect("written");
    }

    fn client(&self, sandbox: &Sandbox, program: &str) -> Command {
        let mut command = command(sandbox, installed(program, PACKAGES), self.folder.path());
        command.arg("-F").arg(self.at("config"));
        command
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's client and server; .ci/run installs them"]
async fn ssh_runs_commands_and_returns_their_exit_code() {
    let ssh = Ssh::start().await;
    ssh.configure("").await;
    let sandbox = sandbox(instance(ssh.address)).await;
    let mut command = ssh.client(&sandbox, "ssh");
    command.args([TARGET, "printf 'from the other side'; exit 7"]);
    let ended = output("ssh", &mut command).await;
    assert_eq!(ended.status.code(), Some(7), "{}", printed(&ended));
    assert_eq!(ended.stdout, b"from the other side");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(sandbox.request_count("StartSession"), 1);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's client and server; .ci/run installs them"]
async fn scp_copies_files_both_ways_unchanged() {
    let ssh = Ssh::start().await;
    ssh.configure("").await;
    let sandbox = sandbox(instance(ssh.address)).await;
    let data = random_bytes(1, FILE_LENGTH);
    std::fs::write(ssh.at("here"), &data).expect("written");
    let remote = |name: &str| format!("{TARGET}:{}", ssh.at(name).display());
    for (from, to) in [
        (ssh.at("here").display().to_string(), remote("there")),
        (remote("there"), ssh.at("back").display().to_string()),
    ] {
        let mut command = ssh.client(&sandbox, "scp");
        succeed("scp", command.args([from, to])).await;
    }
    assert!(read(&ssh.at("there")) == data, "the upload differs");
    assert!(read(&ssh.at("back")) == data, "the download differs");
    no_sessions(&sandbox).await;
}

/// Standard input and output belong to ssh, so the prompt uses the terminal, provided by `script`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's client and server; .ci/run installs them"]
async fn the_mfa_prompt_uses_the_terminal() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let ssh = Ssh::start().await;
    let sandbox = Sandbox::builder()
        .instance(instance(ssh.address))
        .start()
        .await
        .expect("loopback can be listened on");
    ssh.configure(&format!(" --mfa-serial {}", sandbox.mfa_serial()))
        .await;
    let line = format!(
        "{} -F {} {TARGET} echo passed > {}",
        installed("ssh", PACKAGES).display(),
        ssh.at("config").display(),
        ssh.at("answer").display(),
    );
    let script = installed("script", "apt-get install bsdutils");
    let mut child = command(&sandbox, script, ssh.folder.path())
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut keyboard = child.stdin.take().expect("piped");
    let mut screen = child.stdout.take().expect("piped");
    let mut shown = Vec::new();
    let question = format!("Enter MFA code for {}: ", sandbox.mfa_serial());
    soon("the question", async {
        while !String::from_utf8_lossy(&shown).contains(&question) {
            let read = screen.read_buf(&mut shown).await.expect("readable");
            assert_ne!(read, 0, "no question: {}", String::from_utf8_lossy(&shown));
        }
    })
    .await;
    let code = format!("{}\n", sandbox.next_unused_code());
    keyboard.write_all(code.as_bytes()).await.expect("typed");
    let status = soon("ssh", async {
        screen.read_to_end(&mut shown).await.expect("readable");
        child.wait().await.expect("ends")
    })
    .await;
    assert!(status.success(), "{}", String::from_utf8_lossy(&shown));
    assert_eq!(read(&ssh.at("answer")), b"passed\n");
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenSSH's client and server; .ci/run installs them"]
async fn failures_are_printed_on_standard_error() {
    let ssh = Ssh::start().await;
    ssh.configure("").await;
    let closed = sandbox(instance(closed_port())).await;
    let mut command = ssh.client(&closed, "ssh");
    let refused = output("ssh", command.args([TARGET, "true"])).await;
    assert_eq!(refused.status.code(), Some(255), "{}", printed(&refused));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains("Unable to connect to specified port"),
        "{text}"
    );

    let enforced = Sandbox::builder().instance(instance(ssh.address));
    let enforced = enforced.start().await.expect("starts");
    let mut command = ssh.client(&enforced, "ssh");
    let denied = output("ssh", command.args([TARGET, "true"])).await;
    assert_eq!(denied.status.code(), Some(255), "{}", printed(&denied));
    let text = String::from_utf8_lossy(&denied.stderr);
    assert!(text.contains("StartSession was denied"), "{text}");
}
