//! Remote Desktop: the client's file, and the client.

mod client;
mod file;

pub use client::{NoRdpClient, RdpClient, RdpOpen};
pub use file::{RdpFile, RdpFileError};
