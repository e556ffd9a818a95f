//! Region names, which become part of a host name.

use thiserror::Error;

use crate::printable::printable;

/// A text that no region can be called.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid region {0:?}: expected something like eu-west-1")]
pub struct InvalidRegion(String);

/// Checks that a region is a host label of at most 63 letters, digits and hyphens (RFC 1123).
/// An empty one passes: it counts as unset.
///
/// # Errors
/// When it is not.
pub fn check_region(region: &str) -> Result<(), InvalidRegion> {
    let is_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if region.bytes().all(is_label) && !region.starts_with('-') && region.len() <= 63 {
        return Ok(());
    }
    Err(InvalidRegion(printable(region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_host_labels() {
        for name in ["eu-west-1", "us-gov-east-1", ""] {
            check_region(name).expect(name);
        }
        for name in ["not a region", "eu.west", "-x", "é", "x\0", &"x".repeat(64)] {
            let error = check_region(name).expect_err(name).to_string();
            assert!(
                error.ends_with("expected something like eu-west-1"),
                "{error}"
            );
        }
    }
}
