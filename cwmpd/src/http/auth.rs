//! The login to the ACS: answers to its challenges, Digest before Basic, one login a session (TR-069 3.4.4).

use data_encoding::HEXLOWER;
use http_auth::{
    BasicClient, ChallengeParser, ChallengeRef, DigestClient, PasswordParams,
    digest::{Algorithm, Qop},
};
use hyper::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use ipc_proto::{Secret, worker::Acs};
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

/// How many fresh nonces are taken for one request.
const MAX_STALE: u32 = 3;
/// The longest text of the ACS that is repeated to people, in characters.
const MAX_SHOWN: usize = 100;

/// Why there is no login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// A 401 that asks for nothing.
    #[error(
        "the ACS answers 401 and does not say how to log in (WWW-Authenticate is missing): look at its settings"
    )]
    NoChallenge,
    /// Challenges of which none can be answered.
    #[error(
        "the ACS asks for a login in a way that cannot be answered ({0}): set it to HTTP Digest or Basic"
    )]
    Unusable(String),
    /// Nothing to answer with.
    #[error("the ACS asks for a login (realm {0}): set cwmp.acs_username and cwmp.acs_password")]
    NoUser(String),
    /// The password would be readable on the way.
    #[error(
        "the ACS asks for the password unencrypted (Basic over http, realm {0}): use an https URL, or set [acs] allow_basic_http = true"
    )]
    BasicOverHttp(String),
    /// Another 401 to our answer.
    #[error("the ACS refuses the login (realm {0}): check cwmp.acs_username and cwmp.acs_password")]
    Refused(String),
    /// Never the right nonce.
    #[error("the ACS calls each of its nonces stale at once (realm {0}): look at its log")]
    AlwaysStale(String),
    /// What is sent in pieces has no hash before it is sent.
    #[error(
        "the ACS asks for a login that covers the message (auth-int), and the answer is too large for that (realm {0}): set it to qop auth"
    )]
    NotHashable(String),
    /// Characters that no header may hold.
    #[error("the login cannot be sent ({0}): check cwmp.acs_username and cwmp.acs_password")]
    Unsendable(String),
}

/// What was asked and how it is answered, for one session.
#[derive(Debug)]
pub struct Login {
    username: String,
    password: Secret,
    /// Basic may be answered.
    basic_allowed: bool,
    scheme: Option<Scheme>,
    /// These are not the credentials of the session's begin any more.
    renewed: bool,
}

/// A challenge that can be answered.
#[derive(Debug)]
enum Scheme {
    Digest { client: DigestClient, cnonce: String },
    Basic { realm: String },
}

/// The 401s of one request.
#[derive(Debug, Default)]
pub struct Refusals {
    answered: bool,
    stale: u32,
}

impl Login {
    /// For the ACS as it is configured; nothing is sent before it asks (AUTH-02).
    pub fn new(acs: &Acs) -> Self {
        Self {
            username: acs.username.clone(),
            password: acs.password.clone(),
            basic_allowed: acs.allow_basic_http || acs.url.is_https(),
            scheme: None,
            renewed: false,
        }
    }

    /// Takes the credentials of a newer configuration after that refusal; false when there are no other ones, or
    /// they were taken before.
    pub fn renewed(&mut self, newest: Acs, error: &LoginError) -> bool {
        let refused = matches!(error, LoginError::Refused(_) | LoginError::NoUser(_));
        let others = newest.username != self.username || newest.password != self.password;
        if self.renewed || !refused || !others {
            return false;
        }
        (self.username, self.password) = (newest.username, newest.password);
        self.renewed = true;
        true
    }

