//! DescribeInstances (Amazon EC2 API Reference, DescribeInstances and Instance; User Guide,
//! "List and filter your resources", for wildcards).

use std::borrow::Cow;

use http::StatusCode;

use crate::account::instance::Instance;
use crate::account::{ACCOUNT_ID, Account, Caller};
use crate::clock::iso8601;
use crate::services::query::{Failure, Form, escape, unauthorized};
use crate::state::State;

const PAGES: std::ops::RangeInclusive<i64> = 5..=1000;
/// Longest value of a filter, as long as that of a tag.
const LONGEST_PATTERN: usize = 256;

const IMAGE: &str = "ami-0123456789abcdef0";
const KIND: &str = "t3.medium";
const VPC: &str = "vpc-0123456789abcdef0";
const SUBNET: &str = "subnet-0123456789abcdef0";
/// When instances were started.
const LAUNCHED: u64 = 1_767_225_600;

pub(super) fn describe_instances(
    state: &State,
    account: &Account,
    caller: &Caller,
    form: &Form,
) -> Result<String, Failure> {
    const ACTION: &str = "ec2:DescribeInstances";
    if let Some(context) = account.denial(caller, ACTION) {
        return Err(unauthorized(&caller.arn, ACTION, None, context));
    }
    let ids = numbered(form, "InstanceId");
    let filters = filters(form)?;
    let size = page_size(form, !ids.is_empty())?;
    let start = offset(form)?;
    for id in &ids {
        if !is_instance_id(id) {
            return Err(invalid(
                "InvalidInstanceID.Malformed",
                format!("Invalid id: \"{id}\""),
            ));
        }
    }
    let missing: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| !account.instances.contains_key(*id))
        .collect();
    if !missing.is_empty() {
        let text = match missing.as_slice() {
            [one] => format!("The instance ID '{one}' does not exist"),
            several => format!("The instance IDs '{}' do not exist", several.join(", ")),
        };
        return Err(invalid("InvalidInstanceID.NotFound", text));
    }
    let found: Vec<&Instance> = account
        .instances
        .values()
        .filter(|instance| is_instance_id(&instance.id))
        .filter(|instance| ids.is_empty() || ids.contains(&instance.id.as_str()))
        .filter(|instance| filters.iter().all(|filter| filter.holds(instance, state)))
        .collect();
    let page = found.iter().skip(start).take(size.unwrap_or(usize::MAX));
    let reservations: String = page.map(|instance| reservation(instance, state)).collect();
    let end = start.saturating_add(size.unwrap_or(usize::MAX));
    let next = if end < found.len() {
        format!("    <nextToken>{}</nextToken>\n", token(end))
    } else {
        String::new()
    };
    Ok(format!(
        "    <reservationSet>{reservations}</reservationSet>\n{next}"
    ))
}

fn invalid(code: &'static str, message: String) -> Failure {
    Failure {
        status: StatusCode::BAD_REQUEST,
        code,
        message,
    }
}

fn is_instance_id(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Values of `NAME.1`, `NAME.2`, in the order of their numbers.
fn numbered<'a>(form: &'a Form, name: &str) -> Vec<&'a str> {
    let mut found: Vec<(u32, &str)> = form
        .iter()
        .filter_map(|(key, value)| {
            let number = key.strip_prefix(name)?.strip_prefix('.')?.parse().ok()?;
            Some((number, value.as_str()))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, value)| value).collect()
}

struct Filter<'a> {
    name: &'a str,
    values: Vec<&'a str>,
}

fn filters(form: &Form) -> Result<Vec<Filter<'_>>, Failure> {
    let names = form.iter().filter_map(|(key, name)| {
        let number = key.strip_prefix("Filter.")?.strip_suffix(".Name")?;
        Some((number, name.as_str()))
    });
    names
        .map(|(number, name)| {
            let values = numbered(form, &format!("Filter.{number}.Value"));
            if !is_known(name) {
                let text = format!("The filter '{name}' is invalid");
                return Err(invalid("InvalidParameterValue", text));
            }
            Ok(Filter { name, values })
        })
        .collect()
}

