//! Messages recorded from the reference peers: where the searches begin.

use bytes::Bytes;
use serde_json::Value;

/// Every recorded frame.
pub(super) fn frames() -> Vec<Bytes> {
    hex_fields(
        include_str!("../../../crates/ssm-protocol/tests/golden/frames.json"),
        "frame_hex",
        "/",
    )
    .chain(messages())
    .collect()
}

fn messages() -> impl Iterator<Item = Bytes> {
    [
        include_str!("../../../crates/ssm-protocol/tests/golden/session-mux.json"),
        include_str!("../../../crates/ssm-protocol/tests/golden/session-basic.json"),
    ]
    .into_iter()
    .flat_map(|text| hex_fields(text, "hex", "/messages"))
}

/// The smux bytes of one whole session, one element a direction.
pub(super) fn smux() -> [Vec<u8>; 2] {
    ["> ", "< "].map(|direction| {
        include_str!("../../../crates/ssm-smux/tests/data/session.txt")
            .lines()
            .filter_map(|line| line.strip_prefix(direction))
            .flat_map(unhex)
            .collect()
    })
}

fn hex_fields(text: &str, field: &'static str, list: &str) -> impl Iterator<Item = Bytes> {
    let whole: Value = serde_json::from_str(text).expect("the recording is JSON");
    let list = if list == "/" {
        Some(&whole)
    } else {
        whole.pointer(list)
    };
    let items = list
        .and_then(Value::as_array)
        .expect("a list of messages")
        .clone();
    items
        .into_iter()
        .filter_map(move |item| Some(unhex(item.get(field)?.as_str()?)))
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex digits"))
        .collect()
}
