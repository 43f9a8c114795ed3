//! What we ask of the ACS after the Inform: one request at a time, and again when the ACS asks for it.

use std::collections::VecDeque;

use bytes::Bytes;
use ipc_proto::{CwmpVersion, worker::CpeRequest};

use super::TRIES;
use crate::{rpc::get_rpc_methods, soap::Head};

/// Our requests of one session.
#[derive(Debug)]
pub struct OwnRequests {
    waiting: VecDeque<CpeRequest>,
    out: Option<Sent>,
    last_id: u32,
}

/// A request that the ACS has not answered so far.
#[derive(Debug)]
struct Sent {
    request: CpeRequest,
    envelope: Bytes,
    tries: u32,
    /// The ACS wants it once more (8005).
    again: bool,
}

impl OwnRequests {
    /// The Inform was request 1.
    pub fn new(requests: &[CpeRequest]) -> Self {
        Self { waiting: requests.iter().copied().collect(), out: None, last_id: 1 }
    }

    /// The next to be sent, or the last once more.
    pub fn next(&mut self, version: CwmpVersion) -> Option<Bytes> {
        if self.out.is_none() {
            let request = self.waiting.pop_front()?;
            self.last_id += 1;
            let id = self.last_id.to_string();
            let head = Head { version, id: Some(&id), more: &[] };
            let envelope = match request {
                CpeRequest::GetRpcMethods => get_rpc_methods::encode_request(head),
            };
            self.out = Some(Sent { request, envelope: envelope.into(), tries: 0, again: true });
        }
        let sent = self.out.as_mut().filter(|sent| sent.again)?;
        sent.again = false;
        sent.tries += 1;
        Some(sent.envelope.clone())
    }

    /// The request that waits for its answer.
    pub fn out(&self) -> Option<&'static str> {
        self.out.as_ref().filter(|sent| !sent.again).map(|sent| name(sent.request))
    }

    /// Takes the ACS's response of that name; false when it answers nothing that was asked.
    pub fn answered(&mut self, response: &str) -> bool {
        let fits = |name| response.strip_suffix("Response") == Some(name);
        let answered = self.out().is_some_and(fits);
        if answered {
            self.out = None;
        }
        answered
    }

    /// The ACS asks for the last once more (SESS-04); false when there is none, or it was sent often enough.
    pub fn repeat(&mut self) -> bool {
        let sent = self.out.as_mut().filter(|sent| sent.tries < TRIES);
        sent.map(|sent| sent.again = true).is_some()
    }

    /// True when something is still to be sent.
    pub fn wait(&self) -> bool {
        !self.waiting.is_empty() || self.out.as_ref().is_some_and(|sent| sent.again)
    }
}

fn name(request: CpeRequest) -> &'static str {
    match request {
        CpeRequest::GetRpcMethods => get_rpc_methods::NAME,
    }
}
