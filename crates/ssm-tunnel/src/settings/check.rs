//! Values that cannot work, refused before any call to AWS.

use crate::error::Error;

/// Maximum number of characters of a reason (`Reason` in the Systems Manager API Reference,
/// StartSession).
const LONGEST_REASON: usize = 256;
/// Maximum number of characters of a target (`Target` there).
const LONGEST_TARGET: usize = 400;

pub(super) fn wrong(text: impl Into<String>) -> Result<(), Error> {
    Err(Error::Settings(text.into()))
}

pub(crate) fn target(target: &str) -> Result<(), Error> {
    if target.trim().is_empty() {
        return wrong(
            "the target is empty: give an instance id such as i-0123456789abcdef0, or its Name tag",
        );
    }
    if target.contains(char::is_control) || target.chars().count() > LONGEST_TARGET {
        return wrong(format!(
            "invalid target {:?}: give an instance (i-0123456789abcdef0), a managed node (mi-...), a container (ecs:CLUSTER_TASK_RUNTIMEID), or an instance's Name tag, computer name or private IP",
            shortened(target)
        ));
    }
    Ok(())
}

pub(crate) fn remote_port(port: Option<u16>, required: bool) -> Result<(), Error> {
    match port {
        Some(0) => wrong("remote port 0 cannot be reached: give a port from 1 to 65535"),
        None if required => wrong("no remote port: call `remote_port`, 3389 for Remote Desktop"),
        _ => Ok(()),
    }
}

pub(crate) fn document_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return wrong("the session document's name is empty: leave it out to use AWS's own");
    }
    Ok(())
}

pub(crate) fn reason(reason: &str) -> Result<(), Error> {
    if reason.is_empty() {
        return wrong("the reason is empty: leave it out");
    }
    if reason.chars().count() > LONGEST_REASON {
        return wrong("the reason is longer than the 256 characters the service takes");
    }
    Ok(())
}

/// The SDK would only report that a "host label" is invalid.
pub(crate) fn region(region: &str) -> Result<(), Error> {
    if region.trim().is_empty() {
        return Err(Error::NoRegion);
    }
    ssm_aws::check_region(region).or_else(|invalid| {
        wrong(format!(
            "{invalid}; check `region`, AWS_REGION and `region` in the profile"
        ))
    })
}

/// The beginning of a text of any length, for an error.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(outcome: Result<(), Error>, words: &str) {
        let error = outcome.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn targets_of_every_kind_are_accepted_and_others_refused() {
        for known in [
            "i-0123456789abcdef0",
            "mi-0a",
            "ecs:c_t_r-1",
            "my.alias",
            "my box",
        ] {
            target(known).expect(known);
        }
        for text in ["", " ", "\t"] {
            refused(target(text), "the target is empty");
        }
        for text in ["i-1\n", "i-\u{0}", "my\tbox", &"x".repeat(401)] {
            refused(target(text), ": give an instance (i-0123456789abcdef0)");
        }
    }

    #[test]
    fn regions_must_be_host_labels() {
        for name in ["eu-west-1", "us-gov-east-1"] {
            region(name).expect(name);
        }
        assert!(matches!(region(""), Err(Error::NoRegion)));
        for name in ["not a region", "eu.west", "-x", "é", &"x".repeat(64)] {
            refused(region(name), "expected something like eu-west-1");
        }
    }

    #[test]
    fn empty_optional_settings_are_refused() {
        refused(document_name(" "), "the session document's name is empty");
        refused(reason(""), "the reason is empty");
        refused(reason(&"x".repeat(257)), "longer than the 256 characters");
        reason(&"é".repeat(256)).expect("256 characters");
        refused(remote_port(Some(0), true), "give a port from 1 to 65535");
        refused(remote_port(None, true), "no remote port");
        remote_port(None, false).expect("a custom document may name it");
    }
}
