//! One call of IAM, without the SDK's IAM client, which is many times this crate's size.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use ssm_aws::{
    Partition, QueryCall, QueryError, cause_chain, check_endpoint_url, configured_endpoint,
};

use crate::error::MfaError;

/// IAM's answer.
pub(super) enum Answer {
    /// The serial numbers, of every kind of device.
    Serials(Vec<String>),
    /// The user may not list devices.
    Denied(String),
}

/// The devices of the user whose key signs (AWS IAM API Reference, ListMFADevices). A user has at
/// most 8, so one page holds them.
///
/// # Errors
/// When IAM cannot be reached, or gives neither answer.
pub(super) async fn list_mfa_devices(
    config: &SdkConfig,
    now: SystemTime,
    keys: &Credentials,
) -> Result<Answer, MfaError> {
    let region = config.region().map_or("", |region| region.as_ref());
    let partition = Partition::of_region(region);
    let own = || partition.iam_endpoint(config.use_fips().unwrap_or_default());
    let url = configured_endpoint(config, "IAM").unwrap_or_else(own);
    check_endpoint_url(&url).map_err(|problem| {
        MfaError::Devices(format!(
            "the IAM endpoint {url:?} cannot be used: {problem}"
        ))
    })?;
    let action = "ListMFADevices";
    let call = QueryCall::new("iam", action, "2010-05-08", &url, partition.iam_region);
    let reply = call.send(config, keys, now).await.map_err(|error| {
        MfaError::Devices(match error {
            QueryError::Send(error) => format!("no answer from IAM: {}", cause_chain(&*error)),
            error => format!("no answer from IAM: {error}"),
        })
    })?;
    if reply.status() == 200 {
        return Ok(Answer::Serials(reply.texts("SerialNumber")));
    }
    let message = reply.text("Message").unwrap_or_default().trim().to_owned();
    match reply.text("Code") {
        Some(code) if code == "AccessDenied" => Ok(Answer::Denied(message)),
        Some(code) => Err(MfaError::Devices(format!("IAM answered {code}: {message}"))),
        None => Err(MfaError::Devices(format!(
            "IAM answered with HTTP status {}",
            reply.status()
        ))),
    }
}
