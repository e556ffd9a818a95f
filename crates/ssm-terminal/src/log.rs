//! Log files.

use std::io::{self, Write};

use crate::text::one_line;

/// Writes each log entry on one line. Each `write` is one entry with its line end, as
/// `tracing-subscriber` writes it; line ends inside an entry are escaped, so that text from outside
/// cannot forge another entry.
#[derive(Debug)]
pub struct LogWriter<W>(W);

impl<W: Write> LogWriter<W> {
    /// A writer that filters everything written to `log`.
    pub fn new(log: W) -> Self {
        Self(log)
    }
}

impl<W: Write> Write for LogWriter<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        match text.strip_suffix('\n') {
            Some(line) => self
                .0
                .write_all(format!("{}\n", one_line(line)).as_bytes())?,
            None => self.0.write_all(one_line(&text).as_bytes())?,
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_cannot_forge_another_one() {
        let mut log = LogWriter::new(Vec::new());
        log.write_all(b"INFO agent says: hi\r\nERROR \x1b[2Jforged\n")
            .expect("memory");
        log.write_all(b"INFO next\n").expect("memory");
        log.write_all(b"\xff").expect("memory");
        log.flush().expect("memory");
        assert_eq!(
            String::from_utf8(log.0).expect("text"),
            "INFO agent says: hi\\r\\nERROR \\u{1b}[2Jforged\nINFO next\n\u{fffd}"
        );
    }
}
