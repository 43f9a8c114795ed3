//! What a connection request is answered, and whether it opens a session; pure (TR-069 3.2.2).

use std::{net::IpAddr, time::Duration};

use ipc_proto::worker::ConnectionRequest;

use super::{
    budget::{Budget, Budgets},
    digest::{Digest, Judgement, Login, path_of},
};

/// Fields of a head at the most.
const MAX_FIELDS: usize = 64;
/// Right requests of one source: five at once, then one a second (CR-16).
const RIGHT: Budget = Budget::new(5, Duration::from_secs(1));
/// Right requests of all sources: twenty at once, then five a second.
const ALL_RIGHT: Budget = Budget::new(20, Duration::from_millis(200));
/// Wrong logins of one source that get another challenge: twenty at once, then one a second.
const WRONG: Budget = Budget::new(20, Duration::from_secs(1));

/// Why the first request of every login is refused.
pub const NO_LOGIN: &str = "no login";
/// Why a login with an old nonce is.
pub const STALE: &str = "its nonce is too old";

/// Judges requests, one after the other.
pub struct Judge {
    digest: Digest,
    right: Budgets,
    all_right: Budget,
    wrong: Budgets,
    wanted: Option<ConnectionRequest>,
    linked: bool,
}

/// The present, as the listener sees it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// CLOCK_BOOTTIME.
    pub now: Duration,
    /// From the kernel.
    pub random: [u8; 8],
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Status and reason of HTTP.
    pub status: &'static str,
    /// The value of WWW-Authenticate, with 401.
    pub challenge: Option<String>,
    /// Why it opens no session; none: it does.
    pub refusal: Option<&'static str>,
}

impl Verdict {
    fn refused(status: &'static str, why: &'static str) -> Self {
        Self { status, challenge: None, refusal: Some(why) }
    }

    /// The whole answer.
    pub fn text(&self) -> String {
        let challenge = self
            .challenge
            .as_ref()
            .map_or_else(String::new, |value| format!("WWW-Authenticate: {value}\r\n"));
        let allow = if self.status.starts_with("405") { "Allow: GET\r\n" } else { "" };
        let status = self.status;
        format!("HTTP/1.1 {status}\r\n{challenge}{allow}Content-Length: 0\r\nConnection: close\r\n\r\n")
    }
}

impl Judge {
    /// `key` is from the kernel, once a process.
    pub fn new(key: [u8; 64]) -> Self {
        Self {
            digest: Digest::new(key),
            right: Budgets::new(RIGHT),
            all_right: ALL_RIGHT,
            wrong: Budgets::new(WRONG),
            wanted: None,
            linked: false,
        }
    }

    /// From now on this is what is served.
    pub fn want(&mut self, wanted: Option<ConnectionRequest>) {
        self.wanted = wanted;
    }

    /// Whether there is a supervisor that could open a session.
    pub fn link(&mut self, linked: bool) {
        self.linked = linked;
    }

    /// Judges a whole head. Nothing that stands behind it matters (CR-08). `source` says who sends.
    pub fn judge(&mut self, at: Moment, source: IpAddr, head: &[u8]) -> Verdict {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let whole = matches!(request.parse(head), Ok(httparse::Status::Complete(_)));
        let (Some(method), Some(target), true) = (request.method, request.path, whole) else {
            return Verdict::refused("400 Bad Request", "it is not HTTP");
        };
        let Some(wanted) = &self.wanted else {
            return Verdict::refused("503 Service Unavailable", "CWMP is disabled");
        };
        if path_of(target) != wanted.path {
            return Verdict::refused("404 Not Found", "another path");
        }
        let mut logins =
            request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("Authorization"));
        let login = Login { username: &wanted.username, password: wanted.password.expose() };
        let judgement = match (logins.next(), logins.next()) {
            // A challenge costs us nothing that could run out, so it is never refused.
            (None, _) => return self.challenge(at, false, NO_LOGIN),
            (Some(field), None) => match str::from_utf8(field.value) {
                Ok(text) => self.digest.judge(at.now, login, method, &wanted.path, text),
                Err(_) => Judgement::Bad("its login cannot be read"),
            },
            (Some(_), Some(_)) => Judgement::Bad("two logins"),
        };
        match judgement {
            Judgement::Good(_) if method != "GET" => {
                Verdict::refused("405 Method Not Allowed", "another method than GET")
            }
            Judgement::Good(_) if !self.linked => {
                Verdict::refused("503 Service Unavailable", "there is no link to the supervisor")
            }
            // Its own share first: who floods with the right password uses up nobody else's. Only what is accepted
            // is remembered, so refusals cannot fill the memory of nonces.
            Judgement::Good(used)
                if self.right.take(at.now, source)
                    && self.all_right.take(at.now)
                    && self.digest.remember(at.now, used) =>
            {
                Verdict { status: "200 OK", challenge: None, refusal: None }
            }
            Judgement::Good(_) => Verdict::refused("503 Service Unavailable", "too many connection requests"),
            Judgement::Stale => self.challenge(at, true, STALE),
            Judgement::Bad(why) if self.wrong.take(at.now, source) => self.challenge(at, false, why),
            Judgement::Bad(_) => {
                Verdict::refused("503 Service Unavailable", "too many wrong logins from there")
            }
        }
    }

    fn challenge(&self, at: Moment, stale: bool, why: &'static str) -> Verdict {
        let challenge = Some(self.digest.challenge(at.now, at.random, stale));
        Verdict { status: "401 Unauthorized", challenge, refusal: Some(why) }
    }
}
