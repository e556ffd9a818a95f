//! Any duration in any setting is taken.

use std::time::Duration;

use proptest::prelude::*;

use super::peer::Client;
use crate::SessionConfig;

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
        handshake_timeout in any_duration(),
        peer_timeout in any_duration(),
        unix_time in any_duration(),
        sizes in (any::<usize>(), any::<usize>(), any::<usize>()),
    ) {
        let config = SessionConfig {
            handshake_timeout,
            peer_timeout,
            max_window: sizes.0,
            min_window: sizes.1,
            reorder_bytes: sizes.2,
            ..SessionConfig::default()
        };
        let mut client = Client::new_at(config, unix_time.max(Duration::from_secs(1)));
        let _ = client.ask(&super::peer::port_request());
        client.complete_at_once();
        client.now += Duration::from_secs(1);
        let _ = client.session.handle_timeout(client.now);
        client.output(7, "ahead");
        let _ = client.session.send(b"x", client.now);
        client.drain();
        for _ in 0..3 {
            let Some((at, _)) = client.session.poll_timeout() else { break };
            client.now = client.now.max(at);
            if client.session.handle_timeout(client.now).is_err() {
                break;
            }
            client.drain();
        }
    }
}
