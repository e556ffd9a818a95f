//! Whose credentials these are: GetCallerIdentity.

use aws_config::SdkConfig;
use serde::Serialize;

use super::Access;
use super::call::Call;
use crate::error::ServiceError;

const ACTION: &str = "GetCallerIdentity";

/// Whose credentials these are.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// Asks STS, at the endpoint of the configuration. It takes no permission.
pub(crate) async fn caller(sdk_config: &SdkConfig) -> Result<Identity, ServiceError> {
    let access = Access {
        sdk_config: sdk_config.clone(),
        endpoint_url: None,
    };
    let call = aws_sdk_sts::Client::new(sdk_config).get_caller_identity();
    let about = Call {
        action: ACTION,
        access: &access,
        target: "",
        document: "",
    };
    let answer = about.answer(call.send()).await?;
    Ok(Identity {
        account: answer.account.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
        user_id: answer.user_id.unwrap_or_default(),
    })
}
