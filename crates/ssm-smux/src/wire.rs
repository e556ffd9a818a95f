//! Frames on the wire, and messages built of them.

mod decoder;
mod frame;
mod repeatable;

pub(crate) use decoder::{Decoder, Piece};
pub use frame::MAX_DATA;
pub(crate) use frame::{Frame, HEADER};
pub use repeatable::MIN_REPEATABLE;
pub(crate) use repeatable::Repeatable;
