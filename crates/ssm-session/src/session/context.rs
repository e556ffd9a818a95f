//! What all sessions of a tunnel share, and what the task of one of them has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::state::{SessionState, Stage};
use crate::api::{CallError, SessionApi};
use crate::clock::Clock;
use crate::data_channel::DataChannel;
use crate::net::proxy::Proxy;
use crate::net::signer::Signer;
use crate::net::stream_url::StreamEndpoint;
use crate::net::tls::CaBundle;
use crate::net::websocket::Connector;
use crate::timeouts::Timeouts;

/// How sessions connect.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Which stream URLs may be connected to.
    pub endpoint: StreamEndpoint,
    /// Signs the websocket's request. Without one only presigned URLs work with the real service.
    pub signer: Option<Signer>,
    /// The proxy. Default: as the environment says.
    pub proxy: Proxy,
    /// Root certificates to trust instead of the system's.
    pub ca_bundle: Option<CaBundle>,
    /// Times.
    pub timeouts: Timeouts,
}

/// What the sessions of one program, or one tunnel, share: the API, the way to the endpoint, the times
/// and the clock.
pub struct SessionContext<A> {
    pub(super) api: Arc<dyn SessionApi<Error = A>>,
    pub(super) connector: Arc<Connector>,
    pub(super) timeouts: Arc<Timeouts>,
    pub(super) clock: Arc<Clock>,
}

impl<A: CallError> SessionContext<A> {
    /// Sessions that this API starts, connected by these options.
    pub fn new(api: Arc<dyn SessionApi<Error = A>>, options: SessionOptions) -> Self {
        let timeouts = Arc::new(options.timeouts);
        Self {
            api,
            connector: Arc::new(Connector::new(
                options.endpoint,
                options.signer,
                timeouts.connect,
                options.proxy,
                options.ca_bundle,
            )),
            timeouts,
            clock: Arc::new(Clock::new()),
        }
    }

    /// The API.
    pub fn api(&self) -> &dyn SessionApi<Error = A> {
        &*self.api
    }

    /// The clock by which the sessions go.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What signs the websocket's request.
    pub fn signer(&self) -> Option<&Signer> {
        self.connector.signer()
    }
}

impl<A> Clone for SessionContext<A> {
    fn clone(&self) -> Self {
        Self {
            api: self.api.clone(),
            connector: self.connector.clone(),
            timeouts: self.timeouts.clone(),
            clock: self.clock.clone(),
        }
    }
}

impl<A> fmt::Debug for SessionContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionContext")
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// What happens in a session, for the function given to
/// [`StartedSession::run`](crate::StartedSession::run). It is called with the session locked: it must not
/// block, and must not lock the session itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent<E> {
    /// The websocket was lost. The session goes on once it is resumed.
    Interrupted {
        /// Why.
        reason: String,
    },
    /// The session goes on over a new websocket, on which the service was heard. Nothing was lost.
    Resumed {
        /// How long it was interrupted.
        after: Duration,
    },
    /// The state machine reports something.
    Channel(E),
}

/// A session as its own task sees it.
pub(super) struct SessionTask<C: DataChannel, A> {
    pub(super) id: String,
    pub(super) context: SessionContext<A>,
    pub(super) state: Arc<SessionState<C, A>>,
    pub(super) observer: Box<dyn Fn(SessionEvent<C::Event>) + Send + Sync>,
}

impl<C: DataChannel, A: CallError> SessionTask<C, A> {
    pub(super) fn report(&self, event: SessionEvent<C::Event>) {
        (self.observer)(event);
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        self.state.closing()
    }

    /// Ready, once the state machine is.
    pub(super) fn update_stage(&self, ready: bool) {
        if ready {
            self.state.advance(Stage::Ready);
        }
    }
}
