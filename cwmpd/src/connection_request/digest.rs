//! The server's side of HTTP Digest (RFC 2617: MD5, qop auth), without a clock and without chance.

use std::{collections::HashMap, time::Duration};

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Shown to whoever asks.
const REALM: &str = "cwmp";
/// How long a nonce is good.
const LIFE: Duration = Duration::from_secs(300);
/// Uses of nonces that are remembered: more than are accepted within the life of one.
const MAX_USES: usize = 2048;

/// Which nonces were given, and used: nothing is kept of those that were only given.
pub struct Digest {
    key: [u8; 64],
    used: HashMap<([u8; 32], u32), Duration>,
}

/// Name and password that are asked for.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// User name.
    pub username: &'a str,
    /// Password.
    pub password: &'a str,
}

/// A use of a nonce, to be remembered when it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    nonce: [u8; 32],
    count: u32,
    given: Duration,
}

/// What an Authorization header is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The right password, and this use of a nonce was not accepted before.
    Good(Use),
    /// The right password for a nonce that is too old: another one will do.
    Stale,
    /// Anything else, and why.
    Bad(&'static str),
}

impl Digest {
    /// `key` is from the kernel, once a process.
    pub fn new(key: [u8; 64]) -> Self {
        Self { key, used: HashMap::new() }
    }

    /// The value of WWW-Authenticate.
    pub fn challenge(&self, now: Duration, random: [u8; 8], stale: bool) -> String {
        let nonce = HEXLOWER.encode(&self.nonce(millis(now), random));
        let stale = if stale { ", stale=true" } else { "" };
        format!("Digest realm=\"{REALM}\", qop=\"auth\", nonce=\"{nonce}\", algorithm=MD5{stale}")
    }

    /// Judges an Authorization header for a request of `method` and `path`. An empty name or password lets
    /// nobody in.
    pub fn judge(
        &self,
        now: Duration,
        login: Login<'_>,
        method: &str,
        path: &str,
        authorization: &str,
    ) -> Judgement {
        if login.username.is_empty() || login.password.is_empty() {
            return Judgement::Bad("the user name or the password for connection requests is empty");
        }
        let answer = match Answer::parse(authorization) {
            Ok(answer) => answer,
            Err(why) => return Judgement::Bad(why),
        };
        if path_of(&answer.uri) != path {
            return Judgement::Bad("its login is for another path");
        }
        let Some((nonce, given)) = self.own(&answer.nonce) else {
            return Judgement::Bad("its nonce is not one of ours");
        };
        let expected = answer.expected(login, method);
        let right = answer.username.as_bytes().ct_eq(login.username.as_bytes())
            & answer.response.to_ascii_lowercase().as_bytes().ct_eq(expected.as_bytes());
        if !bool::from(right) {
            return Judgement::Bad("wrong user name or password");
        }
        if now.saturating_sub(given) > LIFE {
            return Judgement::Stale;
        }
        let count = answer.count();
        if self.used.contains_key(&(nonce, count)) {
            return Judgement::Bad("it was used before: a replay");
        }
        Judgement::Good(Use { nonce, count, given })
    }

    /// From now on this use is a replay. False when there is no room for it.
    pub fn remember(&mut self, now: Duration, used: Use) -> bool {
        self.used.retain(|_, given| now.saturating_sub(*given) <= LIFE);
        let has_room = self.used.len() < MAX_USES;
        if has_room {
            self.used.insert((used.nonce, used.count), used.given);
        }
        has_room
    }

    fn nonce(&self, millis: u64, random: [u8; 8]) -> [u8; 32] {
        let mut nonce = [0; 32];
        let mut mac = self.mac();
        mac.update(&millis.to_be_bytes());
        mac.update(&random);
        let signature = mac.finalize().into_bytes();
        let bytes = millis.to_be_bytes().into_iter().chain(random).chain(signature);
        nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        nonce
    }

    /// A nonce that we signed, and when.
    fn own(&self, text: &str) -> Option<([u8; 32], Duration)> {
        let nonce: [u8; 32] = HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()?;
        let (millis, rest) = nonce.split_first_chunk::<8>()?;
        let (random, _) = rest.split_first_chunk::<8>()?;
        let millis = u64::from_be_bytes(*millis);
        let own = bool::from(self.nonce(millis, *random).ct_eq(&nonce));
        own.then_some((nonce, Duration::from_millis(millis)))
    }

    fn mac(&self) -> Hmac<Sha256> {
        <Hmac<Sha256> as Mac>::new(&self.key.into())
    }
}

fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// An Authorization header taken apart.
struct Answer {
    username: String,
    nonce: String,
    uri: String,
    response: String,
    /// nc and cnonce, where qop is given.
    auth: Option<(String, String)>,
}

impl Answer {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err("its login is not Digest");
        }
        let fields = fields(rest).ok_or("its login cannot be read")?;
        let get = |name: &str| fields.get(name).cloned();
        let need = |name: &str| get(name).ok_or("its login is not complete");
        if get("algorithm").is_some_and(|name| !name.eq_ignore_ascii_case("MD5")) {
            return Err("its login has another algorithm than MD5");
        }
        if need("realm")? != REALM {
            return Err("its login is for another realm");
        }
        let auth = match get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc = need("nc")?;
                let counts = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit()) && nc != "00000000";
                Some((if counts { nc } else { return Err("its nc is no count") }, need("cnonce")?))
            }
            Some(_) => return Err("its login has another qop than auth"),
        };
        Ok(Self {
            username: need("username")?,
            nonce: need("nonce")?,
            uri: need("uri")?,
            response: need("response")?,
            auth,
        })
    }

    /// The response that the right password gives.
    fn expected(&self, login: Login<'_>, method: &str) -> String {
        let secret = md5(&[login.username, REALM, login.password]);
        let request = md5(&[method, &self.uri]);
        match &self.auth {
            Some((nc, cnonce)) => md5(&[&secret, &self.nonce, nc, cnonce, "auth", &request]),
            None => md5(&[&secret, &self.nonce, &request]),
        }
    }

    /// nc; 0 without qop, which makes a nonce good for one such request.
    fn count(&self) -> u32 {
        let nc = self.auth.as_ref().and_then(|(nc, _)| u32::from_str_radix(nc, 16).ok());
        nc.unwrap_or(0)
    }
}

fn md5(parts: &[&str]) -> String {
    HEXLOWER.encode(&Md5::digest(parts.join(":")))
}

/// `name=value` and `name="value"` between commas; names in lower case. None where it is not that, or where a
/// name stands twice.
fn fields(mut text: &str) -> Option<HashMap<String, String>> {
    let mut fields = HashMap::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(fields);
        }
        let (name, rest) = text.split_once('=')?;
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (value.trim().to_owned(), rest)
            }
        };
        if !rest.trim_start().is_empty() && !rest.trim_start().starts_with(',') {
            return None;
        }
        if fields.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return None;
        }
        text = rest;
    }
}

/// What stands before the closing quote, and what after it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// The path of a request's target: without scheme, host and query.
pub fn path_of(target: &str) -> &str {
    let after_scheme =
        target.strip_prefix("http://").map(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    let path = match after_scheme {
        Some(path) => path.unwrap_or("/"),
        None => target,
    };
    path.split('?').next().unwrap_or_default()
}
