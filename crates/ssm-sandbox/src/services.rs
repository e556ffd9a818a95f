//! The services: STS and IAM, EC2, and Systems Manager, each from a checked request to its answer.

pub(crate) mod answer;
pub(crate) mod ec2;
pub(crate) mod iam;
pub(crate) mod query;
pub(crate) mod ssm;
pub(crate) mod sts;

/// Every action that is answered, of all services.
pub(crate) fn actions() -> impl Iterator<Item = &'static str> {
    let ssm = ssm::ACTIONS.into_iter();
    ssm.chain(sts::ACTIONS)
        .chain(iam::ACTIONS)
        .chain(ec2::ACTIONS)
}
