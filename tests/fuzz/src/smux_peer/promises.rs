//! What must hold.

use bytes::Bytes;
use ssm_smux::{MuxEvent, Read, SmuxError, StreamId, WriteError};

use super::World;

impl World {
    pub(super) fn transmit(&mut self, most: usize) {
        let wanted = self.mux.wants_transmit();
        let count = self.mux.poll_transmit(&mut self.rest, most);
        assert!(count <= most);
        assert_eq!(count > 0, wanted && most > 0);
        while let [version, command, l0, l1, s0, s1, s2, s3, rest @ ..] = &self.rest[..] {
            let length = usize::from(u16::from_le_bytes([*l0, *l1]));
            let id = StreamId::new(u32::from_le_bytes([*s0, *s1, *s2, *s3]));
            let (version, command) = (*version, *command);
            let Some(data) = rest.get(..length).map(<[u8]>::to_vec) else {
                return;
            };
            let _ = self.rest.split_to(8 + length);
            assert_eq!(version, 1);
            self.went_out(command, id, &data);
        }
    }

    fn went_out(&mut self, command: u8, id: StreamId, data: &[u8]) {
        if command == 3 {
            assert!(id.number() == 0 && data.is_empty() && self.config.keepalive.is_some());
            return;
        }
        if self.reused.contains(&id) {
            return;
        }
        if command == 1
            && let Some(at) = self.refused.iter().position(|refused| *refused == id)
            && self.streams.get(&id).is_none_or(|stream| stream.fin_out)
        {
            assert!(data.is_empty());
            self.refused.remove(at);
            return;
        }
        let stream = self.streams.get_mut(&id).expect("a stream that there is");
        assert!(!stream.fin_out, "stream {id}: something after its FIN");
        match command {
            0 => {
                assert!(
                    !stream.syn_out && data.is_empty(),
                    "stream {id}: SYN out of turn"
                );
                stream.syn_out = true;
            }
            1 => {
                assert!(
                    stream.syn_out && data.is_empty(),
                    "stream {id}: FIN out of turn"
                );
                assert!(
                    stream.dropped || stream.sent == stream.written.len(),
                    "stream {id}"
                );
                stream.fin_out = true;
                if stream.released {
                    self.gone.insert(id);
                }
            }
            2 => {
                assert!(stream.syn_out && !data.is_empty());
                let left = stream.written.get(stream.sent..).unwrap_or_default();
                assert!(left.starts_with(data), "stream {id}: other bytes");
                stream.sent += data.len();
            }
            other => panic!("command {other}"),
        }
    }

    pub(super) fn take_events(&mut self) {
        // Bounded: each fact waits once a stream.
        let mut count = 0;
        while let Some(event) = self.mux.poll_event() {
            count += 1;
            assert!(count <= 5 * (self.streams.len() + 1), "events without end");
            let (MuxEvent::Opened(id)
            | MuxEvent::Readable(id)
            | MuxEvent::Writable(id)
            | MuxEvent::Finished(id)
            | MuxEvent::GaveUp(id)) = event
            else {
                panic!("{event:?}");
            };
            let stream = self.streams.get_mut(&id).expect("a stream that there is");
            assert!(
                !stream.released,
                "an event of a stream that was closed here"
            );
            match event {
                MuxEvent::Opened(_) => assert_eq!(self.mux.accept(), Some(id)),
                MuxEvent::Readable(_) => {
                    assert!(!stream.told_readable, "told twice");
                    stream.told_readable = true;
                }
                MuxEvent::Finished(_) => assert!(stream.peer_finished),
                _ => {}
            }
        }
    }

    pub(super) fn check(&self) {
        if self.dead {
            return;
        }
        let arrived: usize = self
            .streams
            .values()
            .map(|stream| stream.arrived.len())
            .sum();
        assert_eq!(self.mux.buffered(), arrived);
        let budget = self.config.session_receive_budget.max(1);
        assert_eq!(self.mux.receive_paused(), arrived >= budget);
        assert!(self.mux.stream_count() <= self.streams.len());
        assert!(self.mux.unanswered() <= self.config.max_streams);
        for stream in self.streams.values() {
            let told = stream.told_readable || stream.arrived.is_empty() || stream.released;
            assert!(told, "arrived data was reported");
        }
    }

    /// Everything goes out and is read, and nothing is left.
    pub(super) fn finish(&mut self) {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            self.read(id, true);
            self.mux.close(id);
            self.release(id, false);
        }
        for count in 0.. {
            assert!(count < 100_000, "it transmits without end");
            if !self.mux.wants_transmit() {
                break;
            }
            self.transmit(1024);
        }
        assert!(self.rest.is_empty() && self.refused.is_empty());
        for (id, stream) in &self.streams {
            assert!(
                self.reused.contains(id) || stream.fin_out || (stream.dropped && !stream.syn_out),
                "stream {id} never ends"
            );
        }
        assert_eq!(self.mux.stream_count(), 0);
        assert_eq!(self.mux.buffered(), 0);
    }

    pub(super) fn after_the_end(&mut self) {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            while let Read::Data(_) = self.mux.read(id) {}
            assert_eq!(
                self.mux.write(id, Bytes::from_static(b"x")),
                Err(WriteError::Closed)
            );
            self.mux.finish(id, self.now);
            self.mux.reset(id);
        }
        assert!(self.mux.open().is_err());
        assert_eq!(self.mux.poll_transmit(&mut self.rest, 100), 0);
        assert_eq!(self.mux.poll_timeout(), None);
        let again = self.mux.handle(Bytes::from_static(b"x"), self.now);
        assert_eq!(again, Err(SmuxError::Dead));
    }
}
