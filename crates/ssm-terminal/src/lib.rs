//! Makes text from outside safe to show.
//!
//! Texts from agents, services, tags and proxies end up on a terminal, in a log or in a JSON line.
//! The libraries of this workspace keep them unchanged in errors and events, so that programs can
//! compare them; a program filters them **once, where it prints**:
//!
//! - [`printable`] for text on a terminal, which may have several lines;
//! - [`one_line`] for a prompt or a log entry;
//! - [`json`] for a line of JSON, whose strings other programs decode and show;
//! - [`LogWriter`] around a log file.
//!
//! These characters are replaced by escapes with their code point, such as `\u{1b}`:
//!
//! | characters | effect on a terminal or its reader |
//! |---|---|
//! | C0 controls except tab and line feed, DEL, C1 controls | escape sequences (ESC, CSI, OSC), overwriting a line, bells |
//! | bidirectional marks, embeddings, overrides, isolates | reorder the text shown |
//! | zero-width and other invisible characters, tags | hide text, or make different names look equal |
//! | line and paragraph separators | break a line without a line feed |
//!
//! A line longer than [`LONGEST_LINE`] characters and a text of more than [`MOST_LINES`] lines are cut,
//! with a note of how much is missing. JSON is not cut.

mod json;
mod log;
mod text;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use json::json;
pub use log::LogWriter;
pub use text::{LONGEST_LINE, MOST_LINES, one_line, printable};
