//! Operations whose cost must not grow with the number of streams or messages; `benches/instructions.sh`
//! counts their instructions. `open`: opening and closing a stream beside N idle ones; `message`: a message
//! on a stream beside N idle ones; `window`: a message with N in flight.

use std::hint::black_box;

use bench_support::{Channels, Muxes, PAYLOAD};
use bytes::Bytes;
use ssm_protocol::SessionConfig;
use ssm_smux::Read;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, many, times] = &arguments[..] else {
        panic!("give `open`, `message` or `window`, how many there are, and how many steps");
    };
    let many: usize = many.parse().expect("how many there are");
    let times: usize = times.parse().expect("a number of steps");
    match what.as_str() {
        "open" => {
            let mut muxes = Muxes::with_streams(many);
            for _ in 0..times {
                muxes.open_and_close();
            }
        }
        "message" => {
            let mut muxes = Muxes::with_streams(many);
            let stream = muxes.streams[many / 2];
            let data = Bytes::from(vec![0x5a; 1000]);
            for _ in 0..times {
                muxes.client.write(stream, data.clone()).expect("room");
                muxes.pass();
                while let Read::Data(data) = muxes.server.read(stream) {
                    black_box(data);
                }
            }
        }
        "window" => {
            // Smaller payloads would reach the memory limit before they fill the window.
            let payload = [0x5a; PAYLOAD];
            let mut config = SessionConfig::default();
            config.max_payload = payload.len();
            config.max_window = many * payload.len();
            config.min_window = config.max_window;
            let mut channels = Channels::new(config);
            for _ in 0..times / many {
                for _ in 0..many {
                    channels.send(&payload);
                }
                channels.exchange();
            }
        }
        other => panic!("{other}: `open`, `message` or `window`"),
    }
}
