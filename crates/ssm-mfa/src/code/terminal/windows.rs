//! `CONIN$` and `CONOUT$`: reads a line, cancellably.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::options::{MAX_LINE, Options};
use crate::code::source::CodeError;

/// The console, to read from and to write to.
pub(crate) fn open() -> io::Result<(File, File)> {
    let input = File::options().read(true).write(true).open("CONIN$")?;
    let output = File::options().read(true).write(true).open("CONOUT$")?;
    Ok((input, output))
}

/// Writes to the console.
pub(super) fn say(text: &str) -> io::Result<()> {
    open()?.1.write_all(text.as_bytes())
}

/// Ends the reading thread when dropped, as far as possible: a read of the console cannot be
/// cancelled, so the next line typed is discarded.
pub(super) struct Guard(Arc<AtomicBool>);

/// The thread's end of a [`Guard`].
pub(super) struct Cancel(Arc<AtomicBool>);

pub(super) fn cancel() -> io::Result<(Guard, Cancel)> {
    let abandoned = Arc::new(AtomicBool::new(false));
    Ok((Guard(abandoned.clone()), Cancel(abandoned)))
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The console delivers whole lines, so there is no type-ahead to discard.
pub(super) fn read_line(
    text: &str,
    options: Options,
    _retry: bool,
    cancel: &Cancel,
) -> Result<Zeroizing<String>, CodeError> {
    let failed = |error: io::Error| CodeError::Other(error.to_string());
    let (mut input, mut output) = open().map_err(|_| CodeError::NoTerminal)?;
    output.write_all(text.as_bytes()).map_err(failed)?;
    if options.hide {
        // It switches the console's echo off, and restores it.
        return rpassword::read_password()
            .map(Zeroizing::new)
            .map_err(failed);
    }
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let mut byte = [0];
    while !line.ends_with(b"\n") && line.len() < MAX_LINE {
        if cancel.0.load(Ordering::Relaxed) {
            return Err(CodeError::Cancelled);
        }
        match input.read(&mut byte) {
            // Ctrl-Z, or the console is gone.
            Ok(0) => return Err(CodeError::Cancelled),
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // Bytes that are not UTF-8 are not digits either.
    Ok(Zeroizing::new(String::from_utf8_lossy(&line).into_owned()))
}
