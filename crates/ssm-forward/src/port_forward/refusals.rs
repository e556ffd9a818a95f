//! Which streams the destination refused.

use std::collections::BTreeSet;

use ssm_smux::StreamId;

/// ConnectToPortError names no stream. The agent connects for one stream at a time, in the order of
/// their SYNs, and on a failure sends the flag and then the stream's FIN
/// (`agent/session/plugins/port/port_mux.go` of `aws/amazon-ssm-agent` @1c217c89). So the flag belongs to
/// the next stream that ends without data before anything of a later stream arrives, whether or not
/// that stream is still open here.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Flags whose stream's FIN has not arrived.
    flags: u32,
    refused: BTreeSet<StreamId>,
}

impl Refusals {
    pub(super) fn handle_flag(&mut self) {
        self.flags = self.flags.saturating_add(1);
    }

    /// The agent ended this stream without data, before it sent anything of a later one. `open`: the
    /// stream may still be read here.
    pub(super) fn unserved(&mut self, id: StreamId, open: bool) {
        if self.flags == 0 {
            return;
        }
        self.flags -= 1;
        if open {
            self.refused.insert(id);
        }
    }

    pub(super) fn contains(&self, id: StreamId) -> bool {
        self.refused.contains(&id)
    }

    pub(super) fn forget(&mut self, id: StreamId) {
        self.refused.remove(&id);
    }
}
