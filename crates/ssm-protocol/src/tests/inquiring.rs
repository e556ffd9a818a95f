//! An agent that says nothing of a message it has processed before, and what it has taken of those
//! whose acknowledgements were lost. It is played here by its three rules.

use std::collections::BTreeMap;

use serde_json::json;

use super::peer::{Client, ROUND_TRIP, control, port_request};
use crate::payload::Acknowledge;
use crate::wire::{Message, MessageType, PayloadType};
use crate::{SessionConfig, SessionTimer};

const OLD: &str = "3.1.1374.0";
/// Rounds of silence until it is believed.
const ROUNDS: usize = 16;
/// Longer than any test takes.
const MOST_TRIPS: usize = 400;

/// One that numbers its messages from 2, as after the handshake of [`Client::ready`].
struct Agent {
    expected: i64,
    ahead: BTreeMap<i64, Message>,
    /// What it processed, in order.
    processed: Vec<Message>,
    /// Its port is not connected: it takes nothing.
    not_ready: bool,
}

impl Agent {
    fn new() -> Self {
        Self {
            expected: 1,
            ahead: BTreeMap::new(),
            processed: Vec::new(),
            not_ready: false,
        }
    }

    /// Whether it acknowledges the message.
    fn take(&mut self, message: Message) -> bool {
        let number = message.header.sequence_number.0;
        if number > self.expected {
            self.ahead.insert(number, message);
            return true;
        }
        if number < self.expected || self.not_ready {
            return false;
        }
        let mut next = Some(message);
        while let Some(message) = next {
            self.processed.push(message);
            self.expected += 1;
            next = self.ahead.remove(&self.expected);
        }
        true
    }

    fn data(&self) -> String {
        self.processed
            .iter()
            .filter(|message| message.header.payload_type == PayloadType::Output)
            .map(|message| String::from_utf8_lossy(&message.payload))
            .collect()
    }

    /// The numbers it processed follow each other, and each was processed once.
    fn check(&self) {
        let numbers = self.processed.iter();
        let numbers: Vec<_> = numbers.map(|one| one.header.sequence_number.0).collect();
        let all: Vec<_> = (1..self.expected).collect();
        assert_eq!(numbers, all);
    }
}

/// What becomes of a message on its way to the agent.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    Lost,
    /// It arrives, and its acknowledgement does not.
    Unanswered,
}

/// A client and its agent, a round trip apart.
struct Pair {
    client: Client,
    agent: Agent,
    /// What the client transmitted and the test has not looked at.
    transmitted: Vec<Message>,
    /// How often a message without payload was transmitted.
    asked: usize,
}

impl Pair {
    fn new(version: &str) -> Self {
        let mut request = port_request();
        request["AgentVersion"] = json!(version);
        let mut client = Client::new(SessionConfig::default());
        client.ask(&request).expect("a sound request");
        client.complete();
        client.now += ROUND_TRIP;
        client.acknowledge(0);
        Self {
            client,
            agent: Agent::new(),
            transmitted: Vec::new(),
            asked: 0,
        }
    }

    /// Messages that the agent processes, and whose acknowledgements break off with the websocket.
    fn unanswered(version: &str, texts: &[&str]) -> Self {
        let mut pair = Self::new(version);
        for text in texts {
            pair.send(text);
        }
        pair.trip(|_| Fate::Unanswered);
        assert_eq!(pair.agent.data(), texts.concat());
        let again = pair.client.reconnect();
        assert_eq!(again.numbers().len(), texts.len() + 5, "and a first round");
        pair.transmitted.extend(again.transmitted);
        pair
    }

    fn send(&mut self, text: &str) {
        self.transmitted.extend(self.client.send(text).transmitted);
    }

    /// What is on its way arrives, and what the agent says to it. The messages transmitted then.
    fn trip(&mut self, fate: impl Fn(&Message) -> Fate) -> Vec<Message> {
        self.client.now += ROUND_TRIP;
        for message in std::mem::take(&mut self.transmitted) {
            if message.header.message_type != MessageType::InputStreamData {
                continue;
            }
            self.asked += usize::from(message.header.payload_type == PayloadType::Size);
            let fate = fate(&message);
            let header = message.header.clone();
            if fate == Fate::Lost || !self.agent.take(message) || fate == Fate::Unanswered {
                continue;
            }
            let mut body = bytes::BytesMut::new();
            Acknowledge {
                message_type: header.message_type,
                message_id: header.message_id,
                sequence_number: header.sequence_number,
            }
            .write(&mut body);
            let frame = control(MessageType::Acknowledge, body.freeze());
            let output = self.client.receive(frame).expect("sound");
            self.transmitted.extend(output.transmitted);
        }
        self.agent.check();
        self.transmitted.clone()
    }

