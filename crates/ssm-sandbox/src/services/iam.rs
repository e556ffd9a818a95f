//! Identity and Access Management: what users need to find their own MFA devices.

use crate::account::{Account, Caller, Kind, Member};
use crate::services::query::{Failure, Form, IAM, denied, escape};
use crate::services::response::ServiceResponse;
use crate::state::State;

/// When users and devices were created.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// The actions implemented here.
pub(crate) const ACTIONS: [&str; 2] = ["ListMFADevices", "GetUser"];

pub(crate) fn answer(state: &State, caller: &Caller, form: &Form) -> ServiceResponse {
    let mut account = state.account();
    let action = form.get("Action").map_or("", String::as_str);
    let outcome = match action {
        "ListMFADevices" => {
            member(&account, caller, form, "iam:ListMFADevices").map(list_mfa_devices)
        }
        "GetUser" => member(&account, caller, form, "iam:GetUser").map(get_user),
        other => Err(IAM.unknown_action(other)),
    };
    let request_id = account.uuid();
    IAM.answer(action, outcome, request_id)
}

/// The user in question: the caller, by default and at most.
fn member<'a>(
    account: &'a Account,
    caller: &Caller,
    form: &Form,
    action: &str,
) -> Result<&'a Member, Failure> {
    if caller.kind == Kind::Role {
        return Err(Failure {
            status: http::StatusCode::BAD_REQUEST,
            code: "ValidationError",
            message: "Must specify userName when calling with non-User credentials".to_owned(),
        });
    }
    let name = form.get("UserName").unwrap_or(&caller.name);
    account
        .user(name)
        .filter(|member| member.user.reads_iam && *name == caller.name)
        .ok_or_else(|| {
            denied(format!(
                "User: {} is not authorized to perform: {action} on resource: user {name} because no identity-based policy allows the {action} action",
                caller.arn
            ))
        })
}

fn list_mfa_devices(member: &Member) -> String {
    let name = escape(&member.user.name);
    let devices = member.devices.iter().map(|device| {
        format!(
            "<member><UserName>{name}</UserName><SerialNumber>{}</SerialNumber><EnableDate>{CREATED}</EnableDate></member>",
            escape(&device.serial)
        )
    });
    format!(
        "<MFADevices>{}</MFADevices><IsTruncated>false</IsTruncated>",
        devices.collect::<String>()
    )
}

fn get_user(member: &Member) -> String {
    format!(
        "<User><Path>{}</Path><UserName>{}</UserName><UserId>AIDAEXAMPLE</UserId><Arn>{}</Arn><CreateDate>{CREATED}</CreateDate></User>",
        escape(&member.user.path),
        escape(&member.user.name),
        escape(&member.arn())
    )
}
