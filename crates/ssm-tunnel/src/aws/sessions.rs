//! Sessions as Systems Manager lists and ends them: DescribeSessions and TerminateSession.

use std::time::SystemTime;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{Session, SessionFilter, SessionFilterKey, SessionState};

use super::Access;
use super::call::{Call, client};
use crate::error::ServiceError;
use crate::node::OpenSession;

const DESCRIBE: &str = "DescribeSessions";
const TERMINATE: &str = "TerminateSession";
/// Items per page; the API takes at most 200 (API Reference, DescribeSessions).
const PAGE: i32 = 100;
/// 2000 open sessions of one user.
const MAX_PAGES: usize = 20;

/// The calls, in one region.
pub(crate) struct Sessions {
    access: Access,
    client: Client,
}

impl Sessions {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            client: client(&access),
            access,
        }
    }

    /// The open sessions of an owner, given by its ARN.
    pub(crate) async fn active(&self, owner: &str) -> Result<Vec<OpenSession>, ServiceError> {
        let filter = SessionFilter::builder();
        let filter = filter
            .key(SessionFilterKey::Owner)
            .value(owner)
            .build()
            .ok();
        let mut sessions = Vec::new();
        let mut token = None::<String>;
        for _ in 0..MAX_PAGES {
            let call = self
                .client
                .describe_sessions()
                .state(SessionState::Active)
                .set_filters(filter.clone().map(|filter| vec![filter]))
                .max_results(PAGE)
                .set_next_token(token.clone());
            let answer = self.about(DESCRIBE).answer(call.send()).await?;
            let next = answer.next_token().filter(|next| !next.is_empty());
            let next = next.map(str::to_owned);
            let list = answer.sessions.unwrap_or_default();
            sessions.extend(list.into_iter().filter_map(session));
            // A repeated token would make this an endless loop.
            if next.is_none() || next == token {
                break;
            }
            token = next;
        }
        Ok(sessions)
    }

    pub(crate) async fn terminate(&self, id: &str) -> Result<(), ServiceError> {
        let call = self.client.terminate_session().session_id(id);
        let answer = self.about(TERMINATE).answer(call.send()).await;
        answer.map(drop)
    }

    fn about(&self, action: &'static str) -> Call<'_> {
        Call {
            action,
            access: &self.access,
            target: "",
            document: "",
        }
    }
}

/// `None` for an answer without an id.
fn session(session: Session) -> Option<OpenSession> {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    Some(OpenSession {
        id: text(session.session_id)?,
        target: text(session.target),
        status: session.status.map(|it| it.as_str().to_owned()),
        started: session
            .start_date
            .and_then(|at| SystemTime::try_from(at).ok()),
        document_name: text(session.document_name),
        owner: text(session.owner),
        reason: text(session.reason),
    })
}
