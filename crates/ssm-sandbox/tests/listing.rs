//! Listings: DescribeSessions, and EC2's DescribeInstances.

mod support;

use serde_json::{Value, json};
use ssm_sandbox::{Instance, Sandbox};
use support::{Channel, TARGET, control, ec2, sandbox, ssm, start};

const PORT: Option<&str> = Some("AWS-StartPortForwardingSession");

/// Ids of the sessions that a request finds, and the token for more.
async fn sessions(sandbox: &Sandbox, request: Value) -> (Vec<String>, Option<String>) {
    let (status, answer) = ssm(sandbox, "DescribeSessions", request).await;
    assert_eq!(status, 200, "{answer}");
    let list = answer["Sessions"].as_array().expect("a list");
    let id = |session: &Value| session["SessionId"].as_str().unwrap_or_default().to_owned();
    let next = answer["NextToken"].as_str().map(str::to_owned);
    (list.iter().map(id).collect(), next)
}

#[tokio::test]
async fn sessions_are_active_until_they_end_then_history() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let first = start(&sandbox, PORT, json!({})).await;
    let second = start(&sandbox, PORT, json!({})).await;
    let opened = Channel::open(&sandbox, &second.url, &second.token).await;
    let mut channel = opened.expect("opens");
    // The gateway has the websocket once it relays.
    channel.next().await;
    let ended = json!({ "SessionId": first.id });
    let (status, _) = ssm(&sandbox, "TerminateSession", ended).await;
    assert_eq!(status, 200);

    let (_, active) = ssm(&sandbox, "DescribeSessions", json!({ "State": "Active" })).await;
    let active = active["Sessions"].as_array().expect("a list");
    assert_eq!(active.len(), 1, "{active:?}");
    let session = &active[0];
    assert_eq!(session["SessionId"], second.id.as_str());
    assert_eq!(session["Target"], TARGET);
    assert_eq!(session["Status"], "Connected");
    assert_eq!(session["DocumentName"], "AWS-StartPortForwardingSession");
    assert_eq!(session["Owner"], "arn:aws:iam::123456789012:user/taro");
    assert!(session["StartDate"].is_f64(), "{session}");
    assert_eq!(session.get("EndDate"), None);

    let (_, history) = ssm(&sandbox, "DescribeSessions", json!({ "State": "History" })).await;
    let history = history["Sessions"].as_array().expect("a list");
    assert_eq!(history.len(), 1, "{history:?}");
    assert_eq!(history[0]["SessionId"], first.id.as_str());
    assert_eq!(history[0]["Status"], "Terminated");
    assert!(history[0]["EndDate"].is_f64(), "{history:?}");
}

#[tokio::test]
async fn filters_and_pages_pick_sessions() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.insert(0, start(&sandbox, PORT, json!({})).await.id);
    }
    let filtered = async |key: &str, value: &str| {
        let filters = json!([{ "key": key, "value": value }]);
        let request = json!({ "State": "Active", "Filters": filters });
        sessions(&sandbox, request).await.0
    };
    for (key, value) in [
        ("Target", TARGET),
        ("Owner", "arn:aws:iam::123456789012:user/taro"),
        ("Status", "Connecting"),
        ("InvokedAfter", "2024-08-29T00:00:00Z"),
        ("InvokedBefore", "2999-01-01T00:00:00Z"),
        ("AccessType", "Standard"),
    ] {
        assert_eq!(filtered(key, value).await, all, "{key}");
    }
    assert_eq!(filtered("SessionId", &all[1]).await, [all[1].clone()]);
    for (key, value) in [
        ("Target", "i-0"),
        ("Owner", "arn:aws:iam::123456789012:user/hana"),
        ("Status", "Terminated"),
        ("InvokedBefore", "2024-08-29T00:00:00Z"),
        ("AccessType", "JustInTime"),
    ] {
        assert!(filtered(key, value).await.is_empty(), "{key}");
    }
    let page = json!({ "State": "Active", "MaxResults": 2 });
    let (first, next) = sessions(&sandbox, page).await;
    let page = json!({ "State": "Active", "MaxResults": 2, "NextToken": next });
    let (second, none) = sessions(&sandbox, page).await;
    assert_eq!([first, second].concat(), all, "the latest first");
    assert_eq!(none, None);
}