    /// The Authorization of the next request, once the ACS has asked; `body` where it is at hand.
    pub fn authorization(
        &mut self,
        uri: &str,
        body: Option<&[u8]>,
    ) -> Result<Option<HeaderValue>, LoginError> {
        let text = match &mut self.scheme {
            None => return Ok(None),
            Some(Scheme::Basic { .. }) => {
                http_auth::basic::encode_credentials(&self.username, self.password.expose())
            }
            Some(Scheme::Digest { client, cnonce }) => {
                // With a body http-auth would choose auth-int even where auth is offered.
                let auth_int = !(client.qop() & Qop::Auth);
                if auth_int && body.is_none() {
                    return Err(LoginError::NotHashable(shown(client.realm())));
                }
                // http-auth 0.1 puts the body itself into A2, where RFC 7616 3.4.3 wants its hash.
                let hashed = body.filter(|_| auth_int).map(|body| hash(client.algorithm(), body));
                let body = hashed.as_deref().map(str::as_bytes);
                let password = self.password.expose();
                let question =
                    PasswordParams { username: &self.username, password, uri, method: "POST", body };
                // One cnonce for all of a nonce: with a new one for each, MD5-sess servers lose count.
                client.respond_with_testing_cnonce(&question, cnonce).map_err(LoginError::Unsendable)?
            }
        };
        let mut value =
            HeaderValue::from_str(&text).map_err(|error| LoginError::Unsendable(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Takes in the challenges of a 401, or says why the session cannot go on.
    pub fn challenged(&mut self, headers: &HeaderMap, refusals: &mut Refusals) -> Result<(), LoginError> {
        let (scheme, stale) = choose(headers)?;
        let realm = shown(scheme.realm());
        if stale && self.scheme.is_some() {
            refusals.stale += 1;
            if refusals.stale > MAX_STALE {
                return Err(LoginError::AlwaysStale(realm));
            }
        } else if std::mem::replace(&mut refusals.answered, true) {
            return Err(LoginError::Refused(realm));
        }
        if self.username.is_empty() {
            return Err(LoginError::NoUser(realm));
        }
        if matches!(scheme, Scheme::Basic { .. }) && !self.basic_allowed {
            return Err(LoginError::BasicOverHttp(realm));
        }
        self.scheme = Some(scheme);
        Ok(())
    }

    /// The next request goes to another host, which has to ask for itself. From https nothing goes back to http.
    pub fn moved(&mut self, to_https: bool) {
        self.scheme = None;
        self.basic_allowed |= to_https;
    }
}

impl Scheme {
    fn realm(&self) -> &str {
        match self {
            Self::Digest { client, .. } => client.realm(),
            Self::Basic { realm } => realm,
        }
    }

    /// Lower is better: SHA-256, then MD5, then what is left of Digest, then Basic.
    fn rank(&self) -> u8 {
        match self {
            Self::Digest { client, .. } => match client.algorithm() {
                Algorithm::Sha256 => 0,
                Algorithm::Md5 => 1,
                _ => 2,
            },
            Self::Basic { .. } => 3,
        }
    }
}

/// The best of all challenges that can be answered, and whether it says that our nonce was only old.
fn choose(headers: &HeaderMap) -> Result<(Scheme, bool), LoginError> {
    let mut best: Option<(Scheme, bool)> = None;
    let mut why_not = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let text = String::from_utf8_lossy(header.as_bytes());
        for challenge in ChallengeParser::new(&text) {
            let read = challenge.map_err(|_| "its WWW-Authenticate is malformed".to_owned());
            match read.and_then(|challenge| scheme_of(&challenge)) {
                Ok((scheme, stale)) => {
                    if best.as_ref().is_none_or(|(best, _)| scheme.rank() < best.rank()) {
                        best = Some((scheme, stale));
                    }
                }
                Err(why) => why_not = why_not.or(Some(why)),
            }
        }
    }
    match (best, why_not) {
        (Some(best), _) => Ok(best),
        (None, Some(why)) => Err(LoginError::Unusable(shown(&why))),
        (None, None) => Err(LoginError::NoChallenge),
    }
}

fn scheme_of(challenge: &ChallengeRef<'_>) -> Result<(Scheme, bool), String> {
    if challenge.scheme.eq_ignore_ascii_case("Digest") {
        let client = DigestClient::try_from(challenge)?;
        let stale = client.stale();
        return Ok((Scheme::Digest { client, cnonce: cnonce()? }, stale));
    }
    if challenge.scheme.eq_ignore_ascii_case("Basic") {
        let client = BasicClient::try_from(challenge)?;
        return Ok((Scheme::Basic { realm: client.realm().to_owned() }, false));
    }
    Err(format!("unknown scheme {}", challenge.scheme))
}

fn hash(algorithm: Algorithm, body: &[u8]) -> String {
    match algorithm {
        Algorithm::Sha256 => HEXLOWER.encode(&Sha256::digest(body)),
        Algorithm::Sha512Trunc256 => HEXLOWER.encode(&Sha512_256::digest(body)),
        _ => HEXLOWER.encode(&Md5::digest(body)),
    }
}

/// 128 random bits.
fn cnonce() -> Result<String, String> {
    let high = getrandom::u64().map_err(|error| error.to_string())?;
    let low = getrandom::u64().map_err(|error| error.to_string())?;
    Ok(format!("{high:016x}{low:016x}"))
}

/// A text of the ACS as people and terminals may see it.
fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(clean).take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_proto::{HttpUrl, worker::Trust};

    const URI: &str = "/cwmp";

    fn login(username: &str, password: &str, allow_basic_http: bool) -> Login {
        Login::new(&Acs {
            url: HttpUrl::parse("http://acs/cwmp").unwrap(),
            response_timeout: 30,
            username: username.to_owned(),
            password: Secret::new(password),
            allow_hosts: Vec::new(),
            allow_basic_http,
            trust: Trust::default(),
            max_version: ipc_proto::CwmpVersion::default(),
            session_timeout: 60,
            lenient: true,
        })
    }

    fn headers(challenges: &[&str]) -> HeaderMap {
        challenges.iter().map(|text| (WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())).collect()
    }

    /// What the first POST after these challenges carries.
    fn answer(challenges: &[&str]) -> Result<String, LoginError> {
        let mut login = login("Mufasa", "Circle of Life", true);
        login.challenged(&headers(challenges), &mut Refusals::default())?;
        Ok(sent(&mut login))
    }

    fn sent(login: &mut Login) -> String {
        login.authorization(URI, Some(b"")).unwrap().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_is_sent_before_the_acs_asks() {
        assert_eq!(login("u", "p", true).authorization(URI, None), Ok(None));
    }

    #[test]
    fn the_best_of_all_challenges_is_answered() {
        let md5 = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5";
        let sess = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5-sess";
        let sha = "Digest realm=\"r\", nonce=\"n\", qop=\"auth,auth-int\", algorithm=SHA-256";
        let basic = "Basic realm=\"r\"";
        assert!(answer(&[basic, md5, sha]).unwrap().contains("algorithm=SHA-256"));
        assert!(answer(&[&format!("{basic}, {md5}")]).unwrap().contains("algorithm=MD5"));
        assert!(answer(&[&format!("Negotiate, {sess}")]).unwrap().contains("algorithm=MD5-sess"));
        assert!(answer(&[sha]).unwrap().contains("qop=auth,"));
        assert_eq!(answer(&[basic, "NTLM"]).unwrap(), "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl");
        let integrity = "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"";
        assert!(answer(&[integrity]).unwrap().contains("qop=auth-int"));
        let old = answer(&["Digest realm=\"r\", nonce=\"n\""]).unwrap();
        assert!(!old.contains("qop") && !old.contains("nc="), "{old}");
    }

    #[test]
    fn what_cannot_be_answered_is_named() {
        let why = |challenge: &str| answer(&[challenge]).unwrap_err().to_string();
        assert!(why("Digest nonce=\"n\"").contains("realm"), "{}", why("Digest nonce=\"n\""));
        assert!(why("Basic").contains("realm"));
        assert!(why("Digest realm=\"r\", nonce=\"a\", nonce=\"b\"").contains("duplicate"));
        assert!(why("Digest realm=\"r\", nonce=\"n\", algorithm=SHA3").contains("SHA3"));
        assert!(why("Digest realm=\"r\", nonce=\"n\", qop=\"other\"").contains("qop"));
        assert!(why("Negotiate").contains("Negotiate"));
        assert_eq!(answer(&[]), Err(LoginError::NoChallenge));
    }

    #[test]
    fn the_vectors_of_rfc_7616_come_out() {
        // RFC 7616 has its examples as GETs; these are POSTs of the same, computed with another program.
        let challenge = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        for (algorithm, response) in [("MD5", MD5_RESPONSE), ("SHA-256", SHA_RESPONSE)] {
            let text = challenge(algorithm);
            let parsed = ChallengeParser::new(&text).next().unwrap().unwrap();
            let client = DigestClient::try_from(&parsed).unwrap();
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned();
            let mut login = login("Mufasa", "Circle of Life", true);
            login.scheme = Some(Scheme::Digest { client, cnonce });
            let got = login.authorization("/dir/index.html", None).unwrap().unwrap();
            let got = got.to_str().unwrap();
            assert!(got.contains(&format!("response=\"{response}\"")), "{got}");
            assert!(got.contains("opaque=\"FQhe/"), "{got}");
        }
    }

    const MD5_RESPONSE: &str = "6f31d8ff6361bb27783b6ac62b999535";
    const SHA_RESPONSE: &str = "b85bfcaae378db6f6d75b1706062ac3d66fec2dd3d0082d77885522866488dac";

    #[test]
    fn nc_counts_and_the_cnonce_stays() {
        let mut login = login("u", "p", true);
        let challenge = headers(&["Digest realm=\"r\", nonce=\"n\", qop=\"auth\""]);
        login.challenged(&challenge, &mut Refusals::default()).unwrap();
        let field = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!(" {name}=")).unwrap();
            rest.split(',').next().unwrap().to_owned()
        };
        let (first, second) = (sent(&mut login), sent(&mut login));
        assert_eq!((field(&first, "nc"), field(&second, "nc")), ("00000001".into(), "00000002".into()));
        assert_eq!(field(&first, "cnonce"), field(&second, "cnonce"));
        assert_ne!(field(&first, "response"), field(&second, "response"));
    }

