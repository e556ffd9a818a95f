//! Systems Manager's listings of managed nodes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{Failure, authorize, failure, target_arn};
use super::page::{offset, page_size, token};
use crate::account::instance::{Instance, LATEST_AGENT};
use crate::account::{ACCOUNT_ID, Caller};
use crate::state::State;

/// Default items per page (API Reference, DescribeInstanceInformation).
const PAGE: usize = 10;
/// Items that a request may ask for per page.
const PAGES: std::ops::RangeInclusive<i64> = 5..=50;
/// Values that a tag's filter takes: the service's own text says so.
const TAG_VALUES: usize = 5;
/// An agent pings every few minutes.
const LAST_PING: Duration = Duration::from_secs(100);
/// How long ago an instance that is offline last pinged.
const LOST: Duration = Duration::from_secs(3 * 3600);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeInstanceInformation {
    #[serde(default)]
    filters: Vec<StringFilter>,
    #[serde(default)]
    instance_information_filter_list: Vec<LegacyFilter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StringFilter {
    key: String,
    values: Vec<String>,
}

/// The older form: other member names, and no tags.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyFilter {
    key: String,
    value_set: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OnTarget {
    target: String,
}

pub(super) fn describe_instance_information(
    state: &State,
    caller: &Caller,
    request: &DescribeInstanceInformation,
) -> Result<Value, Failure> {
    let account = state.account();
    let all = format!("arn:aws:ssm:{}:{ACCOUNT_ID}:*", state.region);
    authorize(&account, caller, "ssm:DescribeInstanceInformation", &all)?;
    let filters = filters(request)?;
    let size = page_size(request.max_results, PAGES)?.unwrap_or(PAGE);
    let start = match &request.next_token {
        Some(token) => offset(token)?,
        None => 0,
    };
    let now = state.clock.unix();
    let found = account.instances.values().filter(|instance| {
        filters
            .iter()
            .all(|(key, values)| matches(instance, key, values))
    });
    let rest: Vec<_> = found.skip(start).collect();
    let page: Vec<_> = rest
        .iter()
        .take(size)
        .map(|instance| information(instance, now))
        .collect();
    let mut answer = json!({ "InstanceInformationList": page });
    if rest.len() > size {
        answer["NextToken"] = token(start + size).into();
    }
    Ok(answer)
}

pub(super) fn get_connection_status(
    state: &State,
    caller: &Caller,
    request: &OnTarget,
) -> Result<Value, Failure> {
    let account = state.account();
    let resource = target_arn(state, &request.target);
    authorize(&account, caller, "ssm:GetConnectionStatus", &resource)?;
    let instance = account.instances.get(&request.target);
    let status = match instance.is_some_and(Instance::is_reachable) {
        true => "connected",
        false => "notconnected",
    };
    Ok(json!({ "Target": request.target, "Status": status }))
}

/// Keys and values of whichever kind of filter was given.
fn filters(request: &DescribeInstanceInformation) -> Result<Vec<(&str, &[String])>, Failure> {
    let invalid = |text: String| failure("ValidationException", text);
    let legacy = &request.instance_information_filter_list;
    if !request.filters.is_empty() && !legacy.is_empty() {
        return Err(invalid(
            "Filters and InstanceInformationFilterList cannot both be given.".to_owned(),
        ));
    }
    let given = request.filters.iter();
    let given: Vec<_> = given
        .map(|filter| (filter.key.as_str(), filter.values.as_slice()))
        .chain(
            legacy
                .iter()
                .map(|filter| (filter.key.as_str(), filter.value_set.as_slice())),
        )
        .collect();
    let is_tag = |key: &str| key == "tag-key" || key.starts_with("tag:");
    if given.len() > 1 && given.iter().any(|(key, _)| is_tag(key)) {
        return Err(invalid(
            "Cannot mix tag or inventory filter with any other filter.".to_owned(),
        ));
    }
    for (key, values) in &given {
        if values.is_empty() || values.iter().any(String::is_empty) {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'filters' failed to satisfy constraint: the values of {key} must have length greater than or equal to 1"
            )));
        }
        if is_tag(key) && legacy.is_empty() {
            if values.len() > TAG_VALUES {
                return Err(invalid(format!(
                    "The number of tag values for {key} was {}. Max: {TAG_VALUES}.",
                    values.len()
                )));
            }
            continue;
        }
        check(key, values)?;
    }
    Ok(given)
}

