//! Text for people, or JSON for programs.

use clap::ValueEnum;

/// The format of a program's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people, those of the AWS CLI where it has any.
    Text,
    /// One JSON object a line, `event` first.
    Json,
}
