use serde_json::Value;
use uuid::Uuid;

use crate::payload::{OpenDataChannel, Token};

/// A JSON object of strings as pairs, in the order written.
fn pairs(json: &str) -> Vec<(String, String)> {
    let mut rest = json.strip_prefix('{').expect("an object");
    let mut pairs = Vec::new();
    loop {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let key = values.next().expect("a key").expect("a string");
        rest = rest[values.byte_offset()..]
            .strip_prefix(':')
            .expect("a value follows");
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = values.next().expect("a value").expect("a string");
        let text = |value: &Value| value.as_str().expect("all are strings").to_owned();
        pairs.push((text(&key), text(&value)));
        match rest[values.byte_offset()..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return pairs,
        }
    }
}

#[test]
fn open_data_channel_matches_the_reference_client() {
    let mut compared = 0;
    for recording in [
        include_str!("../../tests/golden/session-mux.json"),
        include_str!("../../tests/golden/session-basic.json"),
    ] {
        let recording: Value = serde_json::from_str(recording).expect("JSON");
        let messages = recording["messages"].as_array().expect("a list");
        let recorded = messages
            .iter()
            .find(|message| message["dir"] == "c2r" && message["ws_opcode"] == 1)
            .and_then(|message| message["text"].as_str())
            .expect("the client opens");
        let pairs = pairs(recorded);
        let value = |key: &str| {
            let pair = pairs.iter().find(|(name, _)| name == key);
            pair.map(|(_, value)| value.as_str())
                .expect("the key is there")
        };
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "MessageSchemaVersion",
                "RequestId",
                "TokenValue",
                "ClientId",
                "ClientVersion"
            ]
        );
        let written = OpenDataChannel {
            request_id: Uuid::parse_str(value("RequestId")).expect("a UUID"),
            token: &Token::new(value("TokenValue")),
            client_id: Uuid::parse_str(value("ClientId")).expect("a UUID"),
            client_version: value("ClientVersion"),
        }
        .to_json();
        assert_eq!(*written, recorded);
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn a_token_of_any_characters_stays_one_json_string() {
    let token = Token::new("a\"b\\c\n\u{1}ä€");
    let json = OpenDataChannel {
        request_id: Uuid::from_u128(1),
        token: &token,
        client_id: Uuid::from_u128(2),
        client_version: "1.2.3.4",
    }
    .to_json();
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["TokenValue"], token.expose());
}
