//! The local program's end of a stream.

use std::time::Instant;

use ssm_smux::StreamId;

use super::flow::{Reader, Writer};
use super::plan::{LocalEnd, StreamPlan};
use crate::{PortForward, StreamRead, StreamWriteError};

/// A local program's connection. As in a shell, what was blocked is not tried again before an event
/// says so.
#[derive(Debug)]
pub(super) struct LocalStream {
    pub(super) plan: StreamPlan,
    pub(super) phase: Phase,
    pub(super) upload: Writer,
    pub(super) download: Reader,
    readable: bool,
    writable: bool,
    /// Nothing more is written.
    finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    NotYet,
    Open(StreamId),
    Ended(Ending),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The local program closed it.
    Closed,
    Reset,
    /// From here on, what [`PortForward::read`] reported.
    EndOfFile,
    Refused,
    Doubled,
    CutOff,
}

impl LocalStream {
    pub(super) fn new(number: u64, plan: StreamPlan, now: Instant) -> Self {
        Self {
            upload: Writer::new(2 * number, plan.upload.clone(), now),
            download: Reader::new(2 * number + 1, plan.download.clone(), now),
            plan,
            phase: Phase::NotYet,
            readable: true,
            writable: true,
            finished: false,
        }
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    pub(super) fn id(&self) -> Option<StreamId> {
        match self.phase {
            Phase::Open(id) => Some(id),
            _ => None,
        }
    }

    pub(super) fn wake_reader(&mut self) {
        self.readable = true;
        self.writable = true;
    }

    pub(super) fn wake_writer(&mut self) {
        self.writable = true;
    }

    pub(super) fn opened(&mut self, id: StreamId, now: Instant) {
        self.phase = Phase::Open(id);
        self.upload.next = now;
        self.download.next = now;
    }

    /// Reads and writes as far as it can; whether it did anything. `over`: the session ended.
    pub(super) fn act(&mut self, forward: &mut PortForward, now: Instant, over: bool) -> bool {
        let Phase::Open(id) = self.phase else {
            if over && self.phase == Phase::NotYet {
                self.phase = Phase::Ended(Ending::CutOff);
                return true;
            }
            return false;
        };
        let mut any = false;
        while self.readable && self.download.next <= now {
            match forward.read(id) {
                StreamRead::Data(data) => {
                    assert!(!data.is_empty(), "an empty read");
                    self.download.take(&data, now);
                    any = true;
                }
                StreamRead::Blocked if over => return self.end(forward, id, Ending::CutOff),
                StreamRead::Blocked => self.readable = false,
                StreamRead::Finished => return self.end(forward, id, Ending::EndOfFile),
                StreamRead::Refused => return self.end(forward, id, Ending::Refused),
                StreamRead::Doubled => return self.end(forward, id, Ending::Doubled),
                StreamRead::Reset => return self.end(forward, id, Ending::CutOff),
            }
        }
        if over {
            return any;
        }
        while self.writable && !self.finished && self.upload.next <= now {
            let end = match self.plan.local_end {
                LocalEnd::Reset(after) if self.upload.written >= after => {
                    forward.reset(id);
                    self.phase = Phase::Ended(Ending::Reset);
                    return true;
                }
                LocalEnd::Reset(after) => after,
                _ => usize::MAX,
            };
            if self.upload.is_done() {
                match self.plan.local_end {
                    LocalEnd::HalfClose => {
                        forward.finish(id, now);
                        self.finished = true;
                        return true;
                    }
                    LocalEnd::CloseWhenAnswered if !self.download.is_done() => break,
                    _ => return self.end(forward, id, Ending::Closed),
                }
            }
            match forward.writable(id) {
                None => self.finished = true,
                Some(0) => self.writable = false,
                Some(room) => {
                    let data = self.upload.write(room, end, now);
                    let written = forward.write(id, data.into());
                    assert_ne!(written, Err(StreamWriteError::Full), "there was room");
                    assert_eq!(written, Ok(()));
                    any = true;
                }
            }
        }
        any
    }

    fn end(&mut self, forward: &mut PortForward, id: StreamId, ending: Ending) -> bool {
        // As a shell does when a stream is dropped.
        forward.close(id);
        self.phase = Phase::Ended(ending);
        true
    }

    /// Its user has waited long enough and resets it.
    pub(super) fn give_up(&mut self, forward: &mut PortForward) {
        match self.phase {
            Phase::Open(id) => forward.reset(id),
            Phase::NotYet => {}
            Phase::Ended(_) => return,
        }
        self.phase = Phase::Ended(Ending::Reset);
    }

    /// When it goes on by itself.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        self.id()?;
        let read = self.readable.then_some(self.download.next);
        let write = (self.writable && !self.finished).then_some(self.upload.next);
        read.into_iter().chain(write).filter(|at| *at > now).min()
    }
}