#[tokio::test]
async fn bad_requests_get_the_codes_of_the_reference() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    for (request, expected) in [
        (json!({}), "ValidationException"),
        (json!({ "State": "All" }), "ValidationException"),
        (
            json!({ "State": "Active", "MaxResults": 201 }),
            "ValidationException",
        ),
        (
            json!({ "State": "Active", "MaxResults": 0 }),
            "ValidationException",
        ),
        (
            json!({ "State": "Active", "NextToken": "two" }),
            "InvalidNextToken",
        ),
        (
            json!({ "State": "Active", "Filters": [{ "key": "Color", "value": "red" }] }),
            "InvalidFilterKey",
        ),
    ] {
        let (status, answer) = ssm(&sandbox, "DescribeSessions", request.clone()).await;
        assert_eq!(
            (status, &answer["__type"]),
            (400, &expected.into()),
            "{request}"
        );
    }
}

#[tokio::test]
async fn instances_are_found_by_tag_state_and_id() {
    let sandbox = sandbox(Instance::new(TARGET).name("web-1").tag("Team", "a&b")).await;
    sandbox.set_instance(
        Instance::new("i-0aaaaaaaaaaaaaaa1")
            .name("web-2")
            .stopped(true),
    );
    sandbox.set_instance(Instance::new("mi-0aaaaaaaaaaaaaaa1").name("web-3"));
    let found = async |parameters: &[(&str, &str)]| {
        let action = [("Action", "DescribeInstances")];
        let (status, xml) = ec2(&sandbox, &[&action, parameters].concat()).await;
        assert_eq!(status, 200, "{xml}");
        let ids = xml.split("<instanceId>").skip(1);
        let ids = ids.filter_map(|rest| rest.split_once('<'));
        ids.map(|(id, _)| id.to_owned()).collect::<Vec<_>>()
    };
    let filter = |name, value| [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
    let (one, two) = (TARGET, "i-0aaaaaaaaaaaaaaa1");
    assert_eq!(found(&[]).await, [one, two]);
    assert_eq!(found(&filter("tag:Name", "web-*")).await, [one, two]);
    assert_eq!(found(&filter("tag:Name", "web-2")).await, [two]);
    assert_eq!(found(&filter("tag:Team", "a&b")).await, [one]);
    assert_eq!(
        found(&filter("instance-state-name", "running")).await,
        [one]
    );
    assert_eq!(found(&filter("instance-id", two)).await, [two]);
    assert_eq!(found(&[("InstanceId.1", two)]).await, [two]);
    assert!(found(&filter("vpc-id", "vpc-other")).await.is_empty());
    let both = [
        filter("tag:Name", "web-*"),
        [
            ("Filter.2.Name", "instance-state-name"),
            ("Filter.2.Value.1", "stopped"),
        ],
    ];
    assert_eq!(found(&both.concat()).await, [two]);

    for (parameters, code) in [
        (
            [("InstanceId.1", "i-0b"), ("A", "")],
            "InvalidInstanceID.NotFound",
        ),
        (
            [("InstanceId.1", "web"), ("A", "")],
            "InvalidInstanceID.Malformed",
        ),
        (filter("colour", "red"), "InvalidParameterValue"),
        ([("MaxResults", "4"), ("A", "")], "InvalidParameterValue"),
    ] {
        let action = [("Action", "DescribeInstances")];
        let (status, xml) = ec2(&sandbox, &[&action[..], &parameters].concat()).await;
        assert_eq!(status, 400, "{xml}");
        assert!(xml.contains(&format!("<Code>{code}</Code>")), "{xml}");
    }
}

#[tokio::test]
async fn a_stopped_instance_cannot_be_reached() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let path = format!("/sandbox/instance?id={TARGET}&stopped=true");
    assert_eq!(control(&sandbox, "POST", &path).await, (200, String::new()));
    let (status, answer) = ssm(&sandbox, "StartSession", json!({ "Target": TARGET })).await;
    assert_eq!(
        (status, &answer["__type"]),
        (400, &"TargetNotConnected".into())
    );
}
