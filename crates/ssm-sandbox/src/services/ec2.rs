//! Amazon EC2: instances, and the Administrator password of a Windows instance.
//!
//! EC2's dialect of the Query protocol has no `Result` element and errors of its own form (Amazon EC2
//! API Reference, GetPasswordData; Troubleshooting, error codes).

mod instances;

use http::StatusCode;

use crate::account::{ACCOUNT_ID, Account, Caller};
use crate::clock::iso8601;
use crate::services::query::{EC2, Failure, Form, escape, unauthorized};
use crate::services::response::ServiceResponse;
use crate::state::State;

/// The actions implemented here.
pub(crate) const ACTIONS: [&str; 2] = ["GetPasswordData", "DescribeInstances"];

pub(crate) fn answer(state: &State, caller: &Caller, form: &Form) -> ServiceResponse {
    let mut account = state.account();
    let action = form.get("Action").map_or("", String::as_str);
    let outcome = match action {
        "GetPasswordData" => get_password_data(state, &account, caller, form),
        "DescribeInstances" => instances::describe_instances(state, &account, caller, form),
        other => Err(EC2.unknown_action(other)),
    };
    match outcome {
        Ok(body) => ServiceResponse {
            status: StatusCode::OK,
            content_type: "text/xml;charset=UTF-8",
            body: format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n    <requestId>{}</requestId>\n{body}</{action}Response>",
                account.uuid()
            ),
            error: None,
        },
        Err(failure) => EC2.error(failure.status, failure.code, &failure.message),
    }
}

/// The service passes on what the instance reported, in lines as on its console, without checking it.
fn get_password_data(
    state: &State,
    account: &Account,
    caller: &Caller,
    form: &Form,
) -> Result<String, Failure> {
    let id = form.get("InstanceId").map_or("", String::as_str);
    let failure = |code, message| Failure {
        status: StatusCode::BAD_REQUEST,
        code,
        message,
    };
    if let Some(context) = account.denial(caller, "ec2:GetPasswordData") {
        let resource = format!("arn:aws:ec2:{}:{ACCOUNT_ID}:instance/{id}", state.region);
        let action = "ec2:GetPasswordData";
        return Err(unauthorized(&caller.arn, action, Some(&resource), context));
    }
    if !id.starts_with("i-") {
        return Err(failure(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let instance = account.instances.get(id).ok_or_else(|| {
        failure(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )
    })?;
    let data = match &instance.password_data {
        Some(data) => format!("<passwordData>\r\n{}\r\n</passwordData>", escape(data)),
        None => "<passwordData/>".to_owned(),
    };
    Ok(format!(
        "    <instanceId>{}</instanceId>\n    <timestamp>{}</timestamp>\n    {data}\n",
        escape(id),
        iso8601(state.clock.unix())
    ))
}
