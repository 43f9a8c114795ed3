//! What is said in one CWMP session, as a machine without I/O (TR-069 3.7.1).

mod status;
#[cfg(test)]
mod tests;
pub mod told;

use bytes::Bytes;
use ipc_proto::worker::{
    EventId, Failure, Outcome, Query, Read, ReadId, Reply, SessionId, SessionOpened, Stage,
};

use crate::{
    rpc::{
        Message, Request, fault, get_rpc_methods, inform,
        list_answer::{ListAnswer, ListKind},
        set_parameter_values,
    },
    soap::Envelope,
};
use status::Heard;
use told::Told;

/// How often an Inform is sent when the ACS answers 8005 (SESS-04 asks for three at least).
const INFORM_TRIES: u32 = 5;
/// How many RPCs the ACS may call in one session.
const MAX_RPCS: u32 = 10_000;
/// Our Inform is the first request of the session, and its only one.
const INFORM_ID: &str = "1";

/// What the machine is told about the world.
#[derive(Clone, Debug)]
pub struct Cx {
    /// CurrentTime of the Inform: local time with its offset (INF-04).
    pub current_time: String,
    /// Path and query of the ACS's URL, for error texts.
    pub target: String,
}

/// An answer of the ACS over HTTP.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Location, of a redirect.
    pub location: Option<String>,
    /// The scheme and realm that a 401 or 407 asks for.
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

/// The Inform is on its way.
#[derive(Debug)]
pub struct Informing {
    session: SessionId,
    events: Vec<EventId>,
    envelope: Bytes,
    tries: u32,
}

/// It is the ACS's turn.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    session: SessionId,
    /// The last HoldRequests that the ACS sent.
    hold_requests: bool,
    rpcs: u32,
}

/// It is the supervisor's turn.
#[derive(Debug)]
pub struct Executing {
    after: Listening,
    /// The header ID of the request.
    id: Option<String>,
    rpc: Executed,
    told: Told,
}

#[derive(Clone, Copy, Debug)]
enum Executed {
    List(ListKind),
    Set,
}

type Step = (Session, Vec<Action>);

impl Session {
    /// Begins with the Inform.
    pub fn start(opened: &SessionOpened, cx: &Cx) -> Step {
        let envelope = Bytes::from(inform::encode(INFORM_ID, opened, &cx.current_time));
        let events = opened.events.iter().map(|e| e.id).collect();
        Informing { session: opened.session, events, envelope, tries: 0 }.send()
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

impl Informing {
    fn send(mut self) -> Step {
        self.tries += 1;
        let post = Post::Inform(self.envelope.clone());
        (Session::Informing(self), vec![Action::Post(post)])
    }

    fn answered(self, cx: &Cx, response: &Response) -> Step {
        let envelope = match status::read(cx, response) {
            Ok(Heard::Envelope(envelope)) => envelope,
            Ok(Heard::Nothing) => {
                return failed(Stage::Soap, "expected InformResponse, got an empty answer");
            }
            Err(failure) => return closed(Outcome::Failed(failure)),
        };
        match Message::decode(&envelope.body) {
            Message::InformResponse => self.acknowledge(&envelope),
            Message::Fault(f) if f.code == Some(fault::RETRY_REQUEST) && self.tries < INFORM_TRIES => {
                self.send()
            }
            Message::Fault(f) => failed(Stage::Fault, &format!("the ACS answered the Inform with {f}")),
            other => failed(Stage::Soap, &format!("expected InformResponse, got {}", other.name())),
        }
    }

    fn acknowledge(self, envelope: &Envelope) -> Step {
        if let Some(header) = &envelope.not_understood {
            return failed(Stage::Soap, &format!("the InformResponse demands the unknown header {header}"));
        }
        let query = Query::InformAcknowledged { session: self.session, events: self.events };
        let next = Listening { session: self.session, hold_requests: envelope.hold_requests, rpcs: 0 };
        (Session::Acknowledging(next), vec![Action::Query(query)])
    }
}

impl Listening {
    fn acknowledged(self, reply: &Reply) -> Step {
        match reply {
            Reply::Done => (Session::Listening(self), vec![Action::Post(Post::Empty)]),
            other => wrong_reply(other),
        }
    }

    fn heard(mut self, cx: &Cx, response: &Response) -> Step {
        let envelope = match status::read(cx, response) {
            Ok(Heard::Envelope(envelope)) => envelope,
            // The ACS must not end what it holds open (SESS-13).
            Ok(Heard::Nothing) if self.hold_requests => {
                return failed(
                    Stage::Soap,
                    "expected a request, got an empty answer while HoldRequests is true",
                );
            }
            Ok(Heard::Nothing) => return closed(Outcome::Succeeded),
            Err(failure) => return closed(Outcome::Failed(failure)),
        };
        self.hold_requests = envelope.hold_requests;
        let message = Message::decode(&envelope.body);
        if let Message::Request(_) | Message::Refused(_) = message {
            self.rpcs += 1;
            if self.rpcs > MAX_RPCS {
                return failed(
                    Stage::Soap,
                    &format!("the ACS called more than {MAX_RPCS} RPCs in one session"),
                );
            }
            if let Some(header) = &envelope.not_understood {
                let detail = told::clean(&format!("refused: the header {header} is not understood"), 300);
                let told = Told { what: told::clean(&envelope.body.name, 100), detail };
                let answer = fault::encode_must_understand(envelope.id.as_deref(), header);
                return self.respond(answer, Some(told));
            }
        }
        match message {
            Message::Request(request) => self.execute(envelope.id, request),
            Message::Refused(f) => {
                let told = Told::refused(&envelope.body.name, &f);
                self.respond(fault::encode(envelope.id.as_deref(), &f), Some(told))
            }
            Message::Fault(f) => failed(Stage::Fault, &format!("the ACS answered our last message with {f}")),
            other => {
                failed(Stage::Soap, &format!("expected a request or an empty answer, got {}", other.name()))
            }
        }
    }

    fn execute(self, id: Option<String>, request: Request) -> Step {
        let rpc = match &request {
            Request::GetRpcMethods => {
                let told = Told::answered(&request);
                return self.respond(get_rpc_methods::encode(id.as_deref()), Some(told));
            }
            Request::Read(Read::Values(_)) => Executed::List(ListKind::Values),
            Request::Read(Read::Names { .. }) => Executed::List(ListKind::Names),
            Request::SetParameterValues(_) => Executed::Set,
        };
        let told = Told::asked(&request);
        let query = request.query(self.session).map(Action::Query);
        (Session::Executing(Executing { after: self, id, rpc, told }), query.into_iter().collect())
    }

    fn respond(self, envelope: Vec<u8>, told: Option<Told>) -> Step {
        let post = Action::Post(Post::Response(envelope.into()));
        (Session::Listening(self), told.map(Action::Tell).into_iter().chain([post]).collect())
    }
}

impl Executing {
    fn executed(self, reply: Reply) -> Step {
        let id = self.id.as_deref();
        let told = self.told.done(&reply);
        match (self.rpc, reply) {
            (Executed::List(kind), Reply::Prepared { read, count }) => {
                let writer = ListAnswer::begin(kind, id, count);
                let answer = Action::Answer(Answer { read, writer, told });
                (Session::Listening(self.after), vec![answer])
            }
            (Executed::Set, Reply::Set(status)) => {
                self.after.respond(set_parameter_values::encode(id, status), Some(told))
            }
            (_, Reply::Fault(f)) => self.after.respond(fault::encode(id, &f), Some(told)),
            (_, other) => wrong_reply(&other),
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
