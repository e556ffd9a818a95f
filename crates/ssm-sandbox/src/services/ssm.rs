//! Systems Manager's calls (AWS JSON 1.1).

mod failure;
mod managed_nodes;
mod page;
pub(crate) mod sessions;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use ssm_protocol::payload::SessionProperties;

use crate::account::document::{Document, RUN_SHELL};
use crate::account::session_control::{NewSession, SessionControl};
use crate::account::{ACCOUNT_ID, Account, Caller, Session};
use crate::agent::SessionType;
use crate::gateway;
use crate::services::response::ServiceResponse;
use crate::state::State;
use crate::state::faults::ResumeUrl;
use failure::{Failure, authorize, failure, target_arn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartSession {
    target: String,
    #[serde(default)]
    document_name: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OnSession {
    session_id: String,
}

/// The actions implemented here.
pub(crate) const ACTIONS: [&str; 6] = [
    "StartSession",
    "ResumeSession",
    "TerminateSession",
    "DescribeSessions",
    "DescribeInstanceInformation",
    "GetConnectionStatus",
];

pub(crate) fn answer(
    state: &Arc<State>,
    caller: &Caller,
    action: &str,
    body: &[u8],
) -> ServiceResponse {
    let outcome = match action {
        "StartSession" => parse(body).and_then(|request| start_session(state, caller, &request)),
        "ResumeSession" => parse(body).and_then(|request| resume_session(state, caller, &request)),
        "TerminateSession" => {
            parse(body).and_then(|request| terminate_session(state, caller, &request))
        }
        "DescribeSessions" => {
            parse(body).and_then(|request| sessions::describe_sessions(state, caller, &request))
        }
        "DescribeInstanceInformation" => parse(body).and_then(|request| {
            managed_nodes::describe_instance_information(state, caller, &request)
        }),
        "GetConnectionStatus" => parse(body)
            .and_then(|request| managed_nodes::get_connection_status(state, caller, &request)),
        other => Err(failure(
            "UnknownOperationException",
            format!("{other} is not known here"),
        )),
    };
    match outcome {
        Ok(body) => ServiceResponse {
            status: StatusCode::OK,
            content_type: "application/x-amz-json-1.1",
            body: body.to_string(),
            error: None,
        },
        Err(failure) => error(StatusCode::BAD_REQUEST, failure.code, &failure.message),
    }
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> ServiceResponse {
    ServiceResponse {
        status,
        content_type: "application/x-amz-json-1.1",
        body: json!({ "__type": code, "Message": message }).to_string(),
        error: Some(code.to_owned()),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| {
        failure(
            "ValidationException",
            "1 validation error detected: the request cannot be read",
        )
    })
}

fn start_session(
    state: &Arc<State>,
    caller: &Caller,
    request: &StartSession,
) -> Result<Value, Failure> {
    let mut account = state.account();
    let resource = target_arn(state, &request.target);
    authorize(&account, caller, "ssm:StartSession", &resource)?;
    if request
        .reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > 256)
    {
        return Err(failure(
            "ValidationException",
            "1 validation error detected: Value at 'reason' failed to satisfy constraint: Member must have length less than or equal to 256",
        ));
    }
    let name = request.document_name.as_deref().unwrap_or(RUN_SHELL);
    let document = account.documents.get(name).cloned().ok_or_else(|| {
        failure(
            "InvalidDocument",
            format!("Document with name {name} does not exist."),
        )
    })?;
    let properties = properties(&document, &request.parameters)?;
    let instance = account
        .instances
        .get(&request.target)
        .filter(|instance| instance.is_reachable())
        .cloned()
        .ok_or_else(|| {
            failure(
                "TargetNotConnected",
                format!("{} is not connected.", request.target),
            )
        })?;
    let id = account.new_session_id(caller);
    let token = account.new_token();
    let control = SessionControl::new();
    account.add_session(
        id.clone(),
        Session {
            number: 0,
            owner: caller.arn.clone(),
            target: request.target.clone(),
            document: name.to_owned(),
            reason: request.reason.clone(),
            started_at: state.clock.unix(),
            ended_at: None,
            connected: None,
            token: Some(token.clone()),
            cell: None,
            forgotten: false,
            control: control.clone(),
        },
    );
    drop(account);
    gateway::launch(
        state.clone(),
        NewSession {
            id: id.clone(),
            instance,
            session_type: document.session_type,
            properties,
            control,
        },
    );
    Ok(json!({ "SessionId": id, "StreamUrl": state.stream_url(&id, None), "TokenValue": token }))
}

/// The document's properties as the agent's handshake carries them.
fn properties(
    document: &Document,
    given: &BTreeMap<String, Vec<String>>,
) -> Result<SessionProperties, Failure> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in given {
        if !document.parameters.iter().any(|(known, _)| known == name) {
            return Err(failure(
                "InvalidParameters",
                format!("Parameter \"{name}\" is not defined in the document."),
            ));
        }
        let [value] = value.as_slice() else {
            return Err(failure(
                "InvalidParameters",
                format!("Parameter \"{name}\" takes one value."),
            ));
        };
        let is_port = name.ends_with("PortNumber") || name == "portNumber";
        if is_port && value.parse::<u16>().is_err() {
            return Err(failure(
                "InvalidParameters",
                format!(
                    "Parameter \"{name}\" has value \"{value}\" not matching ^([1-9]|[1-9][0-9]{{1,4}})$"
                ),
            ));
        }
        values.insert(name.clone(), value.clone());
    }
    for (name, required) in document.parameters {
        if *required && !values.contains_key(*name) {
            return Err(failure(
                "InvalidParameters",
                format!("Parameter \"{name}\" requires a value."),
            ));
        }
    }
    if document.session_type != SessionType::Port {
        return Ok(values.into_iter().collect());
    }
    let default_port = if document.forwarding { "80" } else { "22" };
    values
        .entry("portNumber".to_owned())
        .or_insert_with(|| default_port.to_owned());
    if document.forwarding {
        values
            .entry("localPortNumber".to_owned())
            .or_insert_with(|| "0".to_owned());
        values.insert("type".to_owned(), "LocalPortForwarding".to_owned());
    }
    Ok(values.into_iter().collect())
}

fn own_session<'a>(
    state: &State,
    account: &'a mut Account,
    caller: &Caller,
    action: &str,
    id: &str,
) -> Result<&'a mut Session, Failure> {
    let resource = format!("arn:aws:ssm:{}:{ACCOUNT_ID}:session/{id}", state.region);
    authorize(account, caller, action, &resource)?;
    let session = account.sessions.get_mut(id).ok_or_else(|| {
        failure(
            "DoesNotExistException",
            format!("Session with id {id} does not exist."),
        )
    })?;
    if session.owner != caller.arn {
        return Err(failure(
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {resource}",
                caller.arn
            ),
        ));
    }
    Ok(session)
}

