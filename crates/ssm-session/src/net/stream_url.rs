//! Which stream URLs a session may connect to.

use ssm_aws::{Partition, is_loopback_host};
use thiserror::Error;
use url::Url;

/// Which stream URLs a session may connect to.
///
/// The session's token and a request signed with the user's credentials go there, so it must be
/// Session Manager's own endpoint: `wss://ssmmessages[-fips].REGION.DOMAIN` or a VPC endpoint of
/// it. Plain `ws://` never leaves the machine.
#[derive(Debug, Clone, Default)]
pub struct StreamEndpoint {
    named: Option<Url>,
    loopback: bool,
}

/// Why a session does not connect to a stream URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamUrlError {
    /// Not a URL, or one without a host.
    #[error("the stream URL {url:?} is not a websocket URL")]
    Malformed {
        /// The URL, without its query and without user name and password.
        url: String,
    },
    /// Neither `wss` nor, on loopback, `ws`.
    #[error(
        "the stream URL's scheme {scheme:?} is refused: wss is required, ws only to this machine"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Not an endpoint of Session Manager.
    #[error(
        "the stream host {host:?} is not a Session Manager endpoint: name it as the stream endpoint if it is meant"
    )]
    Host {
        /// The host.
        host: String,
    },
}

impl StreamEndpoint {
    /// Session Manager's own endpoints only.
    pub fn aws() -> Self {
        Self::default()
    }

    /// Connects to this endpoint instead of the host that the service names, such as
    /// `wss://vpce-0123-abcd.ssmmessages.us-east-1.vpce.amazonaws.com`; path and query stay.
    ///
    /// # Errors
    /// When it is not a `wss` URL, or a `ws` one to loopback.
    pub fn named(endpoint: &str) -> Result<Self, StreamUrlError> {
        let url = parse(endpoint)?;
        check_scheme(&url)?;
        Ok(Self {
            named: Some(url),
            loopback: false,
        })
    }

    /// Also accepts endpoints on this machine: for sessions whose API endpoint is on loopback.
    pub fn or_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// The URL to connect to.
    ///
    /// # Errors
    /// When the URL may not be connected to.
    pub fn resolve(&self, stream_url: &str) -> Result<Url, StreamUrlError> {
        let mut url = parse(stream_url)?;
        if let Some(named) = &self.named {
            let malformed = || StreamUrlError::Malformed {
                url: without_secrets(stream_url),
            };
            url.set_scheme(named.scheme()).map_err(|()| malformed())?;
            url.set_host(named.host_str()).map_err(|_| malformed())?;
            url.set_port(named.port()).map_err(|()| malformed())?;
            return Ok(url);
        }
        check_scheme(&url)?;
        let host = url.host_str().unwrap_or_default();
        if is_session_manager(host) || (self.loopback && is_loopback(&url)) {
            Ok(url)
        } else {
            Err(StreamUrlError::Host {
                host: host.to_owned(),
            })
        }
    }
}

/// Query parameters any of which makes a URL presigned: it contains its own signature, and is valid for as
/// long as that is (`session-manager-plugin` @29db6846).
pub(super) const PRESIGNED: &[&str] = &[
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// Whether a stream URL is presigned, so that its request takes no credentials.
pub fn is_presigned_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_presigned(&url))
}

/// Whether the URL is presigned: it is used as it is, and its session cannot be resumed.
pub(crate) fn is_presigned(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| {
        PRESIGNED
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    })
}

fn parse(text: &str) -> Result<Url, StreamUrlError> {
    Url::parse(text)
        .ok()
        .filter(Url::has_host)
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| StreamUrlError::Malformed {
            url: without_secrets(text),
        })
}

/// A presigned URL's query holds credentials, and the part before an `@` may.
fn without_secrets(text: &str) -> String {
    let visible = text.split(['?', '#']).next().unwrap_or_default();
    let visible = match visible.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://...@{host}")
        }
        None => visible.to_owned(),
    };
    visible.chars().take(200).collect()
}

