//! Options that say where local programs connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use ssm_tunnel::TunnelBuilder;

use super::forward::LocalSide;

/// Options beside `--local-port-number`.
#[derive(Debug, Clone, Args)]
pub struct Local {
    /// Address to listen on, instead of 127.0.0.1
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    local_address: IpAddr,
    /// Allow an address that other machines can reach: anyone who can connect uses the tunnel with
    /// your permissions
    #[arg(long)]
    expose_to_network: bool,
    /// Listen on a Unix socket that only this user may connect to, instead of a port
    #[arg(long, value_name = "PATH", conflicts_with_all = ["local_address", "expose_to_network"])]
    local_socket: Option<PathBuf>,
    /// Admit only connections of programs of this user (Linux, macOS)
    #[arg(long)]
    same_user_only: bool,
}

impl Local {
    /// Adds the listener that the options ask for.
    pub fn apply(&self, builder: TunnelBuilder, port: u16) -> TunnelBuilder {
        self.admit(self.side(port).apply(builder))
    }

    /// Where to listen.
    pub fn side(&self, port: u16) -> LocalSide {
        match &self.local_socket {
            Some(path) => LocalSide::Socket(path.clone()),
            None => LocalSide::Address(SocketAddr::new(self.local_address, port)),
        }
    }

    /// Sets who may connect.
    pub fn admit(&self, mut builder: TunnelBuilder) -> TunnelBuilder {
        if self.expose_to_network {
            builder = builder.expose_to_network();
        }
        if self.same_user_only {
            builder = builder.same_user_only();
        }
        builder
    }
}
