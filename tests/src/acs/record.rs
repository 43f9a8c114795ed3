//! What was said: every message of every session, as it stood on the wire.

use std::time::Duration;

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device's POST.
    FromCpe,
    /// The ACS's answer.
    FromAcs,
}

/// One HTTP message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Time since the ACS started.
    pub at: Duration,
    /// Who sent it.
    pub direction: Direction,
    /// Which TCP connection carried it, counted from 1.
    pub connection: u32,
    /// The request line or the status line.
    pub head: String,
    /// Headers in the order of the wire.
    pub headers: Vec<(String, String)>,
    /// The body as text; empty for the huge ones.
    pub body: String,
}

impl Message {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What it is in a word or two: the name of the element in the SOAP body, "empty POST", or the HTTP status.
    pub fn kind(&self) -> String {
        if let Some(name) = super::decode::body_element(&self.body) {
            return name;
        }
        match self.direction {
            Direction::FromCpe if self.body.is_empty() => "empty POST".into(),
            Direction::FromCpe => "not SOAP".into(),
            Direction::FromAcs => {
                let status = self.head.split_once(' ').map_or(self.head.as_str(), |(_, rest)| rest);
                status.to_owned()
            }
        }
    }

    /// True for the device's messages that carry an envelope.
    pub fn is_cpe_envelope(&self) -> bool {
        self.direction == Direction::FromCpe && !self.body.is_empty()
    }
}

/// How a session ended, seen from the ACS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 204 to an empty POST with nothing left to say.
    Clean,
    /// The ACS misbehaved as planned.
    Trouble,
    /// The device closed or broke the connection.
    Broken(String),
    /// A new Inform arrived while this session was open.
    Superseded,
    /// A POST that belongs to no session.
    Stray,
}

/// One session from its Inform to its end.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its messages in order.
    pub messages: Vec<Message>,
    /// How it ended.
    pub ending: Ending,
}

impl Session {
    /// The device's messages.
    pub fn from_cpe(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|m| m.direction == Direction::FromCpe)
    }

    /// The kinds of the device's messages, in order.
    pub fn cpe_kinds(&self) -> Vec<String> {
        self.from_cpe().map(Message::kind).collect()
    }

    /// The device's `n`th message of this kind, counted from 0.
    pub fn nth(&self, kind: &str, n: usize) -> &Message {
        self.from_cpe()
            .filter(|m| m.kind() == kind)
            .nth(n)
            .unwrap_or_else(|| panic!("no {kind} number {n} in {:?}", self.cpe_kinds()))
    }

    /// The decoded Inform that opened it.
    pub fn inform(&self) -> super::decode::Inform {
        super::decode::inform(&self.nth("Inform", 0).body)
    }

    /// How many TCP connections it took.
    pub fn connections(&self) -> usize {
        let mut numbers: Vec<u32> = self.messages.iter().map(|m| m.connection).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }
}
