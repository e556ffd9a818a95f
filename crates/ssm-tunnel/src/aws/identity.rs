//! Who one is: GetCallerIdentity.

use aws_config::SdkConfig;
use serde::Serialize;

use crate::error::ServiceError;

const ACTION: &str = "GetCallerIdentity";

/// Whose credentials these are.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// Asks STS. It takes no permission.
pub(crate) async fn caller(sdk_config: &SdkConfig) -> Result<Identity, ServiceError> {
    let call = aws_sdk_sts::Client::new(sdk_config).get_caller_identity();
    let given = || super::given(sdk_config, None);
    let answer = super::answer(ACTION, given, ("", ""), call.send()).await?;
    Ok(Identity {
        account: answer.account.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
        user_id: answer.user_id.unwrap_or_default(),
    })
}
