//! After the Inform: the ACS's RPCs are answered, ours are sent, until both sides are done (TR-069 3.7.1.3, 3.7.1.4).

use ipc_proto::{
    CwmpVersion,
    worker::{Outcome, Read, Reply, RowChange, SessionId, Stage},
};

use super::{
    Action, Answer, Cx, Post, Response, Session, Step, closed, failed,
    own_requests::OwnRequests,
    status::{self, Heard},
    told::{self, Told},
    wrong_reply,
};
use crate::{
    rpc::{
        Message, Request, add_object, delete_object, encode_empty, factory_reset,
        fault::{self, AcsFault},
        get_rpc_methods,
        list_answer::{ListAnswer, ListKind},
        reboot, schedule_inform, set_parameter_attributes, set_parameter_values,
    },
    soap::Head,
};

/// How many RPCs the ACS may call in one session.
pub const MAX_RPCS: u32 = 10_000;

/// It is the ACS's turn.
#[derive(Debug)]
pub struct Listening {
    session: SessionId,
    /// What both sides speak (VER-03).
    version: CwmpVersion,
    /// The last HoldRequests that the ACS sent.
    hold_requests: bool,
    rpcs: u32,
    own: OwnRequests,
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
    /// Answered by an empty response of this name.
    Plain(&'static str),
    Add,
    Delete,
    SetAttributes,
}

impl Listening {
    /// After the InformResponse.
    pub fn new(session: SessionId, version: CwmpVersion, hold_requests: bool, own: OwnRequests) -> Self {
        Self { session, version, hold_requests, rpcs: 0, own }
    }

    /// The supervisor has forgotten the events that were acknowledged.
    pub fn acknowledged(self, reply: &Reply) -> Step {
        match reply {
            Reply::Done => self.speak(),
            other => wrong_reply(other),
        }
    }

    /// Our turn, and nothing due to the ACS: a request of ours unless they are held (SESS-05, SESS-06), else
    /// an empty POST.
    fn speak(mut self) -> Step {
        let request = if self.hold_requests { None } else { self.own.next(self.version) };
        let post = request.map_or(Post::Empty, Post::Request);
        (Session::Listening(self), vec![Action::Post(post)])
    }

    /// Goes on with what the ACS says.
    pub fn heard(mut self, cx: &Cx, response: &Response) -> Step {
        let envelope = match status::read(cx, response) {
            Ok(Heard::Envelope(envelope)) => envelope,
            Ok(Heard::Nothing) => return self.heard_nothing(),
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
                let answer = fault::encode_must_understand(self.head(envelope.id.as_deref()), header);
                return self.respond(answer, Some(told));
            }
        }
        match message {
            Message::Request(request) => self.execute(envelope.id, request),
            Message::Refused(f) => {
                let told = Told::refused(&envelope.body.name, &f);
                let answer = fault::encode(self.head(envelope.id.as_deref()), &f);
                self.respond(answer, Some(told))
            }
            Message::Response(name) if self.own.answered(&name) => {
                let what = name.trim_end_matches("Response").to_owned();
                let (next, mut actions) = self.speak();
                actions.insert(0, Action::Tell(Told { what, detail: "the ACS answered".to_owned() }));
                (next, actions)
            }
            Message::Fault(f) => self.fault(&f),
            other => {
                let wanted = match self.own.out() {
                    Some(name) => format!("{name}Response or a request"),
                    None => "a request or an empty answer".to_owned(),
                };
                failed(Stage::Soap, &format!("expected {wanted}, got {}", other.name()))
            }
        }
    }

    /// The ACS has nothing to say: the end, if we have nothing either (SESS-11).
    fn heard_nothing(self) -> Step {
        // The ACS must not end what it holds open (SESS-13), nor owe an answer.
        if self.hold_requests {
            return failed(Stage::Soap, "expected a request, got an empty answer while HoldRequests is true");
        }
        if let Some(name) = self.own.out() {
            return failed(Stage::Soap, &format!("expected {name}Response, got an empty answer"));
        }
        if self.own.wait() {
            return self.speak();
        }
        closed(Outcome::Succeeded)
    }

    fn fault(mut self, f: &AcsFault) -> Step {
        let Some(name) = self.own.out() else {
            return failed(Stage::Fault, &format!("the ACS answered our last message with {f}"));
        };
        if f.code == Some(fault::RETRY_REQUEST) && self.own.repeat() {
            return self.speak();
        }
        failed(Stage::Fault, &format!("the ACS answered our {name} with {f}"))
    }

    fn execute(self, id: Option<String>, request: Request) -> Step {
        let rpc = match &request {
            Request::GetRpcMethods => {
                let told = Told::answered(&request);
                let answer = get_rpc_methods::encode(self.head(id.as_deref()));
                return self.respond(answer, Some(told));
            }
            Request::Read(Read::Values(_)) => Executed::List(ListKind::Values),
            Request::Read(Read::Names { .. }) => Executed::List(ListKind::Names),
            Request::Read(Read::Attributes(_)) => Executed::List(ListKind::Attributes),
            Request::SetParameterAttributes(_) => Executed::SetAttributes,
            Request::SetParameterValues(_) => Executed::Set,
            Request::Reboot(_) => Executed::Plain(reboot::RESPONSE),
            Request::FactoryReset => Executed::Plain(factory_reset::RESPONSE),
            Request::ScheduleInform(..) => Executed::Plain(schedule_inform::RESPONSE),
            Request::ChangeRow(row) if row.change == RowChange::Add => Executed::Add,
            Request::ChangeRow(_) => Executed::Delete,
        };
        let told = Told::asked(&request);
        let query = request.query(self.session).map(Action::Query);
        (Session::Executing(Executing { after: self, id, rpc, told }), query.into_iter().collect())
    }

    fn respond(self, envelope: Vec<u8>, told: Option<Told>) -> Step {
        let post = Action::Post(Post::Response(envelope.into()));
        (Session::Listening(self), told.map(Action::Tell).into_iter().chain([post]).collect())
    }

    /// Of an answer to the request of that ID.
    fn head<'a>(&self, id: Option<&'a str>) -> Head<'a> {
        Head { version: self.version, id, more: &[] }
    }
}

impl Executing {
    /// Goes on with what the supervisor did.
    pub fn executed(self, reply: Reply) -> Step {
        let head = self.after.head(self.id.as_deref());
        let told = self.told.done(&reply);
        match (self.rpc, reply) {
            (Executed::List(kind), Reply::Prepared { read, count }) => {
                let writer = ListAnswer::begin(kind, head, count);
                let answer = Action::Answer(Answer { read, writer, told });
                (Session::Listening(self.after), vec![answer])
            }
            (Executed::Set, Reply::Set(status)) => {
                let answer = set_parameter_values::encode(head, status);
                self.after.respond(answer, Some(told))
            }
            (Executed::Plain(response), Reply::Done) => {
                let answer = encode_empty(head, response);
                self.after.respond(answer, Some(told))
            }
            (Executed::Add, Reply::Added(number, status)) => {
                let answer = add_object::encode(head, number, status);
                self.after.respond(answer, Some(told))
            }
            (Executed::Delete, Reply::Set(status)) => {
                let answer = delete_object::encode(head, status);
                self.after.respond(answer, Some(told))
            }
            (Executed::SetAttributes, Reply::Done) => {
                let answer = set_parameter_attributes::encode(head);
                self.after.respond(answer, Some(told))
            }
            (_, Reply::Fault(f)) => {
                let answer = fault::encode(head, &f);
                self.after.respond(answer, Some(told))
            }
            (_, other) => wrong_reply(&other),
        }
    }
}
