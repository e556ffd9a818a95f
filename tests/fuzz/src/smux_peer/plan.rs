//! What a run does, read from the input.

use arbitrary::Arbitrary;

#[derive(Debug, Arbitrary)]
pub(super) struct Plan {
    pub(super) server: bool,
    pub(super) max_frame_data: u16,
    pub(super) budget: u16,
    pub(super) send_buffer: u16,
    pub(super) half_close_quiet: Option<u16>,
    pub(super) keepalive: Option<(u16, u16)>,
    pub(super) max_streams: u8,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Step {
    Syn {
        id: u8,
    },
    Fin {
        id: u8,
    },
    Psh {
        id: u8,
        length: u16,
        piece: u8,
    },
    Nop {
        length: u16,
    },
    /// A SYN or FIN whose length says that data follows: none does.
    Odd {
        id: u8,
        fin: bool,
        length: u16,
    },
    Unknown {
        version: u8,
        command: u8,
    },
    Open,
    Write {
        id: u8,
        length: u16,
    },
    Read {
        id: u8,
        all: bool,
    },
    Finish {
        id: u8,
    },
    Close {
        id: u8,
    },
    Reset {
        id: u8,
    },
    Transmit {
        most: u16,
    },
    Wait {
        ms: u16,
    },
    WaitForTimer,
    RestartQuiet,
    Reconnected,
}
