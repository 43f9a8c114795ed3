//! What every session of the device must keep to, whatever it was about: the rules of HTTP, IDs and cookies.

use super::decode;
use super::record::{Direction, Message, Session};

/// Panics with every broken rule of these sessions, schema included.
pub fn assert_kept(sessions: &[Session]) {
    let broken: Vec<String> = sessions
        .iter()
        .enumerate()
        .flat_map(|(n, session)| broken(session).into_iter().map(move |b| format!("session {}: {b}", n + 1)))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    crate::schema::assert_valid(sessions);
}

/// Every rule that this session breaks, in words.
pub fn broken(session: &Session) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut acs_id = None;
    let mut cookies: Vec<String> = Vec::new();
    for (n, message) in session.messages.iter().enumerate() {
        let kind = message.kind();
        match message.direction {
            Direction::FromAcs => {
                acs_id = decode::header_id(&message.body);
                cookies.extend(set_cookies(message));
            }
            Direction::FromCpe => {
                let mut say = |what: String| wrong.push(format!("message {n} ({kind}): {what}"));
                if (n == 0) != (kind == "Inform") {
                    say("the Inform is the first message and only the first".into());
                }
                http_rules(message, &mut say);
                if message.is_cpe_envelope() {
                    decode::beyond_the_schema(&message.body).into_iter().for_each(&mut say);
                }
                if (kind.ends_with("Response") || kind == "Fault")
                    && decode::header_id(&message.body) != acs_id
                {
                    say(format!("its ID is not the request's {acs_id:?}"));
                }
                let sent = cookies_of(message);
                let mut wanted = cookies.clone();
                wanted.sort();
                wanted.dedup();
                if sent != wanted {
                    say(format!("cookies {sent:?}, set in this session {wanted:?}"));
                }
            }
        }
    }
    wrong
}

fn http_rules(message: &Message, say: &mut impl FnMut(String)) {
    if !message.head.starts_with("POST ") || !message.head.ends_with("HTTP/1.1") {
        say(format!("not a POST of HTTP/1.1: {}", message.head));
    }
    if message.header("Expect").is_some() {
        say("it asks Expect: 100-continue".into());
    }
    if message.header("Host").is_none() {
        say("no Host".into());
    }
    if message.is_cpe_envelope() {
        if !message.header("Content-Type").is_some_and(|v| v.to_ascii_lowercase().starts_with("text/xml")) {
            say("its Content-Type is not text/xml".into());
        }
        if message.header("SOAPAction") != Some("") {
            say(format!("SOAPAction is {:?}, wanted empty", message.header("SOAPAction")));
        }
    } else {
        if message.header("Content-Length") != Some("0") {
            say("an empty POST without Content-Length: 0".into());
        }
        for header in ["SOAPAction", "Content-Type"] {
            if message.header(header).is_some() {
                say(format!("an empty POST with {header}"));
            }
        }
    }
}

/// The cookies that a message of the device carries, sorted.
pub fn cookies_of(message: &Message) -> Vec<String> {
    let all = message.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("Cookie"));
    let mut found: Vec<String> =
        all.flat_map(|(_, value)| value.split(';')).map(|pair| pair.trim().to_owned()).collect();
    found.sort();
    found
}

fn set_cookies(message: &Message) -> impl Iterator<Item = String> {
    let all = message.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("Set-Cookie"));
    all.map(|(_, value)| value.split(';').next().unwrap_or_default().trim().to_owned())
}
