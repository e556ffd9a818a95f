//! Any duration in any setting is taken.

use proptest::prelude::*;

use super::*;
use crate::Keepalive;

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        (0..100_000_u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_secs),
        Just(Duration::MAX),
    ]
}

proptest! {
    #[test]
    fn no_duration_overflows(
        half_close_quiet in any_duration(),
        keepalive in prop::option::of((any_duration(), any_duration())),
        sizes in (any::<usize>(), any::<usize>(), any::<usize>()),
    ) {
        let mut now = start();
        let config = MuxConfig {
            half_close_quiet,
            keepalive: keepalive.map(|(interval, timeout)| Keepalive { interval, timeout }),
            max_frame_data: sizes.0,
            session_receive_budget: sizes.1,
            stream_send_buffer: sizes.2,
            ..MuxConfig::default()
        };
        let mut mux = client(config, now);
        let stream = mux.open().expect("room");
        mux.confirm(0, now);
        let _ = mux.write(stream, Bytes::from_static(b"x"));
        wire(&mut mux);
        mux.handle(data(3, b"answer"), now).expect("sound");
        mux.finish(stream, now);
        for _ in 0..3 {
            wire(&mut mux);
            events(&mut mux);
            let Some((at, _)) = mux.poll_timeout() else { break };
            now = now.max(at);
            if mux.handle_timeout(now).is_err() {
                break;
            }
        }
    }
}
