//! Which endpoints a tunnel under MFA uses.

use aws_config::SdkConfig;

use crate::settings::endpoint::{configured, is_loopback};

/// Their URLs; `None` where one is not known.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) sts: Option<String>,
    pub(crate) ssm: Option<String>,
    /// `None` where only StartSession reports it.
    pub(crate) ssmmessages: Option<String>,
}

/// As configured, or else by the SDK's own rules.
pub(crate) async fn endpoints(
    config: &SdkConfig,
    endpoint_url: Option<&str>,
    stream_endpoint: Option<&str>,
) -> Endpoints {
    let given = endpoint_url
        .map(str::to_owned)
        .or_else(|| configured(config, "SSM"));
    let own = systems_manager(config).await;
    let elsewhere = given.as_deref().is_some_and(is_loopback);
    let ssmmessages = match (stream_endpoint, elsewhere) {
        (Some(url), _) => Some(url.to_owned()),
        (None, true) => None,
        (None, false) => own.as_deref().and_then(data_channel),
    };
    Endpoints {
        sts: match configured(config, "STS") {
            Some(url) => Some(url),
            None => security_token_service(config).await,
        },
        ssm: given.or(own),
        ssmmessages,
    }
}

async fn systems_manager(config: &SdkConfig) -> Option<String> {
    use aws_sdk_ssm::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
    let params = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .build()
        .ok()?;
    let endpoint = DefaultResolver::new()
        .resolve_endpoint(&params)
        .await
        .ok()?;
    Some(endpoint.url().to_owned())
}

async fn security_token_service(config: &SdkConfig) -> Option<String> {
    use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
    let params = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .build()
        .ok()?;
    let endpoint = DefaultResolver::new()
        .resolve_endpoint(&params)
        .await
        .ok()?;
    Some(endpoint.url().to_owned())
}

/// The data channel's hosts follow those of Systems Manager's API (AWS General Reference,
/// "Session Manager endpoints").
fn data_channel(ssm: &str) -> Option<String> {
    let rest = ssm.strip_prefix("https://ssm")?;
    Some(format!("wss://ssmmessages{rest}"))
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;

    fn config() -> aws_types::sdk_config::Builder {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
    }

    async fn found(config: SdkConfig, url: Option<&str>, stream: Option<&str>) -> [String; 3] {
        let found = endpoints(&config, url, stream).await;
        [found.sts, found.ssm, found.ssmmessages].map(Option::unwrap_or_default)
    }

    #[tokio::test]
    async fn endpoints_match_those_of_the_sdk() {
        assert_eq!(
            found(config().build(), None, None).await,
            [
                "https://sts.eu-west-1.amazonaws.com",
                "https://ssm.eu-west-1.amazonaws.com",
                "wss://ssmmessages.eu-west-1.amazonaws.com"
            ]
        );
        let fips = config().region(Region::new("us-gov-west-1")).use_fips(true);
        assert_eq!(
            found(fips.build(), None, None).await,
            [
                "https://sts.us-gov-west-1.amazonaws.com",
                "https://ssm.us-gov-west-1.amazonaws.com",
                "wss://ssmmessages.us-gov-west-1.amazonaws.com"
            ]
        );
        let china = config().region(Region::new("cn-north-1"));
        assert_eq!(
            found(china.build(), None, None).await,
            [
                "https://sts.cn-north-1.amazonaws.com.cn",
                "https://ssm.cn-north-1.amazonaws.com.cn",
                "wss://ssmmessages.cn-north-1.amazonaws.com.cn"
            ]
        );
    }

    #[tokio::test]
    async fn configured_endpoints_replace_those_of_the_sdk() {
        let vpce = "https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com";
        let found_ = found(config().build(), Some(vpce), None).await;
        assert_eq!(
            found_,
            [
                "https://sts.eu-west-1.amazonaws.com",
                vpce,
                "wss://ssmmessages.eu-west-1.amazonaws.com"
            ]
        );
        let local = config().endpoint_url("http://127.0.0.1:1").build();
        assert_eq!(
            found(local, None, None).await,
            ["http://127.0.0.1:1", "http://127.0.0.1:1", ""]
        );
        let local = config().endpoint_url("http://127.0.0.1:1").build();
        let stream = found(local, None, Some("ws://127.0.0.1:2")).await;
        assert_eq!(stream[2], "ws://127.0.0.1:2");
    }
}
