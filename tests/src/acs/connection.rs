//! One TCP connection of the device: requests in, the open session's next step out.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::path::PathBuf;

use super::decode;
use super::envelope::{self, Envelope};
use super::plan::{Manner, Plan, Step, Trouble};
use super::record::{Direction, Ending, Message, Session};
use super::wire::{Reply, Request, Wire};
use super::{Shared, State};

/// The session that runs now.
pub(super) struct OpenSession {
    pub(super) messages: Vec<Message>,
    steps: VecDeque<Step>,
    at_inform: Option<Trouble>,
    touch_at_inform: Option<PathBuf>,
    manner: Manner,
    namespace: String,
    header: String,
    requests_sent: u32,
    cookies_due: bool,
    cookie_again: usize,
    number: u32,
    last_connection: u32,
}

/// What to put on the wire for one request.
enum Turn {
    Answer { reply: Reply, manner: Manner, closes_session: bool },
    Misbehave(Trouble),
}

pub(super) fn serve(shared: &Shared, stream: TcpStream, connection: u32) {
    let mut wire = Wire::new(stream);
    let outcome = serve_requests(shared, &mut wire, connection);
    let mut state = shared.lock();
    state.live.remove(&connection);
    let why = match outcome {
        Ok(End::Expected) => None,
        Ok(End::ByDevice) => Some("the device closed the connection".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why
        && state.open.as_ref().is_some_and(|open| open.last_connection == connection)
    {
        state.close(Ending::Broken(why));
    }
    drop(state);
    shared.changed.notify_all();
}

enum End {
    /// The ACS had said that this connection ends here.
    Expected,
    /// The device went first.
    ByDevice,
}

fn serve_requests(shared: &Shared, wire: &mut Wire, connection: u32) -> io::Result<End> {
    while let Some(request) = wire.read_request()? {
        if wire.has_more() {
            return Err(io::Error::other("the device pipelines: bytes after its request"));
        }
        let refusal = {
            let mut state = shared.lock();
            let refusal = state.gate.as_mut().and_then(|gate| gate.refuses(&request, connection));
            shared.changed.notify_all();
            refusal
        };
        if let Some(refusal) = refusal {
            wire.write(&refusal, Manner::default())?;
            continue;
        }
        let elsewhere = {
            let mut state = shared.lock();
            let elsewhere = state.signposts.points(&request, connection);
            shared.changed.notify_all();
            elsewhere
        };
        if let Some(elsewhere) = elsewhere {
            // The device leaves this connection, and the session goes on elsewhere.
            wire.write(&elsewhere, Manner { close_each: true, ..Manner::default() })?;
            wire.drain();
            return Ok(End::Expected);
        }
        let turn = {
            let mut state = shared.lock();
            let at = shared.started.elapsed();
            let turn = state.take_turn(request, connection, at);
            shared.changed.notify_all();
            turn
        };
        match turn {
            Turn::Answer { reply, manner, closes_session } => {
                // Recorded before it is written: whoever sees the device act on an answer finds the answer here.
                let mut state = shared.lock();
                let at = shared.started.elapsed();
                let slot = state.record_answer(connection, at, &reply);
                drop(state);
                let written = wire.write(&reply, manner);
                let mut state = shared.lock();
                if let (Some(slot), Ok((head, headers))) = (slot, &written)
                    && let Some(message) = state.open.as_mut().and_then(|open| open.messages.get_mut(slot))
                {
                    message.head.clone_from(head);
                    message.headers.clone_from(headers);
                }
                if closes_session && written.is_ok() {
                    state.close(Ending::Clean);
                }
                drop(state);
                shared.changed.notify_all();
                written?;
                if manner.close_each {
                    wire.drain();
                    return Ok(End::Expected);
                }
            }
            Turn::Misbehave(trouble) => {
                misbehave(shared, wire, connection, &trouble);
                if !trouble.is_whole_answer() {
                    return Ok(End::Expected);
                }
            }
        }
    }
    Ok(End::ByDevice)
}

fn misbehave(shared: &Shared, wire: &mut Wire, connection: u32, trouble: &Trouble) {
    let torn = matches!(trouble, Trouble::Reset | Trouble::Close);
    if torn {
        // The twin would keep the socket open, and a reset is sent by the last close.
        shared.lock().live.remove(&connection);
    }
    let done = wire.misbehave(trouble);
    if matches!(trouble, Trouble::Silence) {
        wire.drain();
    }
    let mut state = shared.lock();
    let at = shared.started.elapsed();
    if let Some(open) = state.open.as_mut() {
        let (head, body) = done.unwrap_or_else(|error| (format!("(broken off: {error})"), String::new()));
        let direction = Direction::FromAcs;
        open.messages.push(Message { at, direction, connection, head, headers: Vec::new(), body });
    }
    state.close(Ending::Trouble);
    drop(state);
    shared.changed.notify_all();
    if !torn && !trouble.is_whole_answer() {
        wire.drain();
    }
}

impl State {
    /// Ends the open session, if there is one.
    fn close(&mut self, ending: Ending) {
        if let Some(open) = self.open.take() {
            self.end(Session { messages: open.messages, ending });
        }
    }

    fn end(&mut self, session: Session) {
        if let Some(told) = &self.listener {
            told(&session);
        }
        self.ended.push(session);
    }

    fn record_answer(&mut self, connection: u32, at: std::time::Duration, reply: &Reply) -> Option<usize> {
        let open = self.open.as_mut()?;
        open.messages.push(Message {
            at,
            direction: Direction::FromAcs,
            connection,
            head: format!("HTTP/1.1 {}", reply.status),
            headers: reply.headers.clone(),
            body: reply.body.clone(),
        });
        Some(open.messages.len() - 1)
    }

    fn take_turn(&mut self, request: Request, connection: u32, at: std::time::Duration) -> Turn {
        let message = Message {
            at,
            direction: Direction::FromCpe,
            connection,
            head: request.head,
            headers: request.headers,
            body: request.body,
        };
        let kind = message.kind();
        if kind == "Inform" {
            self.close(Ending::Superseded);
            self.informs.push(message.clone());
            self.sessions_begun += 1;
            let plan = self.plans.pop_front().unwrap_or_default();
            self.open = Some(OpenSession::begin(plan, self.sessions_begun, &message.body));
        }
        let Some(open) = self.open.as_mut() else {
            self.end(Session { messages: vec![message], ending: Ending::Stray });
            let reply = plain("400 Bad Request", "no session is open");
            return Turn::Answer { reply, manner: Manner::default(), closes_session: false };
        };
        open.last_connection = connection;
        let body = message.body.clone();
        open.messages.push(message);
        open.next_turn(&kind, &body)
    }
}

impl OpenSession {
    fn begin(plan: Plan, number: u32, inform: &str) -> Self {
        Self {
            messages: Vec::new(),
            steps: plan.steps.into(),
            at_inform: plan.at_inform,
            touch_at_inform: plan.touch_at_inform,
            manner: plan.manner,
            namespace: plan
                .namespace
                .or_else(|| decode::cwmp_namespace(inform))
                .unwrap_or_else(|| "urn:dslforum-org:cwmp-1-0".into()),
            header: plan.header,
            requests_sent: 0,
            cookies_due: true,
            cookie_again: plan.cookie_again,
            number,
            last_connection: 0,
        }
    }

    fn next_turn(&mut self, kind: &str, body: &str) -> Turn {
        let is_request = kind != "empty POST" && kind != "Fault" && !kind.ends_with("Response");
        let step = if kind == "Inform" {
            self.touch_at_inform.take().iter().for_each(touch);
            self.at_inform.take().map_or(Step::Answer, Step::Trouble)
        } else if is_request {
            Step::Answer
        } else {
            match self.steps.pop_front() {
                Some(step) => step,
                None => return self.answer(plain("204 No Content", ""), true),
            }
        };
        match step {
            Step::Answer => {
                let id = decode::header_id(body).unwrap_or_default();
                let mut text = envelope::envelope(&self.namespace, &id, &envelope::response_to(kind));
                if kind == "Inform" {
                    text = text.replace("</soap:Header>", &format!("{}</soap:Header>", self.header));
                }
                self.answer(soap(text), false)
            }
            Step::Send(rpc) => {
                self.requests_sent += 1;
                let text = match rpc {
                    Envelope::Raw(text) => text,
                    Envelope::Body(content) => {
                        let id = format!("acs-{}-{}", self.number, self.requests_sent);
                        envelope::envelope(&self.namespace, &id, &content)
                    }
                };
                self.answer(soap(text), false)
            }
            Step::Trouble(trouble) => Turn::Misbehave(trouble),
            Step::Touch(file) => {
                touch(&file);
                self.next_turn(kind, body)
            }
        }
    }

    fn answer(&mut self, mut reply: Reply, closes_session: bool) -> Turn {
        if std::mem::take(&mut self.cookies_due) {
            let number = self.number;
            reply.headers.push(("Set-Cookie".into(), format!("session=s{number}; Path=/; HttpOnly")));
            reply
                .headers
                .push(("Set-Cookie".into(), format!("node=n{number}.{}; Path=/cwmp", "x".repeat(512))));
            let again = ("Set-Cookie".to_owned(), "again=1; Path=/".to_owned());
            reply.headers.extend(std::iter::repeat_n(again, self.cookie_again));
        }
        Turn::Answer { reply, manner: self.manner, closes_session }
    }
}

fn touch(file: &PathBuf) {
    std::fs::write(file, "").expect("the test's own file can be made");
}

fn soap(body: String) -> Reply {
    let headers = vec![("Content-Type".to_owned(), "text/xml; charset=\"utf-8\"".to_owned())];
    Reply { status: "200 OK".into(), headers, body }
}

fn plain(status: &str, body: &str) -> Reply {
    Reply { status: status.into(), headers: Vec::new(), body: body.into() }
}
