//! The cookies of one session: kept over its connections, gone with it (HTTP-14 to HTTP-16, RFC 6265).

use ipc_proto::UtcTime;

/// How many cookies are kept.
const MAX_COOKIES: usize = 20;
/// The longest name and value together, in bytes.
const MAX_COOKIE: usize = 4096;

/// What the ACS asked to be told again, for one session. A host gets back what it set, whatever Path and Domain say.
#[derive(Debug, Default)]
pub struct Cookies(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    host: String,
    name: String,
    value: String,
}

impl Cookies {
    /// Takes in one Set-Cookie header of a host.
    pub fn set(&mut self, host: &str, header: &str, now: UtcTime) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > MAX_COOKIE {
            return;
        }
        self.0.retain(|kept| kept.name != name || kept.host != host);
        if is_over(parts, now) || self.0.len() >= MAX_COOKIES {
            return;
        }
        self.0.push(Cookie { host: host.to_owned(), name: name.to_owned(), value: value.to_owned() });
    }

    /// The Cookie header for a host, if there is anything to say.
    pub fn header(&self, host: &str) -> Option<String> {
        let kept = self.0.iter().filter(|cookie| cookie.host == host);
        let pairs: Vec<_> = kept.map(|Cookie { name, value, .. }| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// True when the attributes say that the cookie is over; Max-Age wins over Expires (RFC 6265, 5.3).
fn is_over<'a>(attributes: impl Iterator<Item = &'a str>, now: UtcTime) -> bool {
    let mut expired = false;
    for attribute in attributes {
        let Some((name, value)) = attribute.split_once('=') else { continue };
        let value = value.trim();
        if name.trim().eq_ignore_ascii_case("max-age") {
            if let Ok(seconds) = value.parse::<i64>() {
                return seconds <= 0;
            }
        } else if name.trim().eq_ignore_ascii_case("expires") {
            let date = jiff::fmt::rfc2822::parse(&value.replace('-', " "));
            expired = date.is_ok_and(|at| at.timestamp().as_millisecond() <= now.millis());
        }
    }
    expired
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcTime = UtcTime::from_millis(1_750_000_000_000);

    fn cookies(headers: &[&str]) -> Option<String> {
        let mut cookies = Cookies::default();
        headers.iter().for_each(|header| cookies.set("acs", header, NOW));
        cookies.header("acs")
    }

    #[test]
    fn several_are_sent_in_one_header() {
        let sent = cookies(&["JSESSIONID=a=b; Path=/; HttpOnly", "t=\"x y\"", "empty="]);
        assert_eq!(sent.as_deref(), Some("JSESSIONID=a=b; t=\"x y\"; empty="));
        assert_eq!(cookies(&[]), None);
    }

    #[test]
    fn no_host_gets_the_cookies_of_another() {
        let mut cookies = Cookies::default();
        cookies.set("a", "s=1", NOW);
        cookies.set("b", "s=2", NOW);
        assert_eq!(cookies.header("a").as_deref(), Some("s=1"));
        assert_eq!(cookies.header("b").as_deref(), Some("s=2"));
        assert_eq!(cookies.header("c"), None);
    }

    #[test]
    fn a_new_value_replaces_the_old() {
        assert_eq!(cookies(&["a=1", "b=2", "a=3"]).as_deref(), Some("b=2; a=3"));
    }

    #[test]
    fn max_age_and_expires_delete() {
        assert_eq!(cookies(&["a=1", "a=; Max-Age=0"]), None);
        assert_eq!(cookies(&["a=1", "a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]), None);
        assert_eq!(cookies(&["a=1", "a=x; expires=Thu, 01-Jan-1970 00:00:00 GMT"]), None);
        assert_eq!(
            cookies(&["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"]).as_deref(),
            Some("a=1")
        );
        assert_eq!(cookies(&["a=1; Expires=whenever"]).as_deref(), Some("a=1"));
    }

    #[test]
    fn number_and_size_have_limits() {
        let many: Vec<_> = (0..100).map(|n| format!("c{n}=v")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(cookies(&many).unwrap().split("; ").count(), MAX_COOKIES);
        assert_eq!(cookies(&[&format!("a={}", "x".repeat(5000))]), None);
        let large = format!("a={}", "x".repeat(4000));
        assert_eq!(cookies(&[&large]), Some(large.clone()));
        assert_eq!(cookies(&["no pair", "=x", ""]), None);
    }
}
