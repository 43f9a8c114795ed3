//! The URL of an ACS: http or https, with a host, at most 256 characters (TR-181 ManagementServer.URL).

use std::{fmt, net::Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::check_chars;

/// The longest URL that the data model holds, in characters.
pub const MAX_URL: usize = 256;

/// An absolute http or https URL without user information or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    uri: http::Uri,
    target: String,
}

/// Why a text is not the URL of an ACS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Over [`MAX_URL`].
    #[error("{0} characters, at most {MAX_URL} are allowed")]
    TooLong(usize),
    /// Another scheme, or none.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// No host, or a port out of range.
    #[error("needs a host name or address, and a port from 1 to 65535 if one is given")]
    Host,
    /// `user:password@` has settings of its own.
    #[error("must not hold a user name or password: set cwmp.acs_username and cwmp.acs_password")]
    UserInfo,
    /// A character that no URL may hold.
    #[error("holds a character that a URL may not hold: write it as %XX")]
    Character,
}

impl HttpUrl {
    /// Checks and takes a URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check_chars(text, MAX_URL).map_err(|e| UrlError::TooLong(e.found))?;
        Self::parse_any_length(text)
    }

    /// The same for a URL that no parameter will hold, such as where an ACS redirects to; its length is the
    /// caller's to bound.
    pub fn parse_any_length(text: &str) -> Result<Self, UrlError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(UrlError::Scheme);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('#') {
            return Err(UrlError::Character);
        }
        let uri: http::Uri = text.parse().map_err(|_| UrlError::Host)?;
        let authority = uri.authority().ok_or(UrlError::Host)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port_fits = after_host.is_empty() || authority.port_u16().is_some_and(|p| p > 0);
        let host_fits = match authority.host().strip_prefix('[') {
            Some(literal) => literal.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
            None => !authority.host().is_empty(),
        };
        if !host_fits || !port_fits {
            return Err(UrlError::Host);
        }
        // Display puts the `/` before a query that follows the host: `http://acs?x`.
        let target = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { text: text.to_owned(), uri, target })
    }

    /// The URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for https.
    pub fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&http::uri::Scheme::HTTPS)
    }

    /// The host for a name look-up: an IPv6 literal without its brackets.
    pub fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, 80 or 443 where none is given.
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Host and port as the Host header wants them.
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", |a| a.as_str())
    }

    /// What the request line wants; `/` when there is no path.
    pub fn path_and_query(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for HttpUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_http_and_https_with_defaults() {
        let url = HttpUrl::parse("https://acs.example.org/cwmp?x=1").unwrap();
        assert_eq!((url.host(), url.port(), url.path_and_query()), ("acs.example.org", 443, "/cwmp?x=1"));
        let url = HttpUrl::parse("http://[2001:db8::1]:7547").unwrap();
        assert_eq!((url.host(), url.port(), url.path_and_query()), ("2001:db8::1", 7547, "/"));
        assert_eq!(url.authority(), "[2001:db8::1]:7547");
        let url = HttpUrl::parse("http://acs?x=1").unwrap();
        assert_eq!((url.authority(), url.path_and_query()), ("acs", "/?x=1"));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| HttpUrl::parse(text).unwrap_err();
        assert_eq!(error("ftp://acs/"), UrlError::Scheme);
        assert_eq!(error("acs.example.org"), UrlError::Scheme);
        assert_eq!(error("http://"), UrlError::Host);
        assert_eq!(error("http:///cwmp"), UrlError::Host);
        assert_eq!(error("http://acs:70000/"), UrlError::Host);
        assert_eq!(error("http://acs:0/"), UrlError::Host);
        assert_eq!(error("http://[]/"), UrlError::Host);
        assert_eq!(error("http://[acs]/"), UrlError::Host);
        assert_eq!(error("http://u:p@acs/"), UrlError::UserInfo);
        assert_eq!(error("http://acs/a b"), UrlError::Character);
        assert_eq!(error("http://acs/\r\nX: y"), UrlError::Character);
        assert_eq!(error(&format!("http://acs/{}", "x".repeat(256))), UrlError::TooLong(267));
    }
}