    /// Nothing is on its way: the timer goes off.
    fn wake(&mut self) {
        let (_, timer, output) = self.client.wake();
        assert_eq!(timer, SessionTimer::Retransmit);
        self.transmitted
            .extend(output.expect("not fatal").transmitted);
    }

    /// Trips until everything was delivered; how many.
    fn settle(&mut self, fate: impl Fn(&Message) -> Fate) -> usize {
        for trip in 1..MOST_TRIPS {
            self.trip(&fate);
            if self.client.session.is_delivered() {
                assert_eq!(self.client.session.stats().unacknowledged, 0);
                return trip;
            }
            if self.transmitted.is_empty() {
                self.wake();
            }
        }
        panic!("no end: {:?}", self.client.session.stats());
    }
}

fn number(message: &Message) -> i64 {
    message.header.sequence_number.0
}

fn arrives(_: &Message) -> Fate {
    Fate::Arrives
}

#[test]
fn old_agents_silence_ends_as_an_acknowledgement() {
    let mut pair = Pair::unanswered(OLD, &["a", "b", "c"]);
    // The first round's question is new to the agent, and acknowledged.
    assert_eq!(pair.settle(arrives), ROUNDS + 1);
    assert_eq!(pair.agent.data(), "abc");
    // Each of the three went again once, with the websocket; the rest asked.
    let again = pair.client.session.stats().retransmitted;
    assert_eq!(again, 3 + 3 * (ROUNDS as u64 + 1));
    assert_eq!(pair.client.session.poll_timeout(), None);
}

#[test]
fn a_window_full_of_lost_acknowledgements_opens_again() {
    let mut pair = Pair::new(OLD);
    let payload = "x".repeat(SessionConfig::default().max_payload);
    while pair.client.session.send_room() > 0 {
        pair.send(&payload);
    }
    pair.trip(|_| Fate::Unanswered);
    let output = pair.client.reconnect();
    pair.transmitted.extend(output.transmitted);
    assert_eq!(pair.client.session.send_room(), 0);
    pair.settle(arrives);
    assert!(pair.client.session.send_room() > 0);
    pair.send("more");
    pair.settle(arrives);
    assert!(pair.agent.data().ends_with("xmore"));
}

#[test]
fn new_agents_are_not_asked() {
    let mut pair = Pair::new("3.2.1041.0");
    for text in ["a", "b", "c"] {
        pair.send(text);
    }
    pair.trip(|_| Fate::Lost);
    let again = pair.client.reconnect();
    assert_eq!(again.numbers(), [1, 2, 3]);
    pair.transmitted.extend(again.transmitted);
    assert_eq!(pair.settle(arrives), 1);
    assert_eq!(pair.asked, 0);
}

#[test]
fn old_agents_are_not_asked_where_nothing_went_wrong() {
    let mut pair = Pair::new(OLD);
    for text in ["a", "b", "c"] {
        pair.send(text);
        assert_eq!(pair.settle(arrives), 1);
    }
    assert_eq!(pair.asked, 0);
}

#[test]
fn missing_messages_are_sent_again_until_they_arrive() {
    let mut pair = Pair::new(OLD);
    for text in ["a", "b", "c", "d"] {
        pair.send(text);
    }
    // The agent has "a" and "d"; "b" and "c" are lost again and again.
    pair.trip(|message| match number(message) {
        1 | 4 => Fate::Unanswered,
        _ => Fate::Lost,
    });
    for _ in 0..3 * ROUNDS {
        if pair.transmitted.is_empty() {
            pair.wake();
        }
        pair.trip(|message| match number(message) {
            2 | 3 => Fate::Lost,
            _ => Fate::Arrives,
        });
        assert!(!pair.client.session.is_delivered());
        assert!(!pair.client.session.is_acknowledged(2));
    }
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "abcd");
}

/// More than are sent again at once.
#[test]
fn missing_messages_are_found_behind_many_taken_ones() {
    let mut pair = Pair::new(OLD);
    for _ in 0..200 {
        pair.send("x");
    }
    let last = 200;
    pair.trip(|message| match number(message) {
        number if number == last => Fate::Lost,
        _ => Fate::Unanswered,
    });
    let again = pair.client.reconnect();
    pair.transmitted.extend(again.transmitted);
    pair.trip(|message| match number(message) {
        number if number == last => Fate::Lost,
        _ => Fate::Arrives,
    });
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "x".repeat(200));
}

/// It keeps and acknowledges what comes after the message it refuses.
#[test]
fn message_refused_before_the_port_connects_is_not_taken() {
    let mut pair = Pair::new(OLD);
    pair.agent.not_ready = true;
    pair.send("a");
    for _ in 0..10 * ROUNDS {
        if pair.transmitted.is_empty() {
            pair.wake();
        }
        pair.trip(arrives);
        assert!(!pair.client.session.is_delivered());
        assert_eq!(pair.client.session.stats().unacknowledged, 1);
    }
    assert!(pair.asked > ROUNDS);
    pair.agent.not_ready = false;
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "a");
}

