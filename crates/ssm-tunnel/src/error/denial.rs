//! What the service's text says about a denial.

use std::fmt;

use serde::Serialize;

/// A denial by IAM, as far as the service's text describes it.
///
/// The forms are those of the IAM User Guide, "Troubleshoot access denied error messages". A text
/// names one policy type even where several deny; it names the policy itself only within an
/// organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denial {
    /// Whether a Deny statement applies, or no Allow statement.
    pub cause: DenialCause,
    /// The type of policy that caused it.
    pub policy: PolicyType,
    /// The ARN of the policy, where the text names it.
    pub policy_arn: Option<String>,
    /// The ARN of the caller that was denied.
    pub principal: Option<String>,
    /// The IAM action, such as `ssm:StartSession`.
    pub action: Option<String>,
    /// The ARN of the resource that was denied.
    pub resource: Option<String>,
}

/// Why a call is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DenialCause {
    /// A Deny statement applies, regardless of Allow statements.
    ExplicitDeny,
    /// No Allow statement applies; a statement whose condition is not met does not apply.
    NoAllow,
    /// The text does not say.
    Unstated,
}

/// The types of policy that can cause a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicyType {
    /// Attached to the user, their groups, or the role.
    IdentityBased,
    /// Attached to the resource.
    ResourceBased,
    /// SCP: set by the organization for its accounts.
    ServiceControl,
    /// RCP: set by the organization for its resources.
    ResourceControl,
    /// The maximum permissions of a user or role.
    PermissionsBoundary,
    /// Passed when the credentials' session was started.
    Session,
    /// Attached to the VPC endpoint that the call went through.
    VpcEndpoint,
    /// The text does not say.
    Unstated,
}

/// The names in AWS's texts.
const POLICY_TYPES: [(&str, PolicyType); 7] = [
    ("identity-based policy", PolicyType::IdentityBased),
    ("resource-based policy", PolicyType::ResourceBased),
    ("service control policy", PolicyType::ServiceControl),
    ("resource control policy", PolicyType::ResourceControl),
    ("permissions boundary", PolicyType::PermissionsBoundary),
    ("session policy", PolicyType::Session),
    ("VPC endpoint policy", PolicyType::VpcEndpoint),
];

impl Denial {
    /// Reads the text of a denial.
    pub fn read(text: &str) -> Self {
        let explicit = after(text, "with an explicit deny");
        let (cause, rest) = match (explicit, after(text, "because no ")) {
            (Some(rest), _) => (DenialCause::ExplicitDeny, rest),
            (None, Some(rest)) => (DenialCause::NoAllow, rest),
            (None, None) => (DenialCause::Unstated, ""),
        };
        let found = POLICY_TYPES
            .into_iter()
            .filter_map(|(name, policy)| Some((rest.find(name)?, name, policy)))
            .min_by_key(|(at, _, _)| *at);
        let (policy, policy_arn) = match found {
            Some((at, name, policy)) => {
                let rest = rest.get(at + name.len()..).unwrap_or_default();
                (policy, rest.strip_prefix(": ").and_then(arn))
            }
            None => (PolicyType::Unstated, None),
        };
        Self {
            cause,
            policy,
            policy_arn,
            principal: after(text, "User: ").and_then(arn),
            action: after(text, "not authorized to perform: ").and_then(word),
            resource: after(text, "on resource: ").and_then(arn),
        }
    }

    /// What to do about it, for an `action` (`ssm:StartSession`) on resources described in words.
    pub(crate) fn advice(&self, action: &str, on: &str) -> String {
        const MFA: &str = "if the policy demands MFA, credentials of an MFA session may be missing: log in with a code first";
        match (self.policy, self.cause) {
            (PolicyType::ServiceControl | PolicyType::ResourceControl, _) => {
                "a policy of the organization decides this, which no policy of the account can override: ask the organization's administrators".to_owned()
            }
            (PolicyType::PermissionsBoundary, _) => format!(
                "the user's or role's permissions boundary must allow {action} too, not only their policies"
            ),
            (PolicyType::Session, _) => format!(
                "the session's own policy must allow {action}: start the session without one, or with one that does"
            ),
            (PolicyType::VpcEndpoint, _) => format!(
                "the policy of the VPC endpoint that the call went through must allow {action}"
            ),
            (_, DenialCause::ExplicitDeny) => format!(
                "a Deny statement applies, regardless of Allow statements; {MFA}"
            ),
            _ => format!("it takes an IAM policy that allows {action} on {on}, and {MFA}"),
        }
    }
}

