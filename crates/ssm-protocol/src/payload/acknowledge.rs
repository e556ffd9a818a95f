//! Acknowledgements.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::{BufMut as _, BytesMut};
use serde::Deserialize;
use uuid::Uuid;

use crate::wire::{MessageId, MessageType, SequenceNumber};

/// Body of an `acknowledge` message. It acknowledges exactly one message, never those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// Type of the acknowledged message.
    pub message_type: MessageType,
    /// Its id.
    pub message_id: MessageId,
    /// Its sequence number.
    pub sequence_number: SequenceNumber,
}

impl Acknowledge {
    /// Appends the JSON text, byte for byte as the real peers write it.
    pub fn write(&self, to: &mut BytesMut) {
        to.put_slice(br#"{"AcknowledgedMessageType":""#);
        to.put_slice(self.message_type.as_str().as_bytes());
        to.put_slice(br#"","AcknowledgedMessageId":""#);
        let mut id = Uuid::encode_buffer();
        to.put_slice(
            self.message_id
                .0
                .hyphenated()
                .encode_lower(&mut id)
                .as_bytes(),
        );
        to.put_slice(br#"","AcknowledgedMessageSequenceNumber":"#);
        // Writing to memory that grows cannot fail.
        let _ = write!(to.writer(), "{}", self.sequence_number);
        to.put_slice(br#","IsSequentialMessage":true}"#);
    }

    /// Reads the JSON text; unknown fields are tolerated.
    ///
    /// # Errors
    /// When `json` is not an acknowledgement.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        if let Some(acknowledge) = Self::read_as_written(json) {
            return Ok(acknowledge);
        }
        let body: Body<'_> = serde_json::from_slice(json)?;
        Ok(Self {
            message_type: match &*body.message_type {
                "input_stream_data" => MessageType::InputStreamData,
                "output_stream_data" => MessageType::OutputStreamData,
                other => MessageType::Other(other.to_owned()),
            },
            message_id: MessageId(
                Uuid::parse_str(&body.message_id).map_err(serde::de::Error::custom)?,
            ),
            sequence_number: SequenceNumber(body.sequence_number),
        })
    }
}

impl Acknowledge {
    /// Reads exactly the text that [`write`](Self::write) produces, as the real peers do: every message sent
    /// is answered by one, and parsing JSON costs several times as much.
    fn read_as_written(json: &[u8]) -> Option<Self> {
        let rest = json.strip_prefix(br#"{"AcknowledgedMessageType":""#)?;
        let (message_type, rest) = if let Some(rest) = rest.strip_prefix(b"input_stream_data") {
            (MessageType::InputStreamData, rest)
        } else {
            let rest = rest.strip_prefix(b"output_stream_data")?;
            (MessageType::OutputStreamData, rest)
        };
        let rest = rest.strip_prefix(br#"","AcknowledgedMessageId":""#)?;
        let (id, rest) = rest.split_at_checked(36)?;
        let id = Uuid::try_parse_ascii(id).ok()?;
        let rest = rest.strip_prefix(br#"","AcknowledgedMessageSequenceNumber":"#)?;
        let digits = rest.strip_suffix(br#","IsSequentialMessage":true}"#)?;
        // JSON allows no leading zeros; 18 digits cannot overflow.
        let leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
        if digits.is_empty() || digits.len() > 18 || leading_zero {
            return None;
        }
        let mut number: i64 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        Some(Self {
            message_type,
            message_id: MessageId(id),
            sequence_number: SequenceNumber(number),
        })
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "AcknowledgedMessageType")]
    message_type: Cow<'a, str>,
    #[serde(borrow, rename = "AcknowledgedMessageId")]
    message_id: Cow<'a, str>,
    #[serde(rename = "AcknowledgedMessageSequenceNumber")]
    sequence_number: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: i64) -> String {
        format!(
            r#"{{"AcknowledgedMessageType":"input_stream_data","AcknowledgedMessageId":"67e55044-10b1-426f-9247-bb680e5fe0c8","AcknowledgedMessageSequenceNumber":{number},"IsSequentialMessage":true}}"#
        )
    }

    #[test]
    fn written_acknowledgements_take_the_fast_path() {
        for number in [0, 7, 999_999_999_999_999_999] {
            let json = written(number);
            let read = Acknowledge::read_as_written(json.as_bytes()).expect("as written");
            let spaced = json.replace(':', ": ");
            assert!(Acknowledge::read_as_written(spaced.as_bytes()).is_none());
            assert_eq!(read, Acknowledge::read(spaced.as_bytes()).expect("sound"));
            assert_eq!(read.sequence_number, SequenceNumber(number));
            let mut again = BytesMut::new();
            read.write(&mut again);
            assert_eq!(again, json.as_bytes());
        }
    }

    #[test]
    fn other_acknowledgements_are_read_as_json() {
        let json = written(7);
        for (from, to) in [
            (":7,", ":-7,"),
            (":7,", ":07,"),
            (":7,", ":,"),
            (":7,", ":7.0,"),
            (":7,", ":9223372036854775807,"),
            ("true}", "false}"),
            ("67e55044", "67e5504g"),
            ("input_", "other_"),
        ] {
            let other = json.replace(from, to);
            assert!(
                Acknowledge::read_as_written(other.as_bytes()).is_none(),
                "{other}"
            );
        }
        for end in 0..json.len() {
            assert!(Acknowledge::read_as_written(&json.as_bytes()[..end]).is_none());
        }
        let far = json.replace(":7,", ":9223372036854775807,");
        let far = Acknowledge::read(far.as_bytes()).expect("sound");
        assert_eq!(far.sequence_number, SequenceNumber(i64::MAX));
    }
}
