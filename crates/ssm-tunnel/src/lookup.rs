//! What a tunnel leads to: ids, lookups of names and addresses, and the state of a target that is not
//! connected.

mod find;
mod id;
mod state;

pub(crate) use find::find;
pub(crate) use id::is_id;
pub(crate) use state::ask as ask_state;