/// Those of the reference that people use.
const NAMES: [&str; 25] = [
    "architecture",
    "availability-zone",
    "dns-name",
    "hypervisor",
    "image-id",
    "instance-id",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "ip-address",
    "key-name",
    "launch-time",
    "monitoring-state",
    "network-interface.addresses.private-ip-address",
    "owner-id",
    "platform",
    "platform-details",
    "private-dns-name",
    "private-ip-address",
    "root-device-type",
    "subnet-id",
    "tag-key",
    "tag-value",
    "tenancy",
    "vpc-id",
];

fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || name.strip_prefix("tag:").is_some_and(|key| !key.is_empty())
}

impl Filter<'_> {
    /// Whether any value matches any of the instance's under this name.
    fn holds(&self, instance: &Instance, state: &State) -> bool {
        let has = attributes(instance, self.name, state);
        has.iter()
            .any(|has| self.values.iter().any(|value| fits(value, has)))
    }
}

fn attributes<'a>(instance: &'a Instance, name: &str, state: &State) -> Vec<Cow<'a, str>> {
    if let Some(key) = name.strip_prefix("tag:") {
        return instance.tags.get(key).map(Cow::from).into_iter().collect();
    }
    let one: Cow<'a, str> = match name {
        "architecture" => "x86_64".into(),
        "availability-zone" => format!("{}a", state.region).into(),
        "hypervisor" => "xen".into(),
        "image-id" => IMAGE.into(),
        "instance-id" => instance.id.as_str().into(),
        "instance-state-code" => run_state(instance).0.to_string().into(),
        "instance-state-name" => run_state(instance).1.into(),
        "instance-type" => KIND.into(),
        "launch-time" => launch_time().into(),
        "monitoring-state" => "disabled".into(),
        "owner-id" => ACCOUNT_ID.into(),
        "platform" if is_windows(instance) => "windows".into(),
        "platform-details" => platform_details(instance).into(),
        "private-dns-name" => private_dns_name(instance, state).into(),
        "private-ip-address" | "network-interface.addresses.private-ip-address" => {
            instance.ip_address.to_string().into()
        }
        "root-device-type" => "ebs".into(),
        "subnet-id" => SUBNET.into(),
        "tenancy" => "default".into(),
        "vpc-id" => VPC.into(),
        "tag-key" => return instance.tags.keys().map(Cow::from).collect(),
        "tag-value" => return instance.tags.values().map(Cow::from).collect(),
        // No key pair, no public address.
        _ => return Vec::new(),
    };
    vec![one]
}

/// `*` is any text, `?` one character, a backslash takes the next one as it is.
fn fits(pattern: &str, text: &str) -> bool {
    #[derive(Clone, Copy)]
    enum Part {
        Any,
        One,
        Literal(char),
    }
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => Part::Literal(characters.next().unwrap_or('\\')),
            other => Part::Literal(other),
        });
    }
    if parts.len() > LONGEST_PATTERN {
        return false;
    }
    let text: Vec<char> = text.chars().collect();
    let (mut part, mut at) = (0, 0);
    // Where to continue when the text after the last `*` does not match.
    let mut again = None;
    while let Some(character) = text.get(at) {
        match parts.get(part) {
            Some(Part::Any) => {
                again = Some((part, at));
                part += 1;
                continue;
            }
            Some(Part::One) => {}
            Some(Part::Literal(literal)) if literal == character => {}
            _ => {
                let Some((star, from)) = again else {
                    return false;
                };
                again = Some((star, from + 1));
                (part, at) = (star + 1, from + 1);
                continue;
            }
        }
        part += 1;
        at += 1;
    }
    parts
        .get(part..)
        .unwrap_or_default()
        .iter()
        .all(|part| matches!(part, Part::Any))
}

fn run_state(instance: &Instance) -> (u8, &'static str) {
    match instance.stopped {
        true => (80, "stopped"),
        false => (16, "running"),
    }
}

