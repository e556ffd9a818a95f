//! `/dev/tty`: reads a line, cancellably, and leaves the terminal as it was.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr,
};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe, unregister};
use zeroize::Zeroizing;

use super::options::{MAX_LINE, Options};
use crate::code::source::CodeError;

const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The controlling terminal, to read from and to write to.
pub(crate) fn open() -> io::Result<(File, File)> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    Ok((terminal.try_clone()?, terminal))
}

/// Writes to the terminal.
pub(super) fn say(text: &str) -> io::Result<()> {
    open()?.1.write_all(text.as_bytes())
}

/// Ends the reading thread when dropped, after restoring the terminal.
pub(super) struct Guard {
    _open: UnixStream,
    echo: Arc<Echo>,
}

/// The thread's end of a [`Guard`].
pub(super) struct Cancel {
    closed: UnixStream,
    echo: Arc<Echo>,
}

pub(super) fn cancel() -> io::Result<(Guard, Cancel)> {
    let (open, closed) = UnixStream::pair()?;
    let echo = Arc::new(Echo::default());
    let guard = Guard {
        _open: open,
        echo: echo.clone(),
    };
    Ok((guard, Cancel { closed, echo }))
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.echo.restore();
    }
}

/// The terminal's settings from before the echo was switched off.
#[derive(Default)]
struct Echo(Mutex<Option<(File, Termios)>>);

impl Echo {
    fn switch_off(&self, terminal: &File) -> io::Result<()> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO;
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = Some((terminal.try_clone()?, before));
        Ok(tcsetattr(terminal, OptionalActions::Now, &hidden)?)
    }

    fn restore(&self) {
        let saved = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((terminal, before)) = saved
            && let Err(error) = tcsetattr(&terminal, OptionalActions::Now, &before)
        {
            tracing::warn!(%error, "the terminal's echo stays off: `stty echo` switches it on");
        }
    }
}

pub(super) fn read_line(
    text: &str,
    options: Options,
    retry: bool,
    cancel: &Cancel,
) -> Result<Zeroizing<String>, CodeError> {
    let failed = |error: io::Error| CodeError::Other(error.to_string());
    let (mut input, mut output) = open().map_err(|_| CodeError::NoTerminal)?;
    let signals = Signals::watch(options).map_err(failed)?;
    /// However the function ends, even by a panic.
    struct Restore<'a>(&'a Echo);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            self.0.restore();
        }
    }
    let restore = Restore(&cancel.echo);
    if options.hide {
        cancel.echo.switch_off(&input).map_err(failed)?;
    }
    if retry && let Err(error) = tcflush(&input, QueueSelector::IFlush) {
        // Characters typed before the question are no answer to it.
        tracing::debug!(%error, "typed characters not discarded");
    }
    output.write_all(text.as_bytes()).map_err(failed)?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let mut byte = [0];
    let outcome = loop {
        if line.ends_with(b"\n") || line.len() >= MAX_LINE {
            break Ok(());
        }
        match wait(&input, &cancel.closed, &signals).map_err(failed)? {
            Woken::Readable => {}
            Woken::Abandoned => break Err(None),
            Woken::Signal(signal) => break Err(Some(signal)),
        }
        match input.read(&mut byte) {
            // End-of-file: Ctrl-D, or the terminal is gone.
            Ok(0) => break Err(None),
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    };
    drop(restore);
    if options.hide || outcome.is_err() {
        // The cursor is still on the prompt's line.
        output.write_all(b"\n").unwrap_or_default();
    }
    match outcome {
        // Bytes that are not UTF-8 are not digits either.
        Ok(()) => Ok(Zeroizing::new(String::from_utf8_lossy(&line).into_owned())),
        Err(signal) => {
            drop(signals);
            if let Some(signal) = signal.filter(|_| !options.cancel_on_signal)
                && let Err(error) = emulate_default_handler(signal)
            {
                tracing::warn!(%error, signal, "the signal had no effect");
            }
            Err(CodeError::Cancelled)
        }
    }
}

enum Woken {
    Readable,
    Abandoned,
    Signal(i32),
}

fn wait(terminal: &File, closed: &UnixStream, signals: &Signals) -> io::Result<Woken> {
    let mut ready = vec![
        PollFd::new(closed, PollFlags::IN),
        PollFd::new(terminal, PollFlags::IN),
    ];
    let watched = signals.watched.iter();
    ready.extend(watched.map(|(_, _, pipe)| PollFd::new(pipe, PollFlags::IN)));
    loop {
        match poll(&mut ready, None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut ready = ready.iter().map(|fd| !fd.revents().is_empty());
    let abandoned = ready.next() == Some(true);
    let readable = ready.next() == Some(true);
    let signal = signals.watched.iter().zip(ready).find(|(_, ready)| *ready);
    Ok(match signal {
        Some(((signal, ..), _)) => Woken::Signal(*signal),
        None if abandoned => Woken::Abandoned,
        None if readable => Woken::Readable,
        None => Woken::Abandoned,
    })
}

/// Signals that end a prompt.
struct Signals {
    watched: Vec<(i32, SigId, UnixStream)>,
    /// While this prompt is open, they do not end the program.
    default_is_off: bool,
}

/// Whether the signals that a prompt handles end the program, as they would by default. A handler
/// cannot be taken back, only switched.
static DEFAULT: OnceLock<Arc<AtomicBool>> = OnceLock::new();

impl Signals {
    fn watch(options: Options) -> io::Result<Self> {
        let mut signals = Self {
            watched: Vec::new(),
            default_is_off: false,
        };
        if !options.cancel_on_signal && !options.hide {
            return Ok(signals);
        }
        for signal in SIGNALS {
            let (read, write) = UnixStream::pair()?;
            let id = pipe::register(signal, write)?;
            signals.watched.push((signal, id, read));
        }
        if !options.cancel_on_signal {
            if DEFAULT.get().is_none() {
                let ends = Arc::new(AtomicBool::new(false));
                for signal in SIGNALS {
                    signal_hook::flag::register_conditional_default(signal, ends.clone())?;
                }
                DEFAULT.get_or_init(|| ends);
            }
            signals.set_default(false);
            signals.default_is_off = true;
        }
        Ok(signals)
    }

    fn set_default(&self, ends: bool) {
        if let Some(default) = DEFAULT.get() {
            default.store(ends, Ordering::SeqCst);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, id, _) in &self.watched {
            unregister(*id);
        }
        if self.default_is_off {
            self.set_default(true);
        }
    }
}
