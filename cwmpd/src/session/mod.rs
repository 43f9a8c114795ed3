//! What is said in one CWMP session, as a machine without I/O (TR-069 3.7.1).

mod informing;
mod listening;
mod own_requests;
mod status;
#[cfg(test)]
mod tests;
pub mod told;

use bytes::Bytes;
use ipc_proto::{
    CwmpVersion,
    worker::{Failure, Outcome, Query, ReadId, Reply, SessionOpened, Stage},
};

use crate::rpc::list_answer::ListAnswer;
use informing::Informing;
use listening::{Executing, Listening};
use told::Told;

/// How often a request of ours is sent when the ACS answers 8005 (SESS-04 asks for three at least).
const TRIES: u32 = 5;

/// What the machine is told about the world.
#[derive(Clone, Debug)]
pub struct Cx {
    /// CurrentTime of the Inform: local time with its offset (INF-04).
    pub current_time: String,
    /// Path and query of the ACS's URL, for error texts.
    pub target: String,
    /// The newest version that the Inform offers.
    pub offered: CwmpVersion,
    /// Header SessionTimeout, in seconds.
    pub session_timeout: u32,
    /// Prefixes that are not declared are read all the same.
    pub lenient: bool,
}

/// An answer of the ACS over HTTP.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The scheme and realm that a 407 asks for.
    pub challenge: Option<String>,
    /// The whole body; empty where the status makes it uninteresting.
    pub body: Bytes,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The supervisor answered the query.
    Reply(Reply),
    /// The ACS answered the POST.
    Response(Response),
}

/// What is to be done; one at a time, and what is told of it.
#[derive(Debug)]
pub enum Action {
    /// Ask the supervisor.
    Query(Query),
    /// Send it to the ACS.
    Post(Post),
    /// Pump the pages of a prepared read through its writer to the ACS.
    Answer(Answer),
    /// Tell it to the client log, and go on.
    Tell(Told),
    /// Tell the supervisor that the ACS takes no Inform of this version, and go on.
    VersionRefused(CwmpVersion),
    /// The session is over.
    Close(Outcome),
}

/// A POST to the ACS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Post {
    /// Without a body: we have nothing to say (HTTP-07).
    Empty,
    /// The Inform.
    Inform(Bytes),
    /// A response or a fault.
    Response(Bytes),
    /// Another request of ours.
    Request(Bytes),
}

/// An answer that the driver writes page by page.
#[derive(Debug)]
pub struct Answer {
    /// The read that the pages are of.
    pub read: ReadId,
    /// Writes it.
    pub writer: ListAnswer,
    /// For the client log, once the last byte is out.
    pub told: Told,
}

/// A session, by what it waits for.
#[derive(Debug)]
pub enum Session {
    /// The ACS's answer to the Inform.
    Informing(Informing),
    /// The supervisor's word that the acknowledged events are forgotten.
    Acknowledging(Listening),
    /// Whatever the ACS says next.
    Listening(Listening),
    /// The supervisor's answer to an RPC.
    Executing(Executing),
    /// Nothing: it is over.
    Closed,
}

type Step = (Session, Vec<Action>);

impl Session {
    /// Begins with the Inform.
    pub fn start(opened: &SessionOpened, cx: &Cx) -> Step {
        Informing::start(opened, cx)
    }

    /// Goes on with what happened.
    pub fn step(self, cx: &Cx, input: Input) -> Step {
        match (self, input) {
            (Self::Informing(state), Input::Response(response)) => state.answered(cx, &response),
            (Self::Acknowledging(state), Input::Reply(reply)) => state.acknowledged(&reply),
            (Self::Listening(state), Input::Response(response)) => state.heard(cx, &response),
            (Self::Executing(state), Input::Reply(reply)) => state.executed(reply),
            (Self::Closed, _) => (Self::Closed, Vec::new()),
            (_, Input::Reply(_)) => failed(Stage::Worker, "the supervisor answered what was not asked"),
            (_, Input::Response(_)) => failed(Stage::Worker, "the ACS answered what was not sent"),
        }
    }
}

fn wrong_reply(reply: &Reply) -> Step {
    match reply {
        Reply::NoSession => failed(Stage::Worker, "the supervisor has ended this session"),
        Reply::Fault(f) => failed(Stage::Worker, &format!("the supervisor refused: {}", f.text)),
        _ => failed(Stage::Worker, "the supervisor sent a reply of the wrong kind"),
    }
}

fn failed(stage: Stage, reason: &str) -> Step {
    closed(Outcome::Failed(Failure { stage, reason: reason.to_owned() }))
}

fn closed(outcome: Outcome) -> Step {
    (Session::Closed, vec![Action::Close(outcome)])
}