    #[test]
    fn a_stale_nonce_is_no_wrong_password_and_a_fresh_one_is() {
        let mut login = login("u", "p", true);
        let fresh = headers(&["Digest realm=\"home\", nonce=\"n\", qop=\"auth\""]);
        let stale = headers(&["Digest realm=\"home\", nonce=\"m\", qop=\"auth\", stale=TRUE"]);
        let mut refusals = Refusals::default();
        login.challenged(&fresh, &mut refusals).unwrap();
        login.challenged(&stale, &mut refusals).unwrap();
        assert!(sent(&mut login).contains("nonce=\"m\""));
        assert_eq!(login.challenged(&fresh, &mut refusals), Err(LoginError::Refused("home".into())));
        // A later request that is challenged anew is answered once more.
        let mut refusals = Refusals::default();
        login.challenged(&fresh, &mut refusals).unwrap();
        (0..MAX_STALE).for_each(|_| login.challenged(&stale, &mut refusals).unwrap());
        assert_eq!(login.challenged(&stale, &mut refusals), Err(LoginError::AlwaysStale("home".into())));
    }

    #[test]
    fn no_user_and_no_basic_say_what_to_set() {
        let basic = headers(&["Basic realm=\"home\""]);
        let Err(error) =
            login("", "", true).challenged(&headers(&["Basic realm=\"home\""]), &mut Refusals::default())
        else {
            panic!()
        };
        assert_eq!(
            error.to_string(),
            "the ACS asks for a login (realm home): set cwmp.acs_username and cwmp.acs_password"
        );
        let error = login("u", "p", false).challenged(&basic, &mut Refusals::default()).unwrap_err();
        assert!(error.to_string().contains("allow_basic_http"), "{error}");
    }
}
