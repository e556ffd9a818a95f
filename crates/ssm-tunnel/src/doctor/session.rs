//! Whether a session may be started and terminated, which only trying tells.

use std::time::Duration;

use ssm_relay::{ApiError, SessionApi as _};

use super::denied::remedy;
use super::{Check, CheckName, Doctor};
use crate::aws::SystemsManager;
use crate::builder::{PORT, REMOTE_HOST};
use crate::denial::Denial;
use crate::error::ServiceError;

/// What StartSession answered.
pub(super) struct Started {
    session_id: String,
    pub(super) stream_url: String,
    terminated: Result<(), ApiError>,
}

impl Doctor {
    /// Starts a session and terminates it at once; `None` when that is not to be tried.
    pub(super) async fn session(&self, id: &str) -> Option<Result<Started, ServiceError>> {
        if !self.start_session {
            return None;
        }
        let host = self
            .named_host()
            .map(|host| ("host".to_owned(), vec![host.to_owned()]));
        let port = ("portNumber".to_owned(), vec![self.remote_port.to_string()]);
        let systems_manager = SystemsManager::new(
            &self.sdk_config,
            self.endpoint_url.as_deref(),
            id.to_owned(),
            self.document().to_owned(),
            host.into_iter().chain([port]).collect(),
            Some("checking whether a session may be started".to_owned()),
        );
        // A task of its own: once it is asked for, a session is to be terminated whatever becomes
        // of who asked.
        let task = tokio::spawn(async move {
            let ticket = systems_manager.start().await?;
            let terminated = systems_manager.terminate(&ticket.session_id).await;
            Ok(Started {
                session_id: ticket.session_id,
                stream_url: ticket.stream_url,
                terminated,
            })
        });
        // Each call has the deadline itself.
        let limit = self
            .deadline
            .saturating_mul(2)
            .saturating_add(Duration::from_secs(1));
        let late = || ServiceError::Timeout {
            action: "StartSession",
        };
        Some(match tokio::time::timeout(limit, task).await {
            Ok(Ok(answer)) => answer.map_err(|error: ApiError| service(error, "StartSession")),
            _ => Err(late()),
        })
    }

    pub(super) fn session_check(
        &self,
        id: &str,
        started: &Option<Result<Started, ServiceError>>,
    ) -> Check {
        const NAME: CheckName = CheckName::Session;
        let check = match started {
            None => Check::unknown(NAME, "not tried, as asked"),
            Some(Ok(started)) => match &started.terminated {
                Ok(()) => Check::pass(
                    NAME,
                    format!("{} was started and terminated at once", started.session_id),
                ),
                Err(error) => Check::fail(
                    NAME,
                    format!(
                        "{} was started, but not terminated: {error}; its agent ends it, for lack of a client",
                        started.session_id
                    ),
                )
                .next("allow ssm:TerminateSession on the user's own sessions"),
            }
            .detail("session_id", &started.session_id),
            Some(Err(error)) => self.not_started(id, error),
        };
        check.detail("target", id)
    }

    fn not_started(&self, id: &str, error: &ServiceError) -> Check {
        const NAME: CheckName = CheckName::Session;
        match error {
            ServiceError::AccessDenied { message, .. } => {
                let denial = Denial::read(message);
                let on = "the target and the session document";
                let resources = resources(&denial, self.document());
                let step = remedy(&denial, "ssm:StartSession", on, &resources);
                Check::fail(
                    NAME,
                    format!("StartSession was denied, {denial}: {message}"),
                )
                .next(step)
                .detail("denial", denial)
            }
            ServiceError::TargetNotConnected { .. } => Check::fail(
                NAME,
                format!("StartSession was not denied, but {id} is not connected"),
            )
            .next("see instance, agent and data-channel"),
            ServiceError::Throttled { .. }
            | ServiceError::Timeout { .. }
            | ServiceError::Network { .. }
            | ServiceError::NotSent { .. }
            | ServiceError::Unreadable { .. } => Check::unknown(NAME, error.to_string()),
            error => Check::fail(NAME, error.to_string()),
        }
    }

    /// The session document that a tunnel would use.
    fn document(&self) -> &str {
        let standard = if self.named_host().is_some() {
            REMOTE_HOST
        } else {
            PORT
        };
        self.document_name.as_deref().unwrap_or(standard)
    }
}

/// What StartSession is authorized on: the target as the denial names it, and the document.
fn resources(denial: &Denial, document: &str) -> Vec<String> {
    let Some(denied) = &denial.resource else {
        return vec!["*".to_owned()];
    };
    let parts: Vec<_> = denied.split(':').collect();
    let [_, partition, _, region, account, ..] = parts[..] else {
        return vec![denied.clone()];
    };
    // AWS's own documents belong to no account.
    let owner = if document.starts_with("AWS-") {
        ""
    } else {
        account
    };
    let document = format!("arn:{partition}:ssm:{region}:{owner}:document/{document}");
    let mut resources = vec![denied.clone(), document];
    resources.dedup();
    resources
}

/// The error of a call that a task made.
fn service(error: ApiError, action: &'static str) -> ServiceError {
    match error.into_cause().downcast::<ServiceError>() {
        Ok(error) => *error,
        Err(_) => ServiceError::Unreadable {
            action,
            request_id: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_is_missing_names_target_and_document() {
        let denial = Denial::read(
            "User: arn:aws-cn:iam::1:user/a is not authorized to perform: ssm:StartSession on resource: arn:aws-cn:ec2:cn-north-1:1:instance/i-0a because no identity-based policy allows the ssm:StartSession action",
        );
        assert_eq!(
            resources(&denial, PORT),
            [
                "arn:aws-cn:ec2:cn-north-1:1:instance/i-0a",
                "arn:aws-cn:ssm:cn-north-1::document/AWS-StartPortForwardingSession",
            ]
        );
        assert_eq!(
            resources(&denial, "Mine")[1],
            "arn:aws-cn:ssm:cn-north-1:1:document/Mine"
        );
        assert_eq!(resources(&Denial::read("no"), PORT), ["*"]);
    }
}
