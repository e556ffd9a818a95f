//! One session, from StartSession to its end.

mod context;
mod handle;
mod outage;
mod session_driver;
mod start;
mod state;
mod terminate;
#[cfg(test)]
mod tests;
mod websocket_loop;

pub use context::{SessionContext, SessionEvent, SessionOptions};
pub use handle::SessionHandle;
pub use start::{StartError, StartedSession};
pub use state::{SessionGuard, SessionState, Stage};
