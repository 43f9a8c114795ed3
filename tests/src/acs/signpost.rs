//! Redirects of the test ACS: which request is sent elsewhere, and what it looked like.

use std::collections::HashMap;
use std::time::Duration;

use super::record::{Direction, Message};
use super::wire::{Reply, Request};

/// Redirects by the number of the request.
#[derive(Default)]
pub(super) struct Signposts {
    to: HashMap<usize, (u16, String)>,
    requests: usize,
    pub(super) seen: Vec<Message>,
}

impl Signposts {
    /// Counts from the requests that come after the call.
    pub(super) fn add(&mut self, nth: usize, status: u16, location: &str) {
        self.to.insert(self.requests + nth, (status, location.to_owned()));
    }

    /// The redirect of this request, if it gets one.
    pub(super) fn points(&mut self, request: &Request, connection: u32) -> Option<Reply> {
        let number = self.requests;
        self.requests += 1;
        let (status, location) = self.to.remove(&number)?;
        self.seen.push(Message {
            at: Duration::ZERO,
            direction: Direction::FromCpe,
            connection,
            head: request.head.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        });
        let headers = vec![("Location".to_owned(), location), ("Set-Cookie".to_owned(), "way=1".to_owned())];
        Some(Reply { status: format!("{status} Elsewhere"), headers, body: "<html>elsewhere</html>".into() })
    }
}
