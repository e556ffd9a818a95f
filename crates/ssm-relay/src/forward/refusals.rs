use std::collections::BTreeSet;

use ssm_smux::StreamId;

/// Which streams the destination refused. ConnectToPortError names none; the agent sends the FIN of
/// the one that it means right after.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Flags whose stream's FIN is still to come.
    flags: u32,
    refused: BTreeSet<StreamId>,
    /// Streams that nothing was received of yet.
    silent: BTreeSet<StreamId>,
}

impl Refusals {
    pub(super) fn handle_flag(&mut self) {
        self.flags += 1;
    }

    pub(super) fn opened(&mut self, id: StreamId) {
        self.silent.insert(id);
    }

    /// Something was received.
    pub(super) fn spoke(&mut self, id: StreamId) {
        self.silent.remove(&id);
    }

    pub(super) fn finished(&mut self, id: StreamId) {
        if self.silent.remove(&id) && self.flags > 0 {
            self.flags -= 1;
            self.refused.insert(id);
        }
    }

    pub(super) fn contains(&self, id: StreamId) -> bool {
        self.refused.contains(&id)
    }

    pub(super) fn forget(&mut self, id: StreamId) {
        self.refused.remove(&id);
        self.silent.remove(&id);
    }
}
