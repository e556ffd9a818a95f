//! `rdp` with a client in PATH that records what it gets, and the password of an instance whose key
//! pair is made here (Debian: openssl).
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use e2e::peers::{command, example, installed, output, printed, succeed};
use e2e::{TARGET, config, echo, instance, no_sessions, sandbox, sandbox_with_mfa};
use ssm_sandbox::{ApiFault, Sandbox};
use ssm_tunnel_cli::rdp::{PasswordError, PrivateKey, administrator_password};
use tempfile::TempDir;
use tokio::process::Command;

const PASSWORD: &str = "MARKER-p4ss&w<rd>";

/// A code that is not needed and stays unused.
const CODE: &str = "918273";

/// A key pair, and the password encrypted for it.
struct Keys {
    folder: TempDir,
    data: String,
}

impl Keys {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("password"), PASSWORD).expect("written");
        let openssl = async |line: &str| {
            let mut command = Command::new(installed("openssl", "apt-get install openssl"));
            command.args(line.split(' ')).current_dir(folder.path());
            succeed("openssl", &mut command).await;
        };
        openssl("genrsa -traditional -out key.pem 2048").await;
        openssl("genrsa -out other.pem 2048").await;
        openssl("pkcs8 -topk8 -nocrypt -in key.pem -out key8.pem").await;
        openssl("rsa -aes128 -passout pass:x -in key.pem -out encrypted.pem").await;
        openssl("rsa -in key.pem -pubout -out public.pem").await;
        openssl("pkeyutl -encrypt -pubin -inkey public.pem -in password -out data").await;
        openssl("base64 -in data -out data.txt").await;
        let data = std::fs::read_to_string(folder.path().join("data.txt")).expect("Base64");
        Self { folder, data }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> PrivateKey {
        let pem = std::fs::read(self.at(name)).expect("a key");
        PrivateKey::from_pem(&pem).expect("a key")
    }
}

/// A program of this name in the folder that is the whole PATH.
fn stub(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("written");
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, runs).expect("allowed");
}

async fn rdp(sandbox: &Sandbox, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(sandbox, example("rdp").await, folder);
    command
        .args(["--target", TARGET, "--local-port-number", "0"])
        .args(arguments)
        .current_dir(folder)
        .env("PATH", folder)
        .env_remove("WAYLAND_DISPLAY")
        .env("DISPLAY", ":9")
        .env("SSM_TUNNEL_MFA_CODE", CODE);
    command
}

