//! This process and those that it starts: its run to an exit code, signals, standard input and output.

pub mod child;
pub mod command;
pub mod program;
mod signals;
pub mod stdio;

pub use signals::{Received, Signals};