fn check_scheme(url: &Url) -> Result<(), StreamUrlError> {
    match url.scheme() {
        "wss" => Ok(()),
        "ws" if is_loopback(url) => Ok(()),
        scheme => Err(StreamUrlError::Scheme {
            scheme: scheme.to_owned(),
        }),
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// Whether a host is `ssmmessages[-fips].REGION.DOMAIN` in some partition, or a VPC endpoint of it (AWS
/// General Reference, "Session Manager endpoints").
fn is_session_manager(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let domains = |partition: &Partition| [partition.dns_suffix, partition.dual_stack_dns_suffix];
    Partition::all().iter().flat_map(domains).any(|domain| {
        let Some(rest) = host
            .strip_suffix(domain)
            .and_then(|rest| rest.strip_suffix('.'))
        else {
            return false;
        };
        let labels: Vec<&str> = rest.split('.').collect();
        match labels.as_slice() {
            ["ssmmessages" | "ssmmessages-fips", region] => is_region(region),
            [endpoint, "ssmmessages" | "ssmmessages-fips", region, "vpce"] => {
                !endpoint.is_empty() && is_region(region)
            }
            _ => false,
        }
    })
}

fn is_region(label: &str) -> bool {
    label.contains('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(url: &str) -> Result<String, StreamUrlError> {
        StreamEndpoint::aws().resolve(url).map(String::from)
    }

    #[test]
    fn session_manager_endpoints_of_every_partition_are_accepted() {
        for host in [
            "ssmmessages.us-east-1.amazonaws.com",
            "ssmmessages-fips.us-gov-west-1.amazonaws.com",
            "ssmmessages.cn-north-1.amazonaws.com.cn",
            "ssmmessages.eu-west-1.api.aws",
            "ssmmessages-fips.us-east-1.api.aws",
            "ssmmessages.cn-northwest-1.api.amazonwebservices.com.cn",
            "ssmmessages.eusc-de-east-1.amazonaws.eu",
            "ssmmessages-fips.us-gov-east-1.api.aws",
            "vpce-0a1b-2c3d.ssmmessages-fips.us-gov-west-1.vpce.amazonaws.com",
            "vpce-0a1b-2c3d.ssmmessages.ap-northeast-1.vpce.amazonaws.com",
            "vpce-0a1b-2c3d-us-east-1a.ssmmessages.us-east-1.vpce.amazonaws.com",
            "ssmmessages.us-iso-east-1.c2s.ic.gov",
            "SSMMESSAGES.us-east-1.amazonaws.com",
        ] {
            let url = format!("wss://{host}/v1/data-channel/s?role=publish_subscribe");
            assert!(resolved(&url).is_ok(), "{host}");
        }
    }

    #[test]
    fn other_hosts_are_refused() {
        for host in [
            "evil.example",
            "ssmmessages.us-east-1.amazonaws.com.evil.example",
            "evilssmmessages.us-east-1.amazonaws.com",
            "ssmmessages.us-east-1.evilamazonaws.com",
            "s3.us-east-1.amazonaws.com",
            "bucket.s3.ssmmessages.amazonaws.com",
            "ssmmessages.evil.us-east-1.amazonaws.com",
            "ssmmessages.us-east-1.vpce.amazonaws.com",
            "a.vpce-0a1b-2c3d.ssmmessages.us-east-1.vpce.amazonaws.com",
            "127.0.0.1",
            "localhost",
            "[::1]",
        ] {
            let url = format!("wss://{host}/v1/data-channel/s");
            assert!(
                matches!(resolved(&url), Err(StreamUrlError::Host { .. })),
                "{host}"
            );
        }
    }

    #[test]
    fn disguised_hosts_are_refused() {
        let good = "ssmmessages.us-east-1.amazonaws.com";
        for url in [
            format!("wss://{good}@evil.example/v1"),
            format!("wss://user@{good}/v1"),
            format!("wss://evil.example/{good}"),
            format!("wss://evil.example?{good}"),
            format!("wss://evil.example#.{good}"),
            format!("wss://evil.example\\.{good}/"),
            format!("wss://evil.example%2F.{good}/"),
            format!("wss://{good}./v1"),
            format!("wss://{good}%00.evil.example/"),
            format!("wss://{good}:443@evil.example/"),
            format!("wss:{good}.evil.example/"),
            format!("wss://evil.example/..//{good}"),
            format!("https://{good}/v1"),
            format!("ws://{good}/v1"),
            "wss://ssmmessages..amazonaws.com/".to_owned(),
            "wss://ssmmessages.us_east.amazonaws.com/".to_owned(),
            "wss://vpce-1.ssmmessages.us-east-1.vpce.evil.example/".to_owned(),
            "wss://ssmmessages.us-east-1.vpce.amazonaws.com.evil.example/".to_owned(),
            "wss:///v1".to_owned(),
            String::new(),
        ] {
            assert!(resolved(&url).is_err(), "{url}");
        }
        // What stays on the host is the service's own business.
        for url in [
            format!("wss://{good}:443/v1?role=publish_subscribe"),
            format!("wss://{good}\\@evil.example/"),
            format!("wss://{good}/@evil.example"),
        ] {
            let resolved = StreamEndpoint::aws().resolve(&url).expect("its own host");
            assert_eq!(resolved.host_str(), Some(good), "{url}");
        }
    }

    #[test]
    fn plain_websockets_need_loopback_and_permission() {
        let asked = StreamEndpoint::aws().or_loopback();
        for url in [
            "ws://127.0.0.1:1/v1",
            "ws://localhost:1/v1",
            "ws://[::1]:1/v1",
            "wss://127.0.0.1/v1",
        ] {
            assert!(asked.resolve(url).is_ok(), "{url}");
            assert!(StreamEndpoint::aws().resolve(url).is_err(), "{url}");
        }
        for url in [
            "ws://ssmmessages.us-east-1.amazonaws.com/v1",
            "http://127.0.0.1/",
            "ws://10.0.0.1/",
        ] {
            assert!(
                matches!(asked.resolve(url), Err(StreamUrlError::Scheme { .. })),
                "{url}"
            );
        }
    }

    #[test]
    fn named_endpoint_replaces_the_host_and_keeps_path_and_query() {
        let endpoint = StreamEndpoint::named("wss://proxy.example:8443").expect("a wss URL");
        let url = endpoint
            .resolve("wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/s?role=publish_subscribe")
            .expect("the caller named it");
        assert_eq!(
            url.as_str(),
            "wss://proxy.example:8443/v1/data-channel/s?role=publish_subscribe"
        );
        assert!(StreamEndpoint::named("ws://proxy.example").is_err());
    }

    #[test]
    fn any_signing_parameter_makes_a_url_presigned() {
        let presigned =
            |query: &str| is_presigned(&Url::parse(&format!("wss://h/s?{query}")).expect("a URL"));
        for name in PRESIGNED {
            assert!(presigned(&format!("role=publish_subscribe&{name}=x")));
            assert!(presigned(&format!("{}=x&role=y", name.to_lowercase())));
        }
        for query in ["", "role=publish_subscribe&cell-number=7", "a=X-Amz-Date"] {
            assert!(!presigned(query), "{query}");
        }
    }

    #[test]
    fn errors_show_neither_credentials_nor_query() {
        for url in [
            "not a url?X-Amz-Security-Token=MARKER",
            "wss://u:MARKER@h/?a=MARKER",
            "wss://MARKER@h/#MARKER",
            "u:MARKER@h",
        ] {
            let error = resolved(url).expect_err("refused");
            assert!(
                !format!("{error} {error:?}").contains("MARKER"),
                "{error:?}"
            );
        }
        let error = resolved("https://h/?X-Amz-Signature=MARKER").expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("MARKER"));
    }
}
