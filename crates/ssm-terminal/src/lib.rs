//! Makes text from outside safe to show.
//!
//! What an agent, a service, a tag or a proxy says goes to a terminal, a log or a JSON line. The
//! libraries of this workspace keep such texts as they came, in errors and events, so that programs
//! can compare them; a program filters **once, where it prints**:
//!
//! - [`printable`] for text on a terminal, which may have several lines;
//! - [`one_line`] for a prompt, or an entry of a log;
//! - [`json`] for a line of JSON, whose strings are decoded and shown by other programs;
//! - [`LogWriter`] around the file of a log.
//!
//! Shown by their number, as in `\u{1b}`:
//!
//! | characters | what they do to a terminal or its reader |
//! |---|---|
//! | C0 controls but tab and line feed, DEL, C1 controls | escape sequences (ESC, CSI, OSC), overwriting a line, bells |
//! | bidirectional marks, embeddings, overrides, isolates | show text in another order than it has |
//! | zero-width and other invisible characters, tags | hide text, or tell two equal-looking names apart |
//! | line and paragraph separators | break a line where no line feed is |
//!
//! A line longer than [`LONGEST_LINE`] characters is cut, and a text of more than [`MOST_LINES`]
//! lines too; both say how much is missing. JSON is not cut.

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