#[test]
fn refused_question_proves_that_all_before_was_taken() {
    let mut pair = Pair::unanswered(OLD, &["a"]);
    pair.agent.not_ready = true;
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "a");
    assert!(!pair.client.session.is_acknowledged(2), "the question");
    pair.agent.not_ready = false;
    pair.send("b");
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "ab");
}

#[test]
fn a_round_without_an_answer_to_its_marker_does_not_count() {
    let mut pair = Pair::unanswered(OLD, &["a"]);
    let question = 2;
    pair.trip(arrives);
    for _ in 0..2 * ROUNDS {
        if pair.transmitted.is_empty() {
            pair.wake();
        }
        pair.trip(|message| match number(message) {
            number if number > question => Fate::Lost,
            _ => Fate::Arrives,
        });
        assert_eq!(pair.client.session.stats().unacknowledged, 1);
    }
    pair.settle(arrives);
}

#[test]
fn each_answer_to_the_question_restarts_the_count() {
    let mut pair = Pair::new(OLD);
    pair.send("a");
    let question = 2;
    pair.trip(|_| Fate::Lost);
    pair.wake();
    for _ in 0..10 {
        // The agent lacks "a". One round short of being believed, an answer passes.
        for _ in 1..ROUNDS {
            if pair.transmitted.is_empty() {
                pair.wake();
            }
            pair.trip(|message| match number(message) {
                1 => Fate::Lost,
                number if number == question => Fate::Unanswered,
                _ => Fate::Arrives,
            });
            assert!(!pair.client.session.is_delivered());
        }
        pair.trip(|message| match number(message) {
            1 => Fate::Lost,
            _ => Fate::Arrives,
        });
        assert!(!pair.client.session.is_delivered());
    }
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "a");
}

/// Where each websocket breaks after a few messages, none sees all rounds.
#[test]
fn rounds_count_across_websockets_unless_cut_off() {
    let mut pair = Pair::unanswered(OLD, &["a"]);
    let per_websocket = 3;
    for round in 1..ROUNDS {
        pair.trip(arrives);
        assert!(!pair.client.session.is_delivered());
        if round % per_websocket == 0 {
            // What is on its way is lost, and so are answers: no round of its own.
            for fate in [Fate::Lost, Fate::Unanswered] {
                pair.transmitted = pair.client.reconnect().transmitted;
                pair.trip(|_| fate);
                assert!(!pair.client.session.is_delivered());
            }
            pair.transmitted = pair.client.reconnect().transmitted;
        }
    }
    // The first round was none: the question itself was new, and acknowledged.
    assert_eq!(pair.settle(arrives), 2);
}

#[test]
fn remaining_messages_follow_after_a_resumption() {
    let mut pair = Pair::new(OLD);
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for text in texts {
        pair.send(text);
    }
    // The agent took the first six, and no acknowledgement arrived.
    pair.trip(|message| match number(message) {
        ..=6 => Fate::Unanswered,
        _ => Fate::Lost,
    });
    pair.transmitted = pair.client.reconnect().transmitted;
    for _ in 0..3 {
        pair.trip(arrives);
    }
    assert_eq!(pair.agent.data(), texts.concat());
    pair.settle(arrives);
}

/// The marker was sent under the number after the next: no number is left out, and none used twice.
#[test]
fn message_sent_meanwhile_precedes_the_marker() {
    let mut pair = Pair::unanswered(OLD, &["a"]);
    let texts = ["b", "c", "d", "e"];
    for text in texts {
        pair.trip(arrives);
        pair.send(text);
    }
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "abcde");
    let sent = pair.client.session.stats().sent;
    assert_eq!(sent, u64::try_from(pair.agent.expected).expect("positive"));
}

/// The agent keeps what comes after a missing message, and acknowledges it.
#[test]
fn data_waits_for_a_missing_empty_message() {
    let mut pair = Pair::unanswered(OLD, &["a"]);
    let question = 2;
    let lost = |message: &Message| match number(message) {
        number if number == question => Fate::Lost,
        _ => Fate::Arrives,
    };
    pair.send("b");
    for _ in 0..3 {
        pair.trip(lost);
        if pair.transmitted.is_empty() {
            pair.wake();
        }
    }
    assert_eq!(pair.agent.data(), "a");
    assert!(pair.client.session.is_acknowledged(3), "the second message");
    assert!(!pair.client.session.is_delivered());
    pair.settle(arrives);
    assert_eq!(pair.agent.data(), "ab");
}