/// A key that is not a tag's, and its values.
fn check(key: &str, values: &[String]) -> Result<(), Failure> {
    let invalid = |text: String| failure("InvalidInstanceInformationFilterValue", text);
    let known: &[&str] = match key {
        "InstanceIds" => {
            let id = |id: &String| id.starts_with("i-") || id.starts_with("mi-");
            return match values.iter().find(|value| !id(value)) {
                Some(odd) => Err(failure("InvalidInstanceId", format!("{odd} is not valid."))),
                None => Ok(()),
            };
        }
        "PingStatus" => &["Online", "ConnectionLost", "Inactive"],
        "PlatformTypes" => &["Windows", "Linux", "MacOS"],
        "ResourceType" => &["EC2Instance", "ManagedInstance"],
        "ActivationIds" | "AgentVersion" | "AssociationStatus" | "IamRole" | "SourceIds"
        | "SourceTypes" => return Ok(()),
        _ => {
            return Err(failure(
                "InvalidFilterKey",
                format!("{key} is not a valid filter key."),
            ));
        }
    };
    if key == "ResourceType" && values.len() > 1 {
        return Err(invalid(
            "ResourceType filter may contain only one value.".to_owned(),
        ));
    }
    if values.iter().any(|value| !known.contains(&value.as_str())) {
        return Err(invalid(format!(
            "{key} filter is invalid, valid values are {}",
            known.join(", ")
        )));
    }
    Ok(())
}

fn matches(instance: &Instance, key: &str, values: &[String]) -> bool {
    let is = |found: &str| values.iter().any(|value| value == found);
    match key {
        "InstanceIds" | "SourceIds" => is(&instance.id),
        "PingStatus" => is(ping_status(instance)),
        "PlatformTypes" => is(&instance.platform.kind),
        "ResourceType" => is(resource_type(instance)),
        "AgentVersion" => is(&instance.agent_version),
        "SourceTypes" => is(source_type(instance)),
        "tag-key" => values.iter().any(|key| instance.tags.contains_key(key)),
        _ => match key
            .strip_prefix("tag:")
            .and_then(|key| instance.tags.get(key))
        {
            Some(value) => is(value),
            // No instance here was activated, has a role of Systems Manager's own, or an association.
            None => false,
        },
    }
}

fn information(instance: &Instance, now: Duration) -> Value {
    let last_ping = if instance.is_online() {
        LAST_PING
    } else {
        LOST
    };
    let mut information = json!({
        "InstanceId": instance.id,
        "PingStatus": ping_status(instance),
        "LastPingDateTime": now.saturating_sub(last_ping).as_secs_f64(),
        "AgentVersion": instance.agent_version,
        "IsLatestVersion": instance.agent_version == LATEST_AGENT,
        "PlatformType": instance.platform.kind,
        "PlatformName": instance.platform.name,
        "PlatformVersion": instance.platform.version,
        "ResourceType": resource_type(instance),
        "IPAddress": instance.ip_address.to_string(),
        "ComputerName": instance.computer_name,
        "SourceId": instance.id,
        "SourceType": source_type(instance),
    });
    if let Some(name) = &instance.registered_name {
        information["Name"] = name.as_str().into();
    }
    information
}

fn ping_status(instance: &Instance) -> &'static str {
    if instance.is_online() {
        "Online"
    } else {
        "ConnectionLost"
    }
}

fn is_managed_instance(instance: &Instance) -> bool {
    instance.id.starts_with("mi-")
}

fn resource_type(instance: &Instance) -> &'static str {
    if is_managed_instance(instance) {
        "ManagedInstance"
    } else {
        "EC2Instance"
    }
}

