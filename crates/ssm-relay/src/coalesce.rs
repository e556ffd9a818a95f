use std::time::{Duration, Instant};

/// How long the websocket is left unread while a download comes message by message.
const REST: Duration = Duration::from_millis(3);
/// Reads in a row that must each have found little but full messages before the next is put off.
const STREAK: u32 = 16;
/// A read that finds more messages than this has work enough.
const FEW: usize = 16;
/// Bytes of a message that the agent filled: the header and 1024 bytes of payload. After one that is
/// not full there may be nothing more to wait for.
const FULL: usize = ssm_protocol::wire::PAYLOAD_OFFSET + 1024;

/// Whether to read the websocket at once or in a moment, so that one acknowledging write and one
/// local write do for several messages: interrupt coalescing, as network cards do it.
///
/// The agent sends a message of 1 KiB a millisecond, and each by itself costs four system calls.
/// Only a long download with nothing else going on is put off: while anything that we sent is
/// unacknowledged, every answer is read as it comes.
#[derive(Debug, Default)]
pub(crate) struct Coalesce {
    /// Messages of the read that is going on, and whether the last one was full.
    read: usize,
    full: bool,
    streak: u32,
    until: Option<Instant>,
}

impl Coalesce {
    /// A message of so many bytes was read.
    pub(crate) fn saw(&mut self, bytes: usize) {
        self.read += 1;
        self.full = bytes >= FULL;
    }

    /// All that was there is read.
    pub(crate) fn drained(&mut self, now: Instant) {
        let read = std::mem::take(&mut self.read);
        if read == 0 {
            return;
        }
        self.streak = if self.full && read <= FEW {
            self.streak.saturating_add(1)
        } else {
            0
        };
        self.until = (self.streak >= STREAK).then(|| now + REST);
    }

    /// Until when not to read, given whether anything that was sent is unacknowledged.
    pub(crate) fn rest(&mut self, now: Instant, waiting: bool) -> Option<Instant> {
        if waiting {
            *self = Self::default();
        }
        self.until = self.until.filter(|until| now < *until);
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A download at the agent's pace, long enough.
    fn resting(start: Instant) -> Coalesce {
        let mut coalesce = Coalesce::default();
        for _ in 0..STREAK {
            assert_eq!(coalesce.rest(start, false), None);
            coalesce.saw(FULL);
            coalesce.drained(start);
        }
        coalesce
    }

    #[test]
    fn a_long_download_that_comes_message_by_message_is_read_every_few_milliseconds() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        assert_eq!(coalesce.rest(now, false), Some(now + REST));
        assert_eq!(coalesce.rest(now + 2 * MS, false), Some(now + REST));
        assert_eq!(coalesce.rest(now + 3 * MS, false), None);
        // What came meanwhile is read at once, and the next rest begins.
        for _ in 0..4 {
            coalesce.saw(FULL);
        }
        coalesce.drained(now + 4 * MS);
        assert_eq!(coalesce.rest(now + 4 * MS, false), Some(now + 7 * MS));
    }

    #[test]
    fn an_answer_to_something_that_was_sent_is_never_put_off() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        assert_eq!(coalesce.rest(now, true), None);
        coalesce.saw(FULL);
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), None);
    }

    #[test]
    fn a_message_that_is_not_full_ends_it() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        coalesce.saw(FULL - 1);
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), None);
    }

    #[test]
    fn an_agent_faster_than_the_real_one_is_read_as_it_comes() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        for _ in 0..=FEW {
            coalesce.saw(FULL);
        }
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), None);
    }

    #[test]
    fn a_wakeup_that_finds_nothing_changes_nothing() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), Some(now + REST));
    }
}
