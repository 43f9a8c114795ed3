//! The login that a test ACS asks for: RFC 7617 and RFC 7616, written from their text and not with the device's crate.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::wire::{Reply, Request};

/// The realm of every test ACS.
const REALM: &str = "test ACS";

/// How it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Basic.
    Basic,
    /// Digest with this algorithm and this qop.
    Digest(&'static str, &'static str),
    /// This text as the only challenge, to which no answer is right.
    Odd(&'static str),
}

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Gate {
    scheme: Scheme,
    username: String,
    password: String,
    /// A nonce is good for so many requests, and stale then.
    uses: u32,
    nonces: u32,
    /// After so many requests were let in, another password counts.
    next: Option<(u32, String)>,
    /// The last request count of the nonce in use, and its connection.
    last: Option<(u32, u32)>,
    pub(super) seen: Vec<(u32, Option<String>)>,
}

impl Gate {
    /// Asks for this login at every request.
    pub fn new(scheme: Scheme, username: &str, password: &str) -> Self {
        let (username, password) = (username.to_owned(), password.to_owned());
        Self {
            scheme,
            username,
            password,
            uses: u32::MAX,
            nonces: 0,
            next: None,
            last: None,
            seen: Vec::new(),
        }
    }

    /// Each nonce is good for so many requests; the next is told that it is stale.
    pub fn nonce_uses(mut self, uses: u32) -> Self {
        self.uses = uses;
        self
    }

    /// After so many requests were let in, this password counts.
    pub fn password_changes(mut self, after: u32, password: &str) -> Self {
        self.next = Some((after, password.to_owned()));
        self
    }

    /// The 401 for a request that may not come in.
    pub(super) fn refuses(&mut self, request: &Request, connection: u32) -> Option<Reply> {
        let header = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
        let given = header.map(|(_, value)| value.clone());
        self.seen.push((connection, given.clone()));
        let verdict = given.map_or(Verdict::Wrong, |given| self.judge(&given, request, connection));
        let stale = match verdict {
            Verdict::Right => {
                if let Some((after, _)) = &mut self.next {
                    *after -= 1;
                }
                if let Some((_, password)) = self.next.take_if(|(after, _)| *after == 0) {
                    self.password = password;
                }
                return None;
            }
            Verdict::Stale => ", stale=true",
            Verdict::Wrong => "",
        };
        self.nonces += 1;
        self.last = None;
        let nonce = self.nonce();
        let challenge = match self.scheme {
            Scheme::Basic => format!("Basic realm=\"{REALM}\""),
            Scheme::Digest(algorithm, qop) => format!(
                "Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"{qop}\", algorithm={algorithm}{stale}, opaque=\"o\""
            ),
            Scheme::Odd(text) => text.to_owned(),
        };
        let headers = vec![("WWW-Authenticate".to_owned(), challenge)];
        Some(Reply { status: "401 Unauthorized".into(), headers, body: "<html>who are you?</html>".into() })
    }

    fn nonce(&self) -> String {
        format!("nonce-{}", self.nonces)
    }

    fn judge(&mut self, given: &str, request: &Request, connection: u32) -> Verdict {
        let Scheme::Digest(algorithm, qop) = self.scheme else {
            let pair = format!("{}:{}", self.username, self.password);
            let right = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
            return if self.scheme == Scheme::Basic && given == right {
                Verdict::Right
            } else {
                Verdict::Wrong
            };
        };
        let field = |name: &str| {
            let (_, rest) = given.split_once(&format!(" {name}="))?;
            Some(match rest.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next()?.to_owned(),
                None => rest.split(',').next()?.to_owned(),
            })
        };
        let field = |name: &str| field(name).unwrap_or_default();
        let hash = |text: String| match algorithm {
            "SHA-256" | "SHA-256-sess" => data_encoding::HEXLOWER.encode(&Sha256::digest(text)),
            _ => data_encoding::HEXLOWER.encode(&Md5::digest(text)),
        };
        let path = request.head.split(' ').nth(1).unwrap_or_default();
        let (nonce, cnonce, nc) = (field("nonce"), field("cnonce"), field("nc"));
        let mut ha1 = hash(format!("{}:{REALM}:{}", self.username, self.password));
        if algorithm.ends_with("-sess") {
            ha1 = hash(format!("{ha1}:{nonce}:{cnonce}"));
        }
        let ha2 = match qop {
            "auth-int" => hash(format!("POST:{path}:{}", hash(request.body.clone()))),
            _ => hash(format!("POST:{path}")),
        };
        let used = if qop == "auth-int" { "auth-int" } else { "auth" };
        let right = hash(format!("{ha1}:{nonce}:{nc}:{cnonce}:{used}:{ha2}"));
        let told = [
            field("username"),
            field("realm"),
            field("uri"),
            field("qop"),
            field("algorithm"),
            field("opaque"),
        ];
        let wanted = [self.username.as_str(), REALM, path, used, algorithm, "o"];
        if field("response") != right || told != wanted {
            return Verdict::Wrong;
        }
        let count = u32::from_str_radix(&nc, 16).unwrap_or_default();
        let (before, of) = self.last.unwrap_or((0, connection));
        // A nonce of an earlier 401, or one that is used up: the password is right all the same.
        if nonce != self.nonce() || count > self.uses {
            return Verdict::Stale;
        }
        // Counted without a gap, and answered on the connection that brought the nonce.
        if count != before + 1 || of != connection {
            return Verdict::Wrong;
        }
        self.last = Some((count, connection));
        Verdict::Right
    }
}

enum Verdict {
    Right,
    Stale,
    Wrong,
}
