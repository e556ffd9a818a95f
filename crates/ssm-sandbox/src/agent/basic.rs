//! The agent's port in basic mode: one connection at a time, its bytes as they are
//! (`agent/session/plugins/port/port_basic.go` @1c217c89).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::connection::{ConnectionId, ToDestination};

/// Bytes taken from the client before the destination took them: about a socket's buffer.
const MOST_UNWRITTEN: usize = 256 << 10;
/// Bytes taken from the destination before the client was sent them.
const MOST_UNSENT: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Basic {
    /// The SSH document: the session ends with the connection.
    ends_with_connection: bool,
    state: State,
    /// The current or next connection.
    id: ConnectionId,
    /// What the client sent and the destination has not received.
    jobs: VecDeque<Job>,
    unwritten: usize,
    unsent: BytesMut,
    /// DisconnectToPort flags among the jobs: nothing is read until they are done.
    disconnects: usize,
    /// There is something new for the destination.
    ready: bool,
    /// The destination closed: the session ends when everything is sent.
    ending: bool,
    ended: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled.
    Due,
    Dialling,
    Open,
    /// Dialled again at the next byte.
    Disconnected,
}

#[derive(Debug)]
enum Job {
    Write(Bytes),
    Disconnect,
}

impl Basic {
    pub(super) fn new(ends_with_connection: bool) -> Self {
        Self {
            ends_with_connection,
            state: State::Due,
            id: ConnectionId(1),
            jobs: VecDeque::new(),
            unwritten: 0,
            unsent: BytesMut::new(),
            disconnects: 0,
            ready: false,
            ending: false,
            ended: None,
        }
    }

    fn is_dialling(&self) -> bool {
        matches!(self.state, State::Due | State::Dialling)
    }

    /// The agent waits for its destination, or dials again, and reads nothing meanwhile.
    pub(super) fn is_blocked(&self) -> bool {
        self.unwritten >= MOST_UNWRITTEN || (self.is_dialling() && !self.jobs.is_empty())
    }

    /// Bytes that the client believes the destination has.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// The session's end, with a text for the user.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Takes nothing until the first connection is made.
    pub(super) fn is_ready(&self) -> bool {
        !(self.is_dialling() && self.jobs.is_empty())
    }

    pub(super) fn output(&mut self, payload: Bytes) {
        self.unwritten += payload.len();
        self.take(Job::Write(payload));
    }

    /// DisconnectToPort.
    pub(super) fn disconnect(&mut self) {
        self.disconnects += 1;
        self.take(Job::Disconnect);
        if self.disconnects > 0 {
            self.unsent.clear();
        }
    }

    fn take(&mut self, job: Job) {
        self.jobs.push_back(job);
        self.ready = true;
        self.redial();
    }

    fn redial(&mut self) {
        if self.state != State::Disconnected {
            return;
        }
        while let Some(Job::Disconnect) = self.jobs.front() {
            self.jobs.pop_front();
            self.disconnects -= 1;
        }
        if !self.jobs.is_empty() {
            self.id.0 = self.id.0.wrapping_add(1);
            self.state = State::Due;
        }
    }

    pub(super) fn poll_dial(&mut self) -> Option<ConnectionId> {
        if self.state != State::Due {
            return None;
        }
        self.state = State::Dialling;
        Some(self.id)
    }

    pub(super) fn dialled(&mut self, id: ConnectionId, outcome: Result<(), String>) {
        if self.state != State::Dialling || id != self.id {
            return;
        }
        match outcome {
            Ok(()) => self.state = State::Open,
            Err(error) => {
                self.ended = Some(format!("Unable to connect to specified port: {error}"));
            }
        }
    }

    pub(super) fn poll_ready(&mut self) -> Option<ConnectionId> {
        std::mem::take(&mut self.ready).then_some(self.id)
    }

    fn is_open(&self, id: ConnectionId) -> bool {
        self.state == State::Open && id == self.id
    }

    pub(super) fn next_for_destination(&mut self, id: ConnectionId) -> ToDestination {
        if !self.is_open(id) {
            return ToDestination::Close;
        }
        match self.jobs.pop_front() {
            None => ToDestination::Nothing,
            Some(Job::Write(data)) => {
                self.unwritten -= data.len();
                ToDestination::Data(data)
            }
            Some(Job::Disconnect) => {
                self.state = State::Disconnected;
                self.disconnects -= 1;
                self.redial();
                ToDestination::Close
            }
        }
    }

    pub(super) fn room(&self, id: ConnectionId) -> Option<usize> {
        (self.is_open(id) && self.disconnects == 0)
            .then(|| MOST_UNSENT.saturating_sub(self.unsent.len()))
    }

    pub(super) fn destination_sent(&mut self, id: ConnectionId, data: &[u8]) {
        if self.is_open(id) && self.disconnects == 0 {
            self.unsent.extend_from_slice(data);
        }
    }

    /// The destination closed. The agent reports it only if the session ends with the connection.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        if !self.is_open(id) {
            return;
        }
        self.state = State::Disconnected;
        while let Some(Job::Write(data)) = self.jobs.front() {
            self.unwritten -= data.len();
            self.jobs.pop_front();
        }
        self.ending = self.ends_with_connection;
        self.end_if_sent();
        self.redial();
    }

    fn end_if_sent(&mut self) {
        if self.ending && self.unsent.is_empty() {
            self.ended.get_or_insert_default();
        }
    }

    pub(super) fn wants_transmit(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn transmit(&mut self, max: usize) -> Bytes {
        let length = self.unsent.len().min(max);
        let data = self.unsent.split_to(length).freeze();
        self.end_if_sent();
        data
    }
}
