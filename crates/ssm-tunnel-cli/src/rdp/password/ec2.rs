//! GetPasswordData of EC2: the encrypted password.

use aws_config::SdkConfig;
use ssm_tunnel::{Error, RegionalCall, ServiceError};

use super::PasswordError;

pub(super) const ACTION: &str = "GetPasswordData";
/// The API's version (`ec2/2016-11-15` in botocore).
const VERSION: &str = "2016-11-15";

/// The password, encrypted and in Base64 without white space; empty until the instance has a password.
pub(super) async fn password_data(
    config: &SdkConfig,
    instance: &str,
) -> Result<String, PasswordError> {
    let call = RegionalCall::new("ec2", ACTION, VERSION).parameter("InstanceId", instance);
    let reply = call.send(config).await;
    let reply = reply.map_err(|error| refusal(error, instance))?;
    if reply.text("instanceId").is_none() {
        return Err(PasswordError::unreadable(reply.text("requestId")));
    }
    let data = reply.text("passwordData").unwrap_or_default();
    Ok(data.split_whitespace().collect())
}

/// What the failed call means for the password.
fn refusal(error: Error, instance: &str) -> PasswordError {
    let Error::Service(service) = &error else {
        return PasswordError::Call(error);
    };
    match &**service {
        ServiceError::AccessDenied { message, .. } => PasswordError::Denied {
            message: message.clone(),
        },
        ServiceError::Other { code, message, .. } if code.starts_with("InvalidInstanceID") => {
            PasswordError::NoSuchInstance {
                instance: instance.to_owned(),
                message: message.clone(),
            }
        }
        _ => PasswordError::Call(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let denied = ServiceError::AccessDenied {
            action: ACTION,
            message: "WORDS".to_owned(),
            request_id: None,
        };
        let unknown = ServiceError::Other {
            action: ACTION,
            code: "InvalidInstanceID.NotFound".to_owned(),
            message: "WORDS".to_owned(),
            request_id: None,
        };
        let throttled = ServiceError::Throttled {
            action: ACTION,
            request_id: None,
        };
        for (error, expected) in [
            (
                denied,
                "WORDS; it takes an IAM policy that allows ec2:GetPasswordData",
            ),
            (
                unknown,
                "EC2 does not know i-1: WORDS; check its id and the region",
            ),
            (throttled, "GetPasswordData was throttled"),
        ] {
            let text = refusal(error.into(), "i-1").to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
