//! The Inform and its answer: what version the session speaks, or that the ACS takes none so new.

use bytes::Bytes;
use ipc_proto::{
    CwmpVersion,
    worker::{EventId, Failure, Outcome, Query, SessionId, SessionOpened, Stage},
};

use super::{
    Action, Cx, Listening, Post, Response, Session, Step, TRIES, closed, failed,
    own_requests::OwnRequests,
    status::{self, Heard},
};
use crate::{
    rpc::{Message, fault, inform},
    soap::{Envelope, Namespace},
};

/// Our Inform is the first request of the session.
const INFORM_ID: &str = "1";

/// The Inform is on its way.
#[derive(Debug)]
pub struct Informing {
    session: SessionId,
    events: Vec<EventId>,
    own: OwnRequests,
    envelope: Bytes,
    tries: u32,
}

impl Informing {
    /// Sends the Inform.
    pub fn start(opened: &SessionOpened, cx: &Cx) -> Step {
        let Cx { offered: version, session_timeout, .. } = *cx;
        let offer = inform::Offer { version, session_timeout, current_time: &cx.current_time };
        let informing = Self {
            session: opened.session,
            events: opened.events.iter().map(|e| e.id).collect(),
            own: OwnRequests::new(&opened.requests),
            envelope: inform::encode(INFORM_ID, opened, offer).into(),
            tries: 0,
        };
        informing.send()
    }

    fn send(mut self) -> Step {
        self.tries += 1;
        let post = Post::Inform(self.envelope.clone());
        (Session::Informing(self), vec![Action::Post(post)])
    }

    /// Goes on with the ACS's answer.
    pub fn answered(self, cx: &Cx, response: &Response) -> Step {
        let envelope = match status::read(cx, response) {
            Ok(Heard::Envelope(envelope)) => envelope,
            Ok(Heard::Nothing) => {
                return failed(Stage::Soap, "expected InformResponse, got an empty answer");
            }
            Err(failure) if matches!(response.status, 400 | 500) => return version_refused(cx, failure),
            Err(failure) => return closed(Outcome::Failed(failure)),
        };
        match Message::decode(&envelope.body) {
            Message::InformResponse => self.acknowledge(cx, &envelope),
            Message::Fault(f) if f.code == Some(fault::RETRY_REQUEST) && self.tries < TRIES => self.send(),
            Message::Fault(f) => {
                let reason = format!("the ACS answered the Inform with {f}");
                let failure = Failure { stage: Stage::Fault, reason };
                let of_soap = f.code.is_none() && (f.misunderstood || response.status == 500);
                if of_soap || f.code == Some(fault::VERSION_MISMATCH) {
                    version_refused(cx, failure)
                } else {
                    closed(Outcome::Failed(failure))
                }
            }
            other => failed(Stage::Soap, &format!("expected InformResponse, got {}", other.name())),
        }
    }

    fn acknowledge(self, cx: &Cx, envelope: &Envelope) -> Step {
        if let Some(header) = &envelope.not_understood {
            return failed(Stage::Soap, &format!("the InformResponse demands the unknown header {header}"));
        }
        let version = match agreed(cx, envelope) {
            Ok(version) => version,
            Err(reason) => return failed(Stage::Soap, &reason),
        };
        let query = Query::InformAcknowledged { session: self.session, events: self.events };
        let next = Listening::new(self.session, version, envelope.hold_requests, self.own);
        (Session::Acknowledging(next), vec![Action::Query(query)])
    }
}

/// The version that an InformResponse settles on (VER-02): the one it names, else what its namespace says.
fn agreed(cx: &Cx, envelope: &Envelope) -> Result<CwmpVersion, String> {
    let Some(named) = &envelope.use_version else {
        let said = match envelope.body.namespace {
            Namespace::Cwmp(version) => version,
            _ => CwmpVersion::V1_3,
        };
        // An older ACS may answer in the only namespace that it knows.
        return Ok(said.min(cx.offered));
    };
    let offered = CwmpVersion::parse(named).filter(|version| *version <= cx.offered);
    offered.ok_or_else(|| {
        let named: String = named.chars().filter(|c| !c.is_control()).take(20).collect();
        format!(
            "the ACS wants CWMP {named}, which this device did not offer (up to {}): look at the ACS's settings",
            cx.offered
        )
    })
}

/// The session fails, and the next may offer an older version (VER-04, VER-05, DECISIONS 14).
fn version_refused(cx: &Cx, failure: Failure) -> Step {
    (Session::Closed, vec![Action::VersionRefused(cx.offered), Action::Close(Outcome::Failed(failure))])
}
