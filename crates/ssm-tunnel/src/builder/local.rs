//! Where local programs connect.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ssm_relay::Listener;

use crate::error::Error;

/// As a builder gets it.
#[derive(Debug, Clone, Default)]
pub(super) struct LocalSide {
    endpoint: Option<LocalEndpoint>,
    exposed: bool,
    same_user_only: bool,
}

#[derive(Debug, Clone)]
enum LocalEndpoint {
    Address(SocketAddr),
    Socket(PathBuf),
}

/// Listening, if it does.
#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) listener: Option<Listener>,
    /// `None` without a listener and on a Unix socket.
    pub(super) address: Option<SocketAddr>,
}

impl LocalSide {
    pub(super) fn listen_on(&mut self, address: SocketAddr) {
        self.endpoint = Some(LocalEndpoint::Address(address));
    }

    pub(super) fn listen_on_socket(&mut self, path: PathBuf) {
        self.endpoint = Some(LocalEndpoint::Socket(path));
    }

    pub(super) fn expose(&mut self) {
        self.exposed = true;
    }

    pub(super) fn admit_same_user_only(&mut self) {
        self.same_user_only = true;
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.endpoint {
            Some(LocalEndpoint::Address(address)) if !self.exposed && !is_local(address.ip()) => {
                Err(Error::Settings(format!(
                    "{address} is not a loopback address, so other machines could use the tunnel with your permissions: listen on 127.0.0.1, or expose it to the network explicitly"
                )))
            }
            None if self.same_user_only => Err(Error::Settings(
                "only this user's connections are to be admitted, but there is neither a local port nor a local socket to connect to"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn listen(&self) -> Result<Bound, Error> {
        let (listener, shown) = match &self.endpoint {
            None => return Ok(Bound::default()),
            Some(LocalEndpoint::Address(address)) => {
                let listener = Listener::tcp(*address).await;
                let listener = listener.map_err(|error| failed(*address, error))?;
                (listener, address.to_string())
            }
            Some(LocalEndpoint::Socket(path)) => {
                let listener = Listener::socket(path).map_err(|error| Error::LocalSocket {
                    path: path.clone(),
                    error: Arc::new(error),
                })?;
                (listener, path.display().to_string())
            }
        };
        let listener = if self.same_user_only {
            listener.same_user_only().map_err(|error| {
                Error::Settings(format!(
                    "only this user's connections to {shown} were to be admitted, but {error}"
                ))
            })?
        } else {
            listener
        };
        let address = match (&self.endpoint, listener.local_addr()) {
            (_, Ok(address)) => address,
            (Some(LocalEndpoint::Address(asked)), Err(error)) => return Err(failed(*asked, error)),
            (_, Err(_)) => None,
        };
        Ok(Bound {
            listener: Some(listener),
            address,
        })
    }
}

/// Whether only this machine reaches it.
fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn failed(address: SocketAddr, error: io::Error) -> Error {
    Error::LocalAddress {
        address,
        error: Arc::new(error),
    }
}
