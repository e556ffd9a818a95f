//! Signals that ask a program to end: Ctrl-C and its equivalents on every platform.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Programs that forward a signal, such as `timeout`, often send it to the process and to its group:
/// a second signal within this time is the same Ctrl-C.
const SAME: Duration = Duration::from_millis(300);

/// The kind of signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Ctrl-C, or another key of the terminal: every program in its foreground got it.
    Interrupt,
    /// A request for this program to end.
    Terminate,
    /// The terminal, or the user's whole session, is going away.
    HangUp,
}

/// Waits for the signals that ask a program to end.
#[derive(Debug)]
pub struct Signals {
    last: Option<Instant>,
    #[cfg(unix)]
    interrupts: Vec<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    streams: [tokio::signal::unix::Signal; 2],
    #[cfg(windows)]
    streams: (
        tokio::signal::windows::CtrlC,
        tokio::signal::windows::CtrlBreak,
        tokio::signal::windows::CtrlClose,
        tokio::signal::windows::CtrlShutdown,
    ),
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::task::Poll;

    use tokio::signal::unix::{SignalKind, signal};

    use super::{Received, Signals};

    impl Signals {
        /// Takes the signals over from the system.
        ///
        /// # Errors
        /// When the system does not hand them over.
        pub fn new() -> io::Result<Self> {
            Ok(Self {
                last: None,
                interrupts: vec![signal(SignalKind::interrupt())?],
                streams: [
                    signal(SignalKind::terminate())?,
                    signal(SignalKind::hangup())?,
                ],
            })
        }

        /// The same, and the terminal's other keys: Ctrl-\ and Ctrl-Z.
        ///
        /// # Errors
        /// When the system does not hand them over.
        pub fn with_job_control() -> io::Result<Self> {
            let mut signals = Self::new()?;
            let stop = SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw());
            signals.interrupts.push(signal(SignalKind::quit())?);
            signals.interrupts.push(signal(stop)?);
            Ok(signals)
        }

        /// Waits for the next one.
        pub async fn received(&mut self) -> Received {
            let [terminate, hangup] = &mut self.streams;
            let interrupts = &mut self.interrupts;
            let interrupt = std::future::poll_fn(|cx| {
                let any = interrupts
                    .iter_mut()
                    .any(|one| one.poll_recv(cx).is_ready());
                if any { Poll::Ready(()) } else { Poll::Pending }
            });
            tokio::select! {
                () = interrupt => Received::Interrupt,
                _ = terminate.recv() => Received::Terminate,
                _ = hangup.recv() => Received::HangUp,
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;

    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    use super::{Received, Signals};

    impl Signals {
        /// Takes the signals over from the system.
        ///
        /// # Errors
        /// When the system does not hand them over.
        pub fn new() -> io::Result<Self> {
            Ok(Self {
                last: None,
                streams: (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?),
            })
        }

        /// The same: the terminal has no other keys here.
        ///
        /// # Errors
        /// When the system does not hand them over.
        pub fn with_job_control() -> io::Result<Self> {
            Self::new()
        }

        /// Waits for the next one.
        pub async fn received(&mut self) -> Received {
            let (c, brk, close, shutdown) = &mut self.streams;
            tokio::select! {
                _ = c.recv() => Received::Interrupt,
                _ = brk.recv() => Received::Interrupt,
                _ = close.recv() => Received::HangUp,
                _ = shutdown.recv() => Received::Terminate,
            }
        }
    }
}

impl Signals {
    /// Waits for the next signal of any kind. A signal that is delivered twice counts once.
    pub async fn next(&mut self) {
        loop {
            self.received().await;
            let now = Instant::now();
            let same = |last| now.duration_since(last) < SAME;
            if !self.last.is_some_and(same) {
                self.last = Some(now);
                self.discard().await;
                return;
            }
        }
    }

    /// Discards signals that arrived together with the last one, however late they are polled.
    async fn discard(&mut self) {
        poll_fn(|cx| {
            while pin!(self.received()).poll(cx).is_ready() {}
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};
    use tokio::signal::unix::{SignalKind, signal};

    use super::*;

    #[tokio::test]
    async fn what_came_together_counts_once_however_late_it_is_looked_at() {
        let mut signals = Signals::new().expect("the system hands them over");
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let witnesses = kinds.map(|kind| signal(kind).expect("the system hands it over"));
        for signal in [Signal::INT, Signal::TERM] {
            kill_process(getpid(), signal).expect("this process");
        }
        for mut witness in witnesses {
            witness.recv().await;
        }
        signals.next().await;
        // A while passes.
        signals.last = None;
        let mut another = pin!(signals.next());
        poll_fn(|cx| {
            assert!(another.as_mut().poll(cx).is_pending(), "it counts twice");
            Poll::Ready(())
        })
        .await;
    }
}
