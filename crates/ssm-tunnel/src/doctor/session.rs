//! Whether a session can be started and terminated, which only trying shows.

use std::time::Duration;

use super::denied::remedy;
use super::examination::Examination;
use super::report::{Check, CheckName};
use crate::aws::{SessionRequest, SystemsManager};
use crate::error::{Denial, ServiceError};

/// What StartSession answered.
pub(super) struct Started {
    session_id: String,
    pub(super) stream_url: String,
    terminated: Result<(), ServiceError>,
}

impl Examination {
    /// Starts a session and terminates it at once; `None` when the caller does not want that.
    pub(super) async fn session(&self, id: &str) -> Option<Result<Started, ServiceError>> {
        if !self.start_session {
            return None;
        }
        let request = SessionRequest {
            target: id.to_owned(),
            document_name: self.document.name().to_owned(),
            parameters: self.document.parameters(None),
            reason: Some("checking whether a session may be started".to_owned()),
        };
        let systems_manager = SystemsManager::new(self.access.clone(), request);
        // A task of its own: once started, the session must be terminated even if the caller stops
        // waiting.
        let task = tokio::spawn(async move {
            let ticket = systems_manager.start_session().await?;
            let terminated = systems_manager.terminate_session(&ticket.session_id).await;
            Ok(Started {
                session_id: ticket.session_id,
                stream_url: ticket.stream_url,
                terminated,
            })
        });
        // Each of the two calls has the deadline.
        let limit = self
            .deadline
            .saturating_mul(2)
            .saturating_add(Duration::from_secs(1));
        let late = || ServiceError::Timeout {
            action: "StartSession",
        };
        Some(match tokio::time::timeout(limit, task).await {
            Ok(Ok(answer)) => answer,
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
            None => Check::unknown(NAME, "not tried, as requested"),
            Some(Ok(started)) => match &started.terminated {
                Ok(()) => Check::pass(
                    NAME,
                    format!("{} was started and terminated at once", started.session_id),
                ),
                Err(error) => Check::fail(
                    NAME,
                    format!(
                        "{} was started, but not terminated: {error}; its agent ends it for lack of a client",
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
                let resources = resources(&denial, self.document.name());
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
}

/// The resources on which StartSession is authorized: the target as the denial names it, and the document.
fn resources(denial: &Denial, document: &str) -> Vec<String> {
    let Some(denied) = &denial.resource else {
        return vec!["*".to_owned()];
    };
    let parts: Vec<_> = denied.split(':').collect();
    let [_, partition, _, region, account, ..] = parts[..] else {
        return vec![denied.clone()];
    };
    // The ARNs of AWS's own documents contain no account.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PORT;

    #[test]
    fn missing_statement_names_target_and_document() {
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