fn resume_session(state: &State, caller: &Caller, request: &OnSession) -> Result<Value, Failure> {
    let mut account = state.account();
    let (token, cell) = (account.new_token(), account.new_cell());
    let session = own_session(
        state,
        &mut account,
        caller,
        "ssm:ResumeSession",
        &request.session_id,
    )?;
    if session.is_over() || session.forgotten {
        return Ok(json!({ "SessionId": request.session_id }));
    }
    session.token = Some(token.clone());
    let url_kind = state.resume_url();
    if url_kind == ResumeUrl::NewCell {
        session.cell = Some(cell);
    }
    let url = state.stream_url(&request.session_id, session.cell.as_deref());
    let mut answer = json!({ "SessionId": request.session_id, "TokenValue": token });
    match url_kind {
        ResumeUrl::Same | ResumeUrl::NewCell => answer["StreamUrl"] = url.into(),
        ResumeUrl::Empty => answer["StreamUrl"] = "".into(),
        ResumeUrl::Absent => {}
    }
    Ok(answer)
}

fn terminate_session(
    state: &State,
    caller: &Caller,
    request: &OnSession,
) -> Result<Value, Failure> {
    let mut account = state.account();
    let session = own_session(
        state,
        &mut account,
        caller,
        "ssm:TerminateSession",
        &request.session_id,
    )?;
    session.end(state.clock.unix());
    session.control.terminate();
    Ok(json!({ "SessionId": request.session_id }))
}
