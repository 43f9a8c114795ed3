//! Where a redirect of the ACS leads, and how far it is followed (HTTP-17 to HTTP-20).

use ipc_proto::{HttpUrl, url::UrlError};

/// How many redirects in a row are followed (HTTP-18).
const MAX_REDIRECTS: usize = 5;
/// The longest Location, in bytes.
const MAX_LOCATION: usize = 2048;
/// How much of a URL is shown, in characters.
const MAX_SHOWN: usize = 100;

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// A redirect without a Location.
    #[error("the ACS answers {0} and does not say where to go (Location is missing): look at its settings")]
    Nowhere(u16),
    /// A Location that is no URL of an ACS.
    #[error("the ACS redirects to a URL that cannot be used, since it {0}: look at its settings")]
    Unusable(UrlError),
    /// Longer than [`MAX_LOCATION`].
    #[error(
        "the ACS redirects to a URL of {0} bytes, at most {MAX_LOCATION} are taken: look at its settings"
    )]
    TooLong(usize),
    /// Out of TLS.
    #[error("the ACS redirects from https to http ({0}), which is not followed: look at its settings")]
    Insecure(String),
    /// To a host that the device's maker did not allow.
    #[error(
        "the ACS redirects to the host {0}, which is not one of [acs] allow_hosts: look at its settings, or add it there"
    )]
    Forbidden(String),
    /// One more than [`MAX_REDIRECTS`].
    #[error(
        "redirect loop: the ACS redirected more than {MAX_REDIRECTS} times in a row ({0}): look at its settings"
    )]
    Loop(String),
}

/// The redirects of one POST.
#[derive(Debug, Default)]
pub struct Chain(Vec<String>);

impl Chain {
    /// Where a redirect from `from` leads, or why nobody goes there.
    pub fn follow(
        &mut self,
        from: &HttpUrl,
        status: u16,
        location: Option<&str>,
        allow_hosts: &[String],
    ) -> Result<HttpUrl, RedirectError> {
        let location = location.ok_or(RedirectError::Nowhere(status))?;
        if location.len() > MAX_LOCATION {
            return Err(RedirectError::TooLong(location.len()));
        }
        let to = resolve(from, location).map_err(RedirectError::Unusable)?;
        if from.is_https() && !to.is_https() {
            return Err(RedirectError::Insecure(shown(&to)));
        }
        if !allow_hosts.is_empty() && !allow_hosts.iter().any(|host| host.eq_ignore_ascii_case(to.host())) {
            return Err(RedirectError::Forbidden(to.host().chars().take(MAX_SHOWN).collect()));
        }
        self.0.push(shown(from));
        if self.0.len() > MAX_REDIRECTS {
            self.0.push(shown(&to));
            return Err(RedirectError::Loop(self.0.join(" -> ")));
        }
        Ok(to)
    }
}

/// A Location, which may be relative to the URL that was asked (RFC 3986, 5.2).
fn resolve(base: &HttpUrl, location: &str) -> Result<HttpUrl, UrlError> {
    let location = location.trim();
    let location = location.split_once('#').map_or(location, |(before, _)| before);
    let scheme = if base.is_https() { "https" } else { "http" };
    let path = base.path_and_query().split('?').next().unwrap_or_default();
    let before_slash = location.split(['/', '?']).next().unwrap_or_default();
    let text = if before_slash.contains(':') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.is_empty() {
        base.as_str().to_owned()
    } else {
        let (target, query) = location.split_once('?').map_or((location, None), |(t, q)| (t, Some(q)));
        let target = match target {
            "" => path.to_owned(),
            absolute if absolute.starts_with('/') => without_dots(absolute),
            relative => {
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                without_dots(&format!("{directory}/{relative}"))
            }
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{}{target}{query}", base.authority())
    };
    HttpUrl::parse_any_length(&text)
}

/// An absolute path with its `.` and `..` carried out.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let last = parts.len().saturating_sub(1);
    for (n, part) in parts.into_iter().enumerate() {
        match part {
            ".." => drop(kept.pop()),
            "." => {}
            name => {
                kept.push(name);
                continue;
            }
        }
        if n == last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// A URL as people may see it: a query may hold a secret.
fn shown(url: &HttpUrl) -> String {
    url.as_str().split('?').next().unwrap_or_default().chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HttpUrl {
        HttpUrl::parse(text).unwrap()
    }

    fn follow(from: &str, location: &str) -> Result<String, RedirectError> {
        Chain::default().follow(&url(from), 302, Some(location), &[]).map(|to| to.as_str().to_owned())
    }

    #[test]
    fn a_location_may_be_whole_or_relative() {
        for (location, wanted) in [
            ("https://b.example/x?t=1", "https://b.example/x?t=1"),
            ("http://b.example", "http://b.example"),
            ("//b.example:81/x", "http://b.example:81/x"),
            ("/x/y?z#f", "http://a:7547/x/y?z"),
            ("y", "http://a:7547/cwmp/y"),
            ("../y/./z/..", "http://a:7547/y/"),
            ("?n=2", "http://a:7547/cwmp/in?n=2"),
            (" /x ", "http://a:7547/x"),
        ] {
            assert_eq!(follow("http://a:7547/cwmp/in?n=1", location).as_deref(), Ok(wanted), "{location}");
        }
        let long = format!("http://b/{}", "x".repeat(1000));
        assert_eq!(follow("http://a/", &long), Ok(long), "longer than a parameter");
    }

    #[test]
    fn what_is_not_followed_says_why() {
        let why = |from: &str, to: &str| follow(from, to).unwrap_err().to_string();
        assert!(why("https://a/", "http://b/x?token=s").contains("https to http (http://b/x)"));
        assert!(why("http://a/", "ftp://b/").contains("http:// or https://"));
        assert!(why("http://a/", "http://u:p@b/").contains("password"));
        assert!(why("http://a/", &"x".repeat(3000)).contains("3000 bytes"));
        let nowhere = Chain::default().follow(&url("http://a/"), 307, None, &[]).unwrap_err();
        assert!(nowhere.to_string().contains("answers 307"), "{nowhere}");
    }

    #[test]
    fn the_sixth_in_a_row_is_a_loop_that_is_shown_without_queries() {
        let mut chain = Chain::default();
        let mut at = url("http://a/0?secret=1");
        for n in 1..=5 {
            at = chain.follow(&at, 302, Some(&format!("/{n}?secret=1")), &[]).unwrap();
        }
        let error = chain.follow(&at, 302, Some("/6?secret=1"), &[]).unwrap_err().to_string();
        assert!(error.starts_with("redirect loop") && error.contains("http://a/0 -> http://a/1"), "{error}");
        assert!(error.contains("http://a/5 -> http://a/6") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_host_that_is_not_allowed_is_not_gone_to() {
        let allowed = ["ACS.example.org".to_owned()];
        let follow =
            |to: &str| Chain::default().follow(&url("http://acs.example.org/"), 302, Some(to), &allowed);
        assert!(follow("/there").is_ok() && follow("https://acs.example.org/").is_ok());
        let error = follow("http://evil.example.org/").unwrap_err().to_string();
        assert!(error.contains("evil.example.org") && error.contains("allow_hosts"), "{error}");
    }
}
