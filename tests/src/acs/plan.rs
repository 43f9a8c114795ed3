//! What the test ACS does in one session: the RPCs in order, and how and where it misbehaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::envelope::Envelope;

/// One thing the ACS does when it is its turn to answer.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The right answer: InformResponse to an Inform, a response to another request of the CPE.
    Answer,
    /// An RPC for the CPE; held back while the CPE's own requests are answered.
    Send(Envelope),
    /// Something no ACS should do; the session is over for the ACS.
    Trouble(Trouble),
    /// Makes this empty file, and goes on with the next step.
    Touch(PathBuf),
}

/// A way for an ACS to be broken; each ends the session as far as the ACS is concerned.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// This HTTP status with a short HTML body.
    Status(u16),
    /// Bytes that are not HTTP.
    Garbage,
    /// No answer; the connection stays open until the CPE leaves.
    Silence,
    /// The connection is torn down by a TCP reset.
    Reset,
    /// The connection is closed without an answer.
    Close,
    /// A 200 whose Content-Length says this many bytes, and sends them.
    HugeBody(u64),
    /// The same number of bytes, chunked, so that no length is announced.
    HugeChunked(u64),
    /// A 200 that closes half-way through its announced body.
    HalfBody,
    /// A complete HTTP answer whose XML stops in the middle.
    TruncatedXml,
    /// Well-formed XML that is not a SOAP envelope.
    WrongRoot,
    /// A 200 with exactly this text.
    Body(String),
    /// Exactly these bytes, whatever they are, and the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes at once, then a space each time that so much time has passed, until the device leaves.
    Drip(&'static str, Duration),
}

impl Trouble {
    /// True when HTTP itself is in order, so that the connection can go on.
    pub(super) fn is_whole_answer(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Body(_) | Self::TruncatedXml | Self::WrongRoot)
    }
}

/// How the ACS's answers look on the wire, right ones included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    pub(super) close_each: bool,
    pub(super) http10: bool,
    pub(super) byte_by_byte: bool,
    pub(super) chunked: bool,
    pub(super) odd_heads: bool,
}

/// One session as the ACS plays it; the default answers the Inform and then says 204.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(super) at_inform: Option<Trouble>,
    pub(super) touch_at_inform: Option<PathBuf>,
    pub(super) steps: Vec<Step>,
    pub(super) manner: Manner,
    pub(super) namespace: Option<String>,
    pub(super) header: String,
    pub(super) cookie_again: usize,
}

impl Plan {
    /// InformResponse, then 204.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an RPC, sent at the next empty POST or response of the CPE.
    pub fn send(mut self, rpc: Envelope) -> Self {
        self.steps.push(Step::Send(rpc));
        self
    }

    /// Adds a trouble in place of the next RPC or of the closing 204.
    pub fn then(mut self, trouble: Trouble) -> Self {
        self.steps.push(Step::Trouble(trouble));
        self
    }

    /// A session that gets no further than the Inform.
    pub fn at_inform(trouble: Trouble) -> Self {
        Self { at_inform: Some(trouble), ..Self::default() }
    }

    /// Makes this empty file once the Inform is here and before it is answered.
    pub fn touch_at_inform(mut self, file: &Path) -> Self {
        self.touch_at_inform = Some(file.to_owned());
        self
    }

    /// Makes this empty file when it is the ACS's turn, just before the next RPC or the closing 204.
    pub fn touch(mut self, file: &Path) -> Self {
        self.steps.push(Step::Touch(file.to_owned()));
        self
    }

    /// Speaks this version's namespace, such as `cwmp-1-0`, whatever the device speaks.
    pub fn in_namespace(mut self, name: &str) -> Self {
        self.namespace = Some(format!("urn:dslforum-org:{name}"));
        self
    }

    /// The InformResponse carries this header block too.
    pub fn inform_header(mut self, block: &str) -> Self {
        self.header = block.to_owned();
        self
    }

    /// The InformResponse sets one and the same cookie so many times.
    pub fn cookie_again(mut self, times: usize) -> Self {
        self.cookie_again = times;
        self
    }

    /// Header names in odd cases, spaces around a length, a Content-Type where there is no content.
    pub fn odd_heads(mut self) -> Self {
        self.manner.odd_heads = true;
        self
    }

    /// `Connection: close` with every answer, so that the session goes on in new connections.
    pub fn closing_each(mut self) -> Self {
        self.manner.close_each = true;
        self
    }

    /// Answers as HTTP/1.0, each with its length and its end of the connection.
    pub fn http10(mut self) -> Self {
        self.manner.http10 = true;
        self.manner.close_each = true;
        self
    }

    /// Every answer one byte at a time.
    pub fn byte_by_byte(mut self) -> Self {
        self.manner.byte_by_byte = true;
        self
    }

    /// Every envelope in small chunks and without a Content-Length.
    pub fn chunked(mut self) -> Self {
        self.manner.chunked = true;
        self
    }
}
