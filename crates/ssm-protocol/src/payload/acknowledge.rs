use std::borrow::Cow;
use std::io::Write as _;

use bytes::{BufMut as _, BytesMut};
use serde::Deserialize;
use uuid::Uuid;

use crate::wire::{MessageId, MessageType, SequenceNumber};

/// Body of an `acknowledge` message: one message was taken. None is cumulative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// Type of the message taken.
    pub message_type: MessageType,
    /// Its id.
    pub message_id: MessageId,
    /// Its sequence number.
    pub sequence_number: SequenceNumber,
}

impl Acknowledge {
    /// Appends the JSON text the real peers write.
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
    /// When it is not such a JSON object.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
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

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "AcknowledgedMessageType")]
    message_type: Cow<'a, str>,
    #[serde(borrow, rename = "AcknowledgedMessageId")]
    message_id: Cow<'a, str>,
    #[serde(rename = "AcknowledgedMessageSequenceNumber")]
    sequence_number: i64,
}
