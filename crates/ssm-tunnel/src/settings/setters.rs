//! Setters that several builders have in common.

/// Setters of a builder's `settings`.
macro_rules! network_setters {
    () => {
        /// Call Systems Manager at this URL, such as a VPC endpoint of `ssm`. When it is on loopback
        /// (a sandbox), stream URLs on loopback are accepted too.
        pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
            self.settings.endpoint_url = Some(url.into());
            self
        }

        /// Open the data channel here instead of at the host that the service names, such as a VPC
        /// endpoint of `ssmmessages`: `wss://HOST[:PORT]`, or `ws://` on loopback.
        pub fn stream_endpoint(mut self, url: impl Into<String>) -> Self {
            self.settings.stream_endpoint = Some(url.into());
            self
        }

        /// How the data channel gets through a proxy, and, unless the SDK configuration has an HTTP
        /// client of its own ([`sdk_config_through`](crate::sdk_config_through)), the calls to AWS.
        /// Default: [`Proxy::from_env`](crate::Proxy::from_env).
        pub fn proxy(mut self, proxy: $crate::network::Proxy) -> Self {
            self.settings.proxy = proxy;
            self
        }

        /// Root certificates to trust instead of the system's, for the data channel and, unless the
        /// SDK configuration has an HTTP client of its own, for the calls to AWS. Default: the file
        /// that `AWS_CA_BUNDLE` names, if it is set.
        pub fn ca_bundle(mut self, bundle: $crate::network::CaBundle) -> Self {
            self.settings.ca_bundle = Some(bundle);
            self
        }
    };
}

pub(crate) use network_setters;