fn source_type(instance: &Instance) -> &'static str {
    if is_managed_instance(instance) {
        "AWS::SSM::ManagedInstance"
    } else {
        "AWS::EC2::Instance"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: Value) -> DescribeInstanceInformation {
        serde_json::from_value(request).expect("a request")
    }

    fn code(request: Value) -> Option<(&'static str, String)> {
        let request = asked(request);
        let outcome = filters(&request).map(drop);
        let outcome = outcome.and_then(|()| page_size(request.max_results, PAGES).map(drop));
        outcome.err().map(|failure| (failure.code, failure.message))
    }

    #[test]
    fn filters_that_aws_refuses_are_refused_by_its_codes() {
        let filter = |key: &str, values: &[&str]| json!({ "Key": key, "Values": values });
        for (request, expected) in [
            (
                json!({ "Filters": [filter("Color", &["red"])] }),
                "InvalidFilterKey",
            ),
            (
                json!({ "Filters": [filter("ResourceType", &["EC2Instance", "ManagedInstance"])] }),
                "InvalidInstanceInformationFilterValue",
            ),
            (
                json!({ "Filters": [filter("PingStatus", &["Sleeping"])] }),
                "InvalidInstanceInformationFilterValue",
            ),
            (
                json!({ "Filters": [filter("InstanceIds", &["web"])] }),
                "InvalidInstanceId",
            ),
            (
                json!({ "Filters": [filter("tag:Name", &["a"]), filter("PingStatus", &["Online"])] }),
                "ValidationException",
            ),
            (
                json!({ "Filters": [filter("tag:Name", &["a", "b", "c", "d", "e", "f"])] }),
                "ValidationException",
            ),
            (
                json!({ "Filters": [filter("tag:Name", &[])] }),
                "ValidationException",
            ),
            (
                json!({
                    "Filters": [filter("tag:Name", &["a"])],
                    "InstanceInformationFilterList": [{ "key": "PingStatus", "valueSet": ["Online"] }],
                }),
                "ValidationException",
            ),
            (
                json!({ "InstanceInformationFilterList": [{ "key": "tag:Name", "valueSet": ["a"] }] }),
                "InvalidFilterKey",
            ),
            (json!({ "MaxResults": 4 }), "ValidationException"),
            (json!({ "MaxResults": 51 }), "ValidationException"),
        ] {
            let (code, text) = code(request.clone()).unwrap_or_else(|| panic!("taken: {request}"));
            assert_eq!(code, expected, "{request}: {text}");
        }
        for request in [
            json!({}),
            json!({ "Filters": [filter("tag:Name", &["a", "b"])], "MaxResults": 50 }),
            json!({ "Filters": [filter("PingStatus", &["Online"]), filter("PlatformTypes", &["Linux"])] }),
            json!({ "InstanceInformationFilterList": [{ "key": "PingStatus", "valueSet": ["Online"] }] }),
        ] {
            assert_eq!(code(request.clone()), None, "{request}");
        }
    }

    #[test]
    fn filters_pick_by_what_an_instance_is() {
        let windows = Instance::new("i-0123456789abcdef0")
            .name("my-box")
            .tag("Team", "a");
        let linux = Instance::new("mi-0123456789abcdef0")
            .online(false)
            .platform("Linux", "Debian GNU/Linux", "13");
        for (key, value, expected) in [
            ("tag:Name", "my-box", (true, false)),
            ("tag:Name", "My-Box", (false, false)),
            ("tag-key", "Team", (true, false)),
            ("PingStatus", "ConnectionLost", (false, true)),
            ("PlatformTypes", "Linux", (false, true)),
            ("ResourceType", "ManagedInstance", (false, true)),
            ("InstanceIds", "i-0123456789abcdef0", (true, false)),
            ("AgentVersion", LATEST_AGENT, (true, true)),
            ("IamRole", "any", (false, false)),
        ] {
            let values = [value.to_owned()];
            let found = (
                matches(&windows, key, &values),
                matches(&linux, key, &values),
            );
            assert_eq!(found, expected, "{key} = {value}");
        }
    }

    #[test]
    fn instances_have_computer_names_and_addresses_of_their_own() {
        let (one, two) = (Instance::new("i-0a"), Instance::new("i-0b"));
        assert_ne!(one.computer_name, two.computer_name);
        assert_ne!(one.ip_address, two.ip_address);
    }
}
