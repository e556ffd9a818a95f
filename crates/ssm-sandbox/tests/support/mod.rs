//! A client of the sandbox that shares no code with it: signed calls and the data channel, by hand.
#![expect(dead_code, reason = "each test file uses a part of it")]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use ssm_protocol::payload::{Acknowledge, ChannelClosed};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_sandbox::{Instance, Sandbox};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

pub(crate) const TARGET: &str = "i-0123456789abcdef0";

/// A sandbox without MFA, with one instance.
pub(crate) async fn sandbox(instance: Instance) -> Sandbox {
    let builder = Sandbox::builder().enforce_mfa(false).control(true);
    let started = builder.instance(instance).start().await;
    started.expect("loopback")
}

/// The limit is for a machine that hangs.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(60), future).await;
    waited.unwrap_or_else(|_| panic!("{what} did not come"))
}

fn address(sandbox: &Sandbox) -> String {
    let url = sandbox.endpoint_url();
    url.strip_prefix("http://").expect("http").to_owned()
}

/// The headers that sign a request of the first user.
fn signature(
    sandbox: &Sandbox,
    service: &str,
    method: &str,
    url: &str,
    body: &[u8],
) -> Vec<(String, String)> {
    let (id, secret) = (sandbox.access_key_id(), sandbox.secret_access_key());
    let identity = Credentials::new(id, secret, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .expect("complete")
        .into();
    let host = url.split('/').nth(2).expect("a host");
    let headers = std::iter::once(("host", host));
    let request = SignableRequest::new(method, url, headers, SignableBody::Bytes(body));
    let (instructions, _) = sign(request.expect("a request"), &params)
        .expect("signs")
        .into_parts();
    let headers = instructions.into_parts().0;
    let pairs = headers
        .iter()
        .map(|header| (header.name().to_owned(), header.value().to_owned()));
    pairs.collect()
}

/// One HTTP request on a connection of its own: status and body.
pub(crate) async fn http(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> (u16, String) {
    let address = address(sandbox);
    let has_host = headers.iter().any(|(name, _)| name == "host");
    let host = match has_host {
        true => String::new(),
        false => format!("host: {address}\r\n"),
    };
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{host}{lines}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let exchange = async {
        let mut tcp = TcpStream::connect(&address).await.expect("the sandbox");
        tcp.write_all(head.as_bytes()).await.expect("sent");
        // One that is refused by its length may be answered before it is read.
        let _ = tcp.write_all(body).await;
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    };
    let answer = soon("an answer", exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// A path of the sandbox's own.
pub(crate) async fn control(sandbox: &Sandbox, method: &str, path: &str) -> (u16, String) {
    http(sandbox, method, path, &[], b"").await
}

/// A call of Systems Manager: status, and the answer or the error's code.
pub(crate) async fn ssm(sandbox: &Sandbox, action: &str, request: Value) -> (u16, Value) {
    let body = request.to_string();
    let url = format!("{}/", sandbox.endpoint_url());
    let mut headers = signature(sandbox, "ssm", "POST", &url, body.as_bytes());
    headers.push(("x-amz-target".to_owned(), format!("AmazonSSM.{action}")));
    headers.push((
        "content-type".to_owned(),
        "application/x-amz-json-1.1".to_owned(),
    ));
    let (status, answer) = http(sandbox, "POST", "/", &headers, body.as_bytes()).await;
    (status, serde_json::from_str(&answer).expect("JSON"))
}

/// A call of EC2: status and XML.
pub(crate) async fn ec2(sandbox: &Sandbox, parameters: &[(&str, &str)]) -> (u16, String) {
    let version = [("Version", "2016-11-15")];
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(version.iter().chain(parameters))
        .finish();
    let url = format!("{}/", sandbox.endpoint_url());
    let headers = signature(sandbox, "ec2", "POST", &url, body.as_bytes());
    http(sandbox, "POST", "/", &headers, body.as_bytes()).await
}

/// What StartSession answered.
pub(crate) struct Started {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) token: String,
}

pub(crate) fn started(answer: &Value) -> Started {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    Started {
        id: text("SessionId"),
        url: text("StreamUrl"),
        token: text("TokenValue"),
    }
}

pub(crate) async fn start(sandbox: &Sandbox, document: Option<&str>, parameters: Value) -> Started {
    let mut request = json!({ "Target": TARGET, "Parameters": parameters });
    if let Some(name) = document {
        request["DocumentName"] = name.into();
    }
    let (status, answer) = ssm(sandbox, "StartSession", request).await;
    assert_eq!(status, 200, "{answer}");
    started(&answer)
}

/// A data channel.
pub(crate) struct Channel {
    socket: WebSocketStream<TcpStream>,
    sent: i64,
}

impl Channel {
    /// Opens the data channel; the status when the upgrade is refused.
    pub(crate) async fn open(sandbox: &Sandbox, url: &str, token: &str) -> Result<Self, u16> {
        let mut request = url.into_client_request().expect("a URL");
        let signed = url.replacen("ws://", "http://", 1);
        for (name, value) in signature(sandbox, "ssmmessages", "GET", &signed, b"") {
            let name: http::HeaderName = name.parse().expect("a name");
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        let host = url.split('/').nth(2).expect("a host");
        let tcp = TcpStream::connect(host).await.expect("the gateway");
        let opened = soon("the upgrade", tokio_tungstenite::client_async(request, tcp)).await;
        let (mut socket, _) = opened.map_err(|error| match error {
            tungstenite::Error::Http(response) => response.status().as_u16(),
            other => panic!("{other}"),
        })?;
        let id = "00000000-0000-4000-8000-000000000001";
        let open = json!({
            "MessageSchemaVersion": "1.0",
            "RequestId": id,
            "TokenValue": token,
            "ClientId": id,
            "ClientVersion": "1.2.764.0",
        });
        let open = tungstenite::Message::Text(open.to_string().into());
        socket.send(open).await.expect("sent");
        Ok(Self { socket, sent: 0 })
    }

    /// The next message of these types; `None` when the websocket is closed.
    pub(crate) async fn next_of(&mut self, kinds: &[MessageType]) -> Option<Message> {
        loop {
            let message = soon("a message", self.socket.next()).await?;
            let tungstenite::Message::Binary(frame) = message.ok()? else {
                continue;
            };
            let message = Message::decode(frame).expect("a message");
            if kinds.contains(&message.header.message_type) {
                return Some(message);
            }
        }
    }

    /// The next stream data, acknowledged, or the session's end.
    pub(crate) async fn next(&mut self) -> Received {
        let kinds = [MessageType::OutputStreamData, MessageType::ChannelClosed];
        let message = self.next_of(&kinds).await.expect("still open");
        if message.header.message_type == MessageType::ChannelClosed {
            let closed = ChannelClosed::read(&message.payload).expect("an end");
            return Received::Closed(closed.output);
        }
        self.acknowledge(&message).await;
        Received::Data {
            number: message.header.sequence_number.0,
            kind: message.header.payload_type,
            payload: message.payload,
        }
    }

    pub(crate) async fn acknowledge(&mut self, message: &Message) {
        let mut payload = bytes::BytesMut::new();
        Acknowledge {
            message_type: MessageType::OutputStreamData,
            message_id: message.header.message_id,
            sequence_number: message.header.sequence_number,
        }
        .write(&mut payload);
        let flags = Flags::SYN | Flags::FIN;
        let kind = (MessageType::Acknowledge, 0, flags, PayloadType::None);
        self.send_as(kind, payload.freeze()).await;
    }

    pub(crate) async fn send(&mut self, kind: PayloadType, payload: impl Into<Bytes>) {
        let number = self.sent;
        self.sent += 1;
        let kind = (MessageType::InputStreamData, number, Flags::NONE, kind);
        self.send_as(kind, payload.into()).await;
    }

    async fn send_as(
        &mut self,
        (message_type, number, flags, payload_type): (MessageType, i64, Flags, PayloadType),
        payload: Bytes,
    ) {
        let header = Header {
            message_type,
            schema_version: 1,
            created_date: Duration::from_secs(1_795_000_000),
            sequence_number: SequenceNumber(number),
            flags,
            message_id: MessageId(uuid::Uuid::from_u128(7)),
            payload_type,
        };
        let frame = Message { header, payload }.encode();
        // The session may be over.
        let _ = self.socket.send(tungstenite::Message::Binary(frame)).await;
    }
}

/// What a client reads.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Data {
        number: i64,
        kind: PayloadType,
        payload: Bytes,
    },
    /// `channel_closed`, with its text.
    Closed(String),
}