/// In words: `no identity-based policy allows it`.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = POLICY_TYPES
            .iter()
            .find(|(_, policy)| *policy == self.policy)
            .map_or("policy", |(name, _)| name);
        match self.cause {
            DenialCause::ExplicitDeny => write!(f, "explicit deny in {} {name}", article(name))?,
            DenialCause::NoAllow => write!(f, "no {name} allows it")?,
            DenialCause::Unstated => f.write_str("denied, without naming a policy")?,
        }
        match &self.policy_arn {
            Some(arn) => write!(f, " ({arn})"),
            None => Ok(()),
        }
    }
}

fn article(name: &str) -> &'static str {
    if name.starts_with('i') { "an" } else { "a" }
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let at = text.find(words)?;
    text.get(at + words.len()..)
}

fn word(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    let bare = word.trim_matches(|c| c == '"' || c == '.' || c == ',');
    (!bare.is_empty()).then(|| bare.to_owned())
}

fn arn(text: &str) -> Option<String> {
    word(text).filter(|word| word.starts_with("arn:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "User: arn:aws:iam::123456789012:user/taro is not authorized to perform: ssm:StartSession on resource: arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0 ";

    #[test]
    fn every_form_of_a_denial_is_recognized() {
        use DenialCause::{ExplicitDeny, NoAllow, Unstated};
        for (context, cause, policy, shown) in [
            (
                "with an explicit deny in an identity-based policy",
                ExplicitDeny,
                PolicyType::IdentityBased,
                "explicit deny in an identity-based policy",
            ),
            (
                "because no identity-based policy allows the ssm:StartSession action",
                NoAllow,
                PolicyType::IdentityBased,
                "no identity-based policy allows it",
            ),
            (
                "with an explicit deny in a service control policy",
                ExplicitDeny,
                PolicyType::ServiceControl,
                "explicit deny in a service control policy",
            ),
            (
                "because no service control policy allows the ssm:StartSession action",
                NoAllow,
                PolicyType::ServiceControl,
                "no service control policy allows it",
            ),
            (
                "with an explicit deny in a resource control policy",
                ExplicitDeny,
                PolicyType::ResourceControl,
                "explicit deny in a resource control policy",
            ),
            (
                "because no permissions boundary allows the ssm:StartSession action",
                NoAllow,
                PolicyType::PermissionsBoundary,
                "no permissions boundary allows it",
            ),
            (
                "with an explicit deny in a permissions boundary",
                ExplicitDeny,
                PolicyType::PermissionsBoundary,
                "explicit deny in a permissions boundary",
            ),
            (
                "because no session policy allows the ssm:StartSession action",
                NoAllow,
                PolicyType::Session,
                "no session policy allows it",
            ),
            (
                "with an explicit deny in a VPC endpoint policy transitively through a service control policy",
                ExplicitDeny,
                PolicyType::VpcEndpoint,
                "explicit deny in a VPC endpoint policy",
            ),
            (
                "because no resource-based policy allows the ssm:StartSession action",
                NoAllow,
                PolicyType::ResourceBased,
                "no resource-based policy allows it",
            ),
            (
                "with an explicit deny",
                ExplicitDeny,
                PolicyType::Unstated,
                "explicit deny in a policy",
            ),
            (
                "",
                Unstated,
                PolicyType::Unstated,
                "denied, without naming a policy",
            ),
        ] {
            let denial = Denial::read(&format!("{BEFORE}{context}"));
            assert_eq!((denial.cause, denial.policy), (cause, policy), "{context}");
            assert_eq!(
                denial.principal.as_deref(),
                Some("arn:aws:iam::123456789012:user/taro")
            );
            assert_eq!(denial.action.as_deref(), Some("ssm:StartSession"));
            assert_eq!(
                denial.resource.as_deref(),
                Some("arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0")
            );
            assert_eq!(denial.policy_arn, None, "{context}");
            assert_eq!(denial.to_string(), shown);
        }
    }

    #[test]
    fn policy_arn_is_read_where_aws_names_it() {
        let text = format!(
            "{BEFORE}with an explicit deny in a service control policy: arn:aws:organizations::987654321098:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd"
        );
        let denial = Denial::read(&text);
        assert_eq!(
            denial.policy_arn.as_deref(),
            Some(
                "arn:aws:organizations::987654321098:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd"
            )
        );
        assert!(
            denial
                .advice("ssm:StartSession", "it")
                .contains("organization")
        );
    }

    #[test]
    fn other_texts_yield_no_details() {
        for text in [
            "",
            "no",
            "User: ",
            "because no ",
            "on resource: \u{e9}",
            "perform: ",
        ] {
            let denial = Denial::read(text);
            assert_eq!(denial.policy, PolicyType::Unstated, "{text}");
            assert_eq!(denial.principal, None, "{text}");
        }
    }
}
