//! Remote Desktop: the client's file, the client, and the Administrator's password.

mod client;
mod file;
mod password;

pub use client::{NoRdpClient, RdpClient, RdpOpen};
pub use file::{RdpFile, RdpFileError};
pub use password::{Password, PasswordError, PrivateKey, PrivateKeyError, administrator_password};
