//! AWS's partitions, and the domains of their endpoints.

/// A partition: regions that share their identities and domains.
///
/// Source: `partitions.json` of the SDKs, and IAM's endpoint rules (`iam/2010-05-08` in botocore).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// Its name in ARNs, such as `aws-cn`.
    pub name: &'static str,
    /// What the hosts of its endpoints end in.
    pub dns_suffix: &'static str,
    /// The same of its dual-stack endpoints.
    pub dual_stack_dns_suffix: &'static str,
    /// The region that requests to its IAM are signed for.
    pub iam_region: &'static str,
    region_prefix: &'static str,
}

const fn partition(
    name: &'static str,
    region_prefix: &'static str,
    dns_suffix: &'static str,
    dual_stack_dns_suffix: &'static str,
    iam_region: &'static str,
) -> Partition {
    Partition {
        name,
        dns_suffix,
        dual_stack_dns_suffix,
        iam_region,
        region_prefix,
    }
}

/// The first is also that of regions that no other one claims.
#[rustfmt::skip]
static ALL: [Partition; 8] = [
    partition("aws", "", "amazonaws.com", "api.aws", "us-east-1"),
    partition("aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-north-1"),
    partition("aws-us-gov", "us-gov-", "amazonaws.com", "api.aws", "us-gov-west-1"),
    partition("aws-eusc", "eusc-", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1"),
    partition("aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1"),
    partition("aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1"),
    partition("aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1"),
    partition("aws-iso-f", "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1"),
];

impl Partition {
    /// Every partition.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The partition of a region; that of an unknown region is `aws`.
    pub fn of_region(region: &str) -> &'static Self {
        let [aws, others @ ..] = &ALL;
        others
            .iter()
            .find(|partition| region.starts_with(partition.region_prefix))
            .unwrap_or(aws)
    }

    /// The URL of a service in a region, as the endpoint rules of EC2 and Systems Manager have it.
    pub fn regional_endpoint(service: &str, region: &str, fips: bool, dual_stack: bool) -> String {
        let partition = Self::of_region(region);
        let suffix = match dual_stack {
            true => partition.dual_stack_dns_suffix,
            false => partition.dns_suffix,
        };
        // GovCloud's IPv4 endpoints are FIPS ones by their usual names.
        let fips = fips && (dual_stack || partition.name != "aws-us-gov");
        let fips = if fips { "-fips" } else { "" };
        format!("https://{service}{fips}.{region}.{suffix}")
    }

    /// The URL of IAM, of which a partition has one.
    pub fn iam_endpoint(&self, fips: bool) -> String {
        let Self {
            iam_region,
            dns_suffix,
            ..
        } = self;
        match (self.name, fips) {
            ("aws", true) => format!("https://iam-fips.{dns_suffix}"),
            ("aws", false) => format!("https://iam.{dns_suffix}"),
            // GovCloud's only endpoint is a FIPS one.
            ("aws-us-gov", _) => format!("https://iam.us-gov.{dns_suffix}"),
            (_, true) => format!("https://iam-fips.{iam_region}.{dns_suffix}"),
            (_, false) => format!("https://iam.{iam_region}.{dns_suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_belong_to_their_partitions() {
        for (region, name) in [
            ("eu-west-1", "aws"),
            ("mx-central-1", "aws"),
            ("", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-west-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-east-1", "aws-iso-f"),
        ] {
            assert_eq!(Partition::of_region(region).name, name, "{region}");
        }
    }

    #[test]
    fn regional_endpoints_follow_fips_and_dual_stack() {
        for (region, fips, dual_stack, host) in [
            ("eu-west-1", false, false, "ec2.eu-west-1.amazonaws.com"),
            ("us-east-2", true, false, "ec2-fips.us-east-2.amazonaws.com"),
            ("us-east-2", false, true, "ec2.us-east-2.api.aws"),
            (
                "us-gov-west-1",
                true,
                false,
                "ec2.us-gov-west-1.amazonaws.com",
            ),
            (
                "us-gov-west-1",
                true,
                true,
                "ec2-fips.us-gov-west-1.api.aws",
            ),
            (
                "cn-north-1",
                false,
                false,
                "ec2.cn-north-1.amazonaws.com.cn",
            ),
            (
                "us-isob-east-1",
                false,
                false,
                "ec2.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "eusc-de-east-1",
                false,
                false,
                "ec2.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            let url = Partition::regional_endpoint("ec2", region, fips, dual_stack);
            assert_eq!(url, format!("https://{host}"));
        }
    }

    #[test]
    fn every_partition_has_its_own_iam() {
        for (region, fips, host, signing_region) in [
            ("", false, "iam.amazonaws.com", "us-east-1"),
            ("ap-northeast-1", false, "iam.amazonaws.com", "us-east-1"),
            ("us-west-2", true, "iam-fips.amazonaws.com", "us-east-1"),
            (
                "cn-northwest-1",
                false,
                "iam.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                "us-gov-east-1",
                false,
                "iam.us-gov.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "us-gov-east-1",
                true,
                "iam.us-gov.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "us-iso-west-1",
                false,
                "iam.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
            ),
            (
                "us-isob-east-1",
                false,
                "iam.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
            ),
            (
                "eu-isoe-west-1",
                false,
                "iam.eu-isoe-west-1.cloud.adc-e.uk",
                "eu-isoe-west-1",
            ),
            (
                "us-isof-east-1",
                false,
                "iam.us-isof-south-1.csp.hci.ic.gov",
                "us-isof-south-1",
            ),
            (
                "eusc-de-east-1",
                false,
                "iam.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
        ] {
            let partition = Partition::of_region(region);
            assert_eq!(partition.iam_endpoint(fips), format!("https://{host}"));
            assert_eq!(partition.iam_region, signing_region);
        }
    }
}
