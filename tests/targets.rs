//! Targets by name, and the errors for those that cannot be found or reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::peers::{command, example, output, printed};
use e2e::{PATIENCE, TARGET, config, echo, echoed, instance, no_sessions, open, service, soon};
use ssm_sandbox::{Instance, Sandbox};
use ssm_tunnel::{
    DenialCause, Error, Limits, PolicyType, ServiceError, TargetError, TargetState, Tunnel,
    TunnelBuilder,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

const OTHER: &str = "i-0aaaaaaaaaaaaaaaa";

fn to(sandbox: &Sandbox, target: &str) -> TunnelBuilder {
    // This also limits the lookup for an error's details.
    let mut limits = Limits::default();
    limits.connect_timeout = PATIENCE / 2;
    Tunnel::builder(target)
        .remote_port(3389)
        .limits(limits)
        .sdk_config(&config(sandbox))
}

async fn refused(builder: TunnelBuilder) -> Error {
    soon("the refusal", builder.open())
        .await
        .expect_err("cannot be opened")
}

fn target_error(error: &Error) -> &TargetError {
    match error {
        Error::Target(error) => error,
        other => panic!("not about the target: {other}"),
    }
}

/// A sandbox without an MFA policy, with these instances.
async fn sandbox(instances: impl IntoIterator<Item = Instance>) -> Sandbox {
    let mut builder = Sandbox::builder().enforce_mfa(false);
    for instance in instances {
        builder = builder.instance(instance);
    }
    builder.start().await.expect("loopback can be listened on")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_found_by_name_tag_computer_name_or_address() {
    let meant = instance(echo().await)
        .name("My Windows Box")
        .computer_name("WIN-7.corp.example")
        .ip_address([10, 1, 2, 3].into());
    let sandbox = sandbox([meant, Instance::new(OTHER).name("another")]).await;
    for text in ["My Windows Box", "WIN-7.corp.example", "win-7", "10.1.2.3"] {
        let tunnel = open(to(&sandbox, text)).await;
        assert_eq!(tunnel.target(), Some(TARGET), "{text}");
        let stream = soon("connecting", tunnel.connect()).await.expect("opens");
        echoed(stream, 1, 1000).await;
        soon("closing", tunnel.close()).await.expect("clean");
    }
    let started = sandbox.requests();
    let targets: Vec<_> = started
        .iter()
        .filter_map(|request| request.parameter("Target"))
        .collect();
    assert!(targets.len() >= 4 && targets.iter().all(|target| *target == TARGET));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_id_costs_no_lookup() {
    let sandbox = sandbox([instance(echo().await)]).await;
    let tunnel = open(to(&sandbox, TARGET)).await;
    soon("closing", tunnel.close()).await.expect("clean");
    assert_eq!(sandbox.request_count("DescribeInstanceInformation"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_name_means_the_one_online_or_lists_all() {
    let named = |id: &str| Instance::new(id).name("web");
    let replaced = named(OTHER).online(false);
    let sandbox = sandbox([instance(echo().await).name("web"), replaced.clone()]).await;
    let tunnel = open(to(&sandbox, "web")).await;
    assert_eq!(tunnel.target(), Some(TARGET));
    soon("closing", tunnel.close()).await.expect("clean");

    sandbox.set_instance(named("i-0bbbbbbbbbbbbbbbb").ip_address([10, 9, 9, 9].into()));
    let error = refused(to(&sandbox, "web")).await;
    assert!(
        matches!(target_error(&error), TargetError::Ambiguous { nodes, .. } if nodes.len() == 3),
        "{error}"
    );
    for word in [
        "of 2 managed nodes",
        TARGET,
        OTHER,
        "i-0bbbbbbbbbbbbbbbb: web, EC2AMAZ-BBBBBBB, 10.9.9.9, Microsoft Windows Server 2022",
        "agent 3.3.5068.0",
        "Online",
        "ConnectionLost",
    ] {
        assert!(error.to_string().contains(word), "{word} is not in {error}");
    }

    for id in [TARGET, "i-0bbbbbbbbbbbbbbbb"] {
        sandbox.set_instance(named(id).online(false));
    }
    let error = refused(to(&sandbox, "web")).await;
    assert!(
        matches!(target_error(&error), TargetError::Offline { nodes, .. } if nodes.len() == 3),
        "{error}"
    );
    assert!(error.to_string().contains("start the machine"), "{error}");
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computer_name_is_found_on_the_last_of_many_pages() {
    let many = (0..120).map(|number| Instance::new(format!("i-{number:017x}")));
    let last = instance(echo().await).computer_name("the-last");
    let sandbox = sandbox(many.chain([last])).await;
    let tunnel = open(to(&sandbox, "the-last")).await;
    assert_eq!(tunnel.target(), Some(TARGET));
    soon("closing", tunnel.close()).await.expect("clean");
    // One for the tag, and three pages of 50.
    assert!(sandbox.request_count("DescribeInstanceInformation") >= 4);

    let error = refused(to(&sandbox, "nobody")).await;
    let TargetError::NotFound {
        looked_at, region, ..
    } = target_error(&error)
    else {
        panic!("{error}")
    };
    assert_eq!((*looked_at, region.as_str()), (121, "us-east-1"));
    assert!(error.to_string().contains("check the spelling"), "{error}");
}

/// An API whose pages are all empty and name a next one: another each time, or always the same.
async fn endless_pages(same: bool) -> (String, Arc<AtomicUsize>) {
    let pages = Arc::new(AtomicUsize::new(0));
    let count = pages.clone();
    let address = service(move |mut tcp| {
        let count = count.clone();
        async move {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // The body follows the head at once; its content does not matter.
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match tcp.read(&mut buffer).await {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => return,
                }
            }
            let page = count.fetch_add(1, Ordering::SeqCst);
            let token = if same { 0 } else { page };
            let body = format!(r#"{{"InstanceInformationList":[],"NextToken":"page {token}"}}"#);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = tcp.write_all(answer.as_bytes()).await;
            let _ = tcp.shutdown().await;
            // Closing with part of the request unread would reset the connection.
            while matches!(tcp.read(&mut buffer).await, Ok(read) if read > 0) {}
        }
    })
    .await;
    (format!("http://{address}"), pages)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_list_is_abandoned() {
    let sandbox = sandbox([]).await;
    for same in [true, false] {
        let (url, pages) = endless_pages(same).await;
        let error = refused(to(&sandbox, "10.0.0.1").endpoint_url(url)).await;
        let given_up = match target_error(&error) {
            TargetError::TooMany { .. } => true,
            // A slow machine does not reach the limit.
            TargetError::Timeout { .. } => !same,
            _ => false,
        };
        assert!(given_up, "{error}");
        assert!(error.to_string().contains("give the id"), "{error}");
        // The second page already shows that there is no progress.
        assert!(!same || pages.load(Ordering::SeqCst) < 50);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_lookup_names_the_missing_statement() {
    let context =
        "because no identity-based policy allows the ssm:DescribeInstanceInformation action";
    let builder = Sandbox::builder()
        .enforce_mfa(false)
        .deny("ssm:DescribeInstanceInformation", context)
        .instance(instance(echo().await).name("web"));
    let sandbox = builder.start().await.expect("starts");
    let error = refused(to(&sandbox, "web")).await;
    let Error::Service(service) = &error else {
        panic!("{error}")
    };
    let denial = service.denial().expect("a denial");
    assert_eq!(
        (denial.cause, denial.policy),
        (DenialCause::NoAllow, PolicyType::IdentityBased)
    );
    assert_eq!(
        denial.resource.as_deref(),
        Some("arn:aws:ssm:us-east-1:123456789012:*")
    );
    for words in [
        "DescribeInstanceInformation was denied",
        "it takes an IAM policy that allows ssm:DescribeInstanceInformation on all resources",
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
    // An id needs no such permission.
    let tunnel = open(to(&sandbox, TARGET)).await;
    soon("closing", tunnel.close()).await.expect("clean");

    // Without MFA the policy denies this call like any other.
    let builder = Sandbox::builder().instance(instance(echo().await).name("web"));
    let sandbox = builder.start().await.expect("starts");
    let error = refused(to(&sandbox, "web")).await;
    let text = error.to_string();
    assert!(
        text.contains("DescribeInstanceInformation was denied"),
        "{text}"
    );
    assert!(text.contains("MFA session may be missing"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconnected_target_error_says_what_ssm_knows() {
    let lost = Instance::new(OTHER).online(false);
    let cut_off = Instance::new(TARGET).connected(false);
    let sandbox = sandbox([lost, cut_off]).await;
    for (target, words) in [
        (OTHER, "its agent has not reported since 2"),
        (TARGET, "online, but not connected for sessions"),
        (
            "i-0bbbbbbbbbbbbbbbb",
            "no managed node with that id has registered in us-east-1",
        ),
    ] {
        let error = refused(to(&sandbox, target)).await;
        let Error::Service(service) = &error else {
            panic!("{error}")
        };
        let ServiceError::TargetNotConnected {
            state, request_id, ..
        } = &**service
        else {
            panic!("{error}")
        };
        assert!(error.to_string().contains(words), "{error}");
        assert!(request_id.is_some());
        let registered =
            matches!(state, Some(TargetState::Registered { node, .. }) if node.id == target);
        assert_eq!(registered, target != "i-0bbbbbbbbbbbbbbbb", "{state:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconnected_target_error_is_plain_without_permissions() {
    let builder = Sandbox::builder()
        .enforce_mfa(false)
        .deny("ssm:DescribeInstanceInformation", "with an explicit deny")
        .deny("ssm:GetConnectionStatus", "with an explicit deny")
        .instance(Instance::new(TARGET).online(false));
    let sandbox = builder.start().await.expect("starts");
    let error = refused(to(&sandbox, TARGET)).await;
    let text = error.to_string();
    assert!(
        text.contains("is not connected to Systems Manager"),
        "{text}"
    );
    assert!(!text.contains("denied"), "{text}");
    let Error::Service(service) = &error else {
        panic!("{error}")
    };
    assert!(matches!(
        &**service,
        ServiceError::TargetNotConnected { state: None, .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_programs_take_a_name_as_their_first_argument() {
    let meant = instance(echo().await).name("my-windows-box");
    let sandbox = sandbox([meant]).await;
    let home = tempfile::tempdir().expect("a folder");

    let mut rdp = command(&sandbox, example("rdp").await, home.path());
    rdp.args([
        "my-windows-box",
        "--local-port-number",
        "0",
        "--output",
        "json",
    ]);
    let mut child = rdp.spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let found = soon("the target", async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if event["event"] == "target_found" {
                return event;
            }
        }
        panic!("rdp ended without it");
    })
    .await;
    assert_eq!(found["id"], TARGET);
    assert_eq!(found["target"], "my-windows-box");
    soon("its end", child.kill()).await.expect("killed");

    let program = example("port_forward").await;
    let mut forward = command(&sandbox, &program, home.path());
    forward.args(["my-windows-box", "--forward", "1", "--forward", "2", "--"]);
    // A command that exists on every system.
    forward.arg(&program).arg("--help");
    let ended = output("port_forward", &mut forward).await;
    assert_eq!(ended.status.code(), Some(0), "{}", printed(&ended));

    let mut unknown = command(&sandbox, example("ssh_proxy").await, home.path());
    let ended = output("ssh_proxy", unknown.arg("nobody")).await;
    assert_eq!(ended.status.code(), Some(5), "{}", printed(&ended));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("no managed node in us-east-1 has"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn the_embedded_sandbox_finds_its_instance_by_name() {
    let sandbox = sandbox([]).await;
    let home = tempfile::tempdir().expect("a folder");
    let mut rdp = command(&sandbox, example("rdp").await, home.path());
    rdp.args(["--sandbox", "my-windows-box", "--local-port-number", "0"]);
    let ended = output("rdp", &mut rdp).await;
    assert_eq!(ended.status.code(), Some(0), "{}", printed(&ended));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        said.contains("my-windows-box is i-0123456789abcdef0"),
        "{said}"
    );
}
