//! What both builders set: the local side, credentials, limits.

use ssm_relay::Limits;

use super::local::LocalSide;
use crate::error::Error;
use crate::settings::{LimitSettings, Settings};

#[derive(Debug, Clone, Default)]
pub(super) struct Common {
    pub(super) local: LocalSide,
    pub(super) limits: LimitSettings,
    pub(super) unsigned_start: bool,
}

impl Common {
    pub(super) fn check(&self, settings: &Settings) -> Result<(), Error> {
        settings.proxy.check().map_err(Error::Proxy)?;
        self.local.check()?;
        self.limits().map(drop)
    }

    pub(super) fn limits(&self) -> Result<Limits, Error> {
        self.limits.resolve()
    }
}

/// Setters of a builder's `common` and `settings`.
macro_rules! common_setters {
    () => {
        /// Accept local connections on this port of 127.0.0.1; 0 takes a free one. Unset, there is
        /// no local port, only [`Tunnel::connect`].
        pub fn local_port(self, port: u16) -> Self {
            self.local_address(SocketAddr::from(([127, 0, 0, 1], port)))
        }

        /// Accept local connections on this address, which must be a loopback address unless
        /// [`expose_to_network`](Self::expose_to_network) is called too.
        pub fn local_address(mut self, address: SocketAddr) -> Self {
            self.common.local.listen_on(address);
            self
        }

        /// Let [`local_address`](Self::local_address) be one that other machines reach. **Everyone
        /// who can connect to it uses the tunnel with your permissions.**
        pub fn expose_to_network(mut self) -> Self {
            self.common.local.expose();
            self
        }

        /// Accept local connections on a Unix socket that only this user may connect to (mode 0600),
        /// instead of on a port. A socket left by a killed program is replaced; the file is removed
        /// at the end. A Unix socket cannot be reset: the peer of a connection that is cut off reads
        /// an end-of-file. Not on Windows.
        pub fn local_socket(mut self, path: impl Into<PathBuf>) -> Self {
            self.common.local.listen_on_socket(path.into());
            self
        }

        /// Admit only local connections of the user that runs this program; others are reset. On
        /// Linux and macOS; elsewhere [`open`](Self::open) fails.
        pub fn same_user_only(mut self) -> Self {
            self.common.local.admit_same_user_only();
            self
        }

        /// The AWS configuration as `ssm_aws::Loader` read it: SDK configuration and certificates.
        /// [`sdk_config`](Self::sdk_config) and [`ca_bundle`](Self::ca_bundle) take precedence.
        pub fn aws(mut self, aws: &AwsConfig) -> Self {
            self.settings.aws = Some(aws.clone());
            self
        }

        /// Region, credentials and transport. Unset, `ssm_aws::Loader` reads the environment and the
        /// files as the AWS CLI does.
        pub fn sdk_config(mut self, config: &SdkConfig) -> Self {
            self.settings.sdk_config = Some(config.clone());
            self
        }

        /// Limits and times.
        pub fn limits(mut self, limits: Limits) -> Self {
            self.common.limits.all = Some(limits);
            self
        }

        /// Keep the session alive while nothing is transferred, with a smux keep-alive at this
        /// interval: the account's idle timeout (20 minutes unless configured) then never ends it.
        /// Off by default; agents up to 3.1.1511.0 need keep-alives and get them anyway. It takes
        /// precedence over [`Limits::keep_alive`].
        pub fn keep_alive(mut self, interval: Duration) -> Self {
            self.common.limits.keep_alive = Some(interval);
            self
        }

        /// Leave the data channel's first request unsigned: it takes no credentials until the
        /// session is resumed or terminated. The service may refuse it;
        /// `SSM_PLUGIN_SKIP_CLIENT_CONFIGURE` asks AWS's plugin for the same.
        pub fn unsigned_start(mut self) -> Self {
            self.common.unsigned_start = true;
            self
        }
    };
}

pub(super) use common_setters;