fn is_windows(instance: &Instance) -> bool {
    instance.platform.kind == "Windows"
}

fn platform_details(instance: &Instance) -> &'static str {
    match is_windows(instance) {
        true => "Windows",
        false => "Linux/UNIX",
    }
}

fn private_dns_name(instance: &Instance, state: &State) -> String {
    let address = instance.ip_address.to_string().replace(['.', ':'], "-");
    match state.region.as_str() {
        "us-east-1" => format!("ip-{address}.ec2.internal"),
        region => format!("ip-{address}.{region}.compute.internal"),
    }
}

fn launch_time() -> String {
    iso8601(std::time::Duration::from_secs(LAUNCHED)).replace('Z', ".000Z")
}

fn reservation(instance: &Instance, state: &State) -> String {
    let (code, name) = run_state(instance);
    let tags: String = instance
        .tags
        .iter()
        .map(|(key, value)| {
            let (key, value) = (escape(key), escape(value));
            format!("<item><key>{key}</key><value>{value}</value></item>")
        })
        .collect();
    let id = escape(&instance.id);
    let platform = match is_windows(instance) {
        true => "<platform>windows</platform>",
        false => "",
    };
    let (dns, address) = (private_dns_name(instance, state), instance.ip_address);
    let (region, details, launched) = (&state.region, platform_details(instance), launch_time());
    format!(
        "<item><reservationId>r-{number}</reservationId><ownerId>{ACCOUNT_ID}</ownerId><groupSet/>\
         <instancesSet><item><instanceId>{id}</instanceId><imageId>{IMAGE}</imageId>\
         <instanceState><code>{code}</code><name>{name}</name></instanceState>\
         <privateDnsName>{dns}</privateDnsName><dnsName/><reason/><amiLaunchIndex>0</amiLaunchIndex>\
         <productCodes/><instanceType>{KIND}</instanceType><launchTime>{launched}</launchTime>\
         <placement><availabilityZone>{region}a</availabilityZone><groupName/><tenancy>default</tenancy></placement>\
         {platform}<monitoring><state>disabled</state></monitoring><subnetId>{SUBNET}</subnetId><vpcId>{VPC}</vpcId>\
         <privateIpAddress>{address}</privateIpAddress><sourceDestCheck>true</sourceDestCheck><groupSet/>\
         <architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/sda1</rootDeviceName>\
         <blockDeviceMapping/><virtualizationType>hvm</virtualizationType><hypervisor>xen</hypervisor>\
         <tagSet>{tags}</tagSet><platformDetails>{details}</platformDetails></item></instancesSet></item>",
        number = id.trim_start_matches("i-"),
    )
}

/// The page size, if one was requested.
fn page_size(form: &Form, has_ids: bool) -> Result<Option<usize>, Failure> {
    let Some(asked) = form.get("MaxResults") else {
        return Ok(None);
    };
    if has_ids {
        return Err(invalid(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults".to_owned(),
        ));
    }
    let size = asked.parse().ok().filter(|asked| PAGES.contains(asked));
    match size.and_then(|size| usize::try_from(size).ok()) {
        Some(size) => Ok(Some(size)),
        None => Err(invalid(
            "InvalidParameterValue",
            format!(
                "Value ( {asked} ) for parameter maxResults is invalid. Expecting a value between {} and {}.",
                PAGES.start(),
                PAGES.end()
            ),
        )),
    }
}

fn token(offset: usize) -> String {
    format!("{:016x}", offset ^ MASK)
}

fn offset(form: &Form) -> Result<usize, Failure> {
    let Some(token) = form.get("NextToken").filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    let masked = usize::from_str_radix(token, 16).ok();
    masked
        .filter(|_| token.len() == 16)
        .map(|masked| masked ^ MASK)
        .ok_or_else(|| {
            invalid(
                "InvalidParameterValue",
                "Unable to parse pagination token".to_owned(),
            )
        })
}

/// A token does not look like a number.
const MASK: usize = 0x5d11_e2c2;

#[cfg(test)]
mod tests;
