//! Two multiplexers joined by pipes that cut anywhere, and what must come of whatever both sides
//! do: the model of `ssm-smux`'s own property tests, driven by any bytes.

#[path = "../../../crates/ssm-smux/tests/pipe/model.rs"]
mod model;

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use model::{Act, CHUNK, Pipe, SEND_BUFFER};

/// Most acts of one run.
const ACTS: usize = 250;

/// As for [`super::session`].
pub fn seeds() -> Vec<Vec<u8>> {
    super::session::seeds()
}

/// Runs the acts that `data` describes.
pub fn run(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok(size) = u8::arbitrary(&mut unstructured) else {
        return;
    };
    let sizes = [1, 7, 300, 1016, 32_768];
    let mut pipe = Pipe::new(
        sizes[usize::from(size) % sizes.len()],
        super::start::start(),
    );
    for _ in 0..ACTS {
        if unstructured.is_empty() {
            break;
        }
        let Ok((side, act)) = act(&mut unstructured) else {
            break;
        };
        pipe.act(side, &act);
    }
    pipe.finish();
}

fn act(from: &mut Unstructured<'_>) -> arbitrary::Result<(usize, Act)> {
    let (kind, stream, amount) = <(u8, u8, u16)>::arbitrary(from)?;
    let (stream, amount) = (usize::from(stream), usize::from(amount));
    let act = match kind >> 1 {
        0..16 => Act::Open,
        16..48 => Act::Write(stream, amount % (SEND_BUFFER + 100)),
        48..64 => Act::Read(stream),
        64..72 => Act::Finish(stream),
        72..76 => Act::Close(stream),
        76..80 => Act::Reset(stream),
        80..96 => Act::Transmit(amount % 2500),
        96..100 => Act::Transmit(amount % 12),
        100..124 => Act::Deliver(amount % CHUNK + 1),
        _ => Act::Wait(Duration::from_millis(amount as u64)),
    };
    Ok((usize::from(kind & 1), act))
}
