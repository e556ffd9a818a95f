//! Programs that print a code.

pub(crate) mod askpass;
pub(crate) mod command;
pub(crate) mod process;
