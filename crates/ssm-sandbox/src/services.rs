//! The services: STS, IAM, EC2 and Systems Manager, each from an authenticated request to its response.

pub(crate) mod ec2;
pub(crate) mod iam;
pub(crate) mod query;
pub(crate) mod response;
pub(crate) mod ssm;
pub(crate) mod sts;

/// Every action that is implemented, of all services.
pub(crate) fn actions() -> impl Iterator<Item = &'static str> {
    let ssm = ssm::ACTIONS.into_iter();
    ssm.chain(sts::ACTIONS)
        .chain(iam::ACTIONS)
        .chain(ec2::ACTIONS)
}