/// Records its arguments, the file and its input; connects, and waits for an answer.
const CLIENT: &str = r#"
declare -px >environment
printf '%s\n' "$@" >arguments
file=; for argument; do [[ $argument != *.rdp ]] || file=$argument; done
printf '%s' "$(<"$file")" >file
printf '%s\n' "$file" >path
if [[ $* == *from-stdin* ]]; then read -r line; printf '%s' "$line" >input; fi
address=$(<"$file"); address=${address#*full address:s:}; address=${address%%$'\r'*}
exec 3<>"/dev/tcp/${address%:*}/${address#*:}" || exit 99
echo hello >&3; read -r line <&3; [[ $line == hello ]] || exit 98
exit "$(<code)"
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_tunnel_ends_with_its_client_and_reports_how() {
    let sandbox = sandbox(instance(echo().await)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let read = |name: &str| std::fs::read_to_string(at(name)).expect(name);
    stub(folder.path(), "xfreerdp", CLIENT);
    // FreeRDP's 2: the user logged off.
    for (code, expected) in [("0", 0), ("2", 0), ("42", 11)] {
        std::fs::write(at("code"), code).expect("written");
        let arguments = ["--launch", "--username", r"CORP\jo"];
        let mut command = rdp(&sandbox, folder.path(), &arguments).await;
        let ended = output("rdp", &mut command).await;
        assert_eq!(ended.status.code(), Some(expected), "{}", printed(&ended));
        if code == "42" {
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(said.contains("xfreerdp failed with exit code 42"), "{said}");
        }
        assert!(
            read("file").contains("\nusername:s:CORP\\jo\r"),
            "{}",
            read("file")
        );
        assert!(read("arguments").contains(&format!("/cert:tofu,name:{TARGET}\n")));
        let path = PathBuf::from(read("path").trim());
        assert!(!path.exists(), "{} is left behind", path.display());
        no_sessions(&sandbox).await;
    }
    // The same code without a connection: it could not start.
    stub(folder.path(), "xfreerdp", "exit 2");
    let mut command = rdp(&sandbox, folder.path(), &["--launch"]).await;
    let ended = output("rdp", &mut command).await;
    assert_eq!(ended.status.code(), Some(11), "{}", printed(&ended));
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_requested_file_stays_and_a_missing_client_costs_no_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--launch", "--rdp-file", "work.rdp"];
    let mut command = rdp(&sandbox, folder.path(), &arguments).await;
    let ended = output("rdp", &mut command).await;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(11), "{}", printed(&ended));
    if cfg!(target_os = "linux") {
        assert!(
            said.contains("no Remote Desktop client was found"),
            "{said}"
        );
        assert!(said.contains("install FreeRDP"), "{said}");
    }
    assert_eq!(sandbox.request_count("StartSession"), 0);

    stub(folder.path(), "xfreerdp", CLIENT);
    std::fs::write(folder.path().join("code"), "0").expect("written");
    let file = folder.path().join("work.rdp");
    std::fs::write(&file, "full address:s:old\r\nuse multimon:i:1\r\n").expect("written");
    let mut command = rdp(&sandbox, folder.path(), &arguments).await;
    let ended = output("rdp", &mut command).await;
    assert!(ended.status.success(), "{}", printed(&ended));
    let text = std::fs::read_to_string(&file).expect("it stays");
    assert!(text.starts_with("full address:s:127.0.0.1:"), "{text}");
    assert!(text.contains("\r\nuse multimon:i:1\r\n"), "{text}");

    std::fs::write(&file, "not settings\n").expect("written");
    let mut command = rdp(&sandbox, folder.path(), &arguments).await;
    let ended = output("rdp", &mut command).await;
    assert!(!ended.status.success(), "{}", printed(&ended));
    let text = std::fs::read_to_string(&file).expect("untouched");
    assert_eq!(text, "not settings\n");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_password_reaches_only_its_chosen_destination() {
    let keys = Keys::new().await;
    let sandbox = sandbox(instance(echo().await).password_data(&keys.data)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let read = |name: &str| std::fs::read_to_string(at(name)).expect(name);
    stub(folder.path(), "xfreerdp", CLIENT);
    stub(
        folder.path(),
        "xclip",
        r#"declare -px >clip-environment; printf '%s\n' "$@" >clip-arguments; IFS= read -r -d '' text; printf '%s' "$text" >clipboard"#,
    );
    std::fs::write(at("code"), "0").expect("written");
    let (key, key8) = (keys.at("key.pem"), keys.at("key8.pem"));
    let key_text = std::fs::read_to_string(&key).expect("a key");
    let inside_the_key = key_text.lines().nth(5).expect("a line");
    let run = async |key: &Path, more: &[&str]| {
        let mut command = rdp(&sandbox, folder.path(), &["--log", "log", "--launch"]).await;
        command.env("SSM_TUNNEL_LOG", "trace");
        command.arg("--private-key").arg(key).args(more);
        output("rdp", &mut command).await
    };
    let handed = run(&key, &[]).await;
    assert!(handed.status.success(), "{}", printed(&handed));
    assert_eq!(read("input"), PASSWORD);
    assert!(read("file").contains("\nusername:s:Administrator\r"));
    let copied = run(&key8, &["--copy-password"]).await;
    assert!(copied.status.success(), "{}", printed(&copied));
    assert_eq!(read("clipboard"), PASSWORD);
    let log = read("log");
    assert!(log.contains("TRACE"), "the log does not go down to TRACE");
    let told = [
        printed(&handed),
        printed(&copied),
        log,
        read("arguments"),
        read("clip-arguments"),
        read("file"),
        format!("{:?}", keys.read("key.pem")),
    ];
    for text in told {
        assert!(!text.contains("MARKER"), "the password: {text}");
        assert!(!text.contains(inside_the_key), "the key: {text}");
    }
    for name in ["environment", "clip-environment"] {
        let inherited = read(name);
        assert!(inherited.contains("DISPLAY"), "{inherited}");
        assert!(!inherited.contains(CODE), "the code: {inherited}");
    }
    // Without a terminal, only on explicit request.
    let refused = {
        stub(folder.path(), "remmina", "exit 0");
        std::fs::remove_file(at("xfreerdp")).expect("removed");
        run(&key, &[]).await
    };
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("is no terminal to show the password on"),
        "{said}"
    );
    stub(folder.path(), "xfreerdp", CLIENT);
    let shown = run(&key, &["--show-password"]).await;
    let said = String::from_utf8_lossy(&shown.stdout);
    assert_eq!(said.matches(PASSWORD).count(), 1, "{said}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn an_unusable_key_is_reported_before_any_request() {
    let keys = Keys::new().await;
    let sandbox = sandbox(instance(echo().await).password_data(&keys.data)).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (key, code, expected) in [
        (
            "encrypted.pem",
            3,
            "the private key is encrypted: decrypt a copy",
        ),
        ("public.pem", 3, "there is no private key in it"),
        ("nosuch.pem", 1, "nosuch.pem: No such file"),
    ] {
        let mut command = rdp(&sandbox, folder.path(), &["--show-password"]).await;
        command.arg("--private-key").arg(keys.at(key));
        let ended = output("rdp", &mut command).await;
        assert_eq!(ended.status.code(), Some(code), "{}", printed(&ended));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(sandbox.requests().len(), 0);
    // A wrong key shows only once the password is there; the session is ended.
    let mut command = rdp(&sandbox, folder.path(), &["--show-password"]).await;
    command.arg("--private-key").arg(keys.at("other.pem"));
    let ended = output("rdp", &mut command).await;
    assert_eq!(ended.status.code(), Some(3), "{}", printed(&ended));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("the private key does not fit"), "{said}");
    // EC2 may have an endpoint of its own.
    let closed = format!("http://{}", e2e::closed_port());
    let mut command = rdp(&sandbox, folder.path(), &["--show-password"]).await;
    command.arg("--private-key").arg(keys.at("key.pem"));
    let ended = output("rdp", command.env("AWS_ENDPOINT_URL_EC2", closed)).await;
    assert_eq!(ended.status.code(), Some(6), "{}", printed(&ended));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("GetPasswordData could not be sent"), "{said}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes keys with openssl"]
async fn every_reason_for_no_password_has_its_own_error() {
    let keys = Keys::new().await;
    let key = keys.read("key.pem");
    let plain = sandbox(instance(echo().await)).await;
    let ask = async |sandbox: &Sandbox, target: &str| {
        administrator_password(&config(sandbox), target, &key)
            .await
            .expect_err("no password")
    };
    let error = ask(&plain, TARGET).await;
    assert!(
        matches!(error, PasswordError::NotAvailable { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("15 minutes"), "{error}");
    let error = ask(&plain, "i-00000000000000000").await;
    assert!(
        matches!(error, PasswordError::NoSuchInstance { .. }),
        "{error}"
    );
    let before = plain.requests().len();
    for target in ["mi-0123456789abcdef0", "ecs:a_b_c", "i-", "i-1&Action=X"] {
        let error = ask(&plain, target).await;
        assert!(matches!(error, PasswordError::NotAnInstance(_)), "{error}");
    }
    assert_eq!(plain.requests().len(), before);

    // Throttled once, and retried.
    let sandbox = sandbox(instance(echo().await).password_data(&keys.data)).await;
    sandbox.fail_next("GetPasswordData", ApiFault::Throttle);
    let password = administrator_password(&config(&sandbox), TARGET, &key).await;
    let password = password.expect("a password");
    assert_eq!(password.expose(), PASSWORD);
    assert_eq!(format!("{password:?}"), "Password(..)");

    let enforced = sandbox_with_mfa(instance(echo().await).password_data(&keys.data)).await;
    let error = ask(&enforced, TARGET).await;
    assert!(matches!(error, PasswordError::Denied { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("allows ec2:GetPasswordData") && text.contains("MFA"),
        "{text}"
    );
}
