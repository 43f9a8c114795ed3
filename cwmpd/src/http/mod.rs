//! One ACS over HTTP/1.1: one POST at a time, one connection as long as the ACS keeps it (TR-069 3.4).

pub mod body;
mod connect;
mod cookies;
mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Request,
    body::{Body, Incoming},
    header,
};
use ipc_proto::{HttpUrl, UtcTime};
use tokio::time::timeout;

use crate::{
    session::Response,
    soap::MAX_ENVELOPE,
    test_points::once_sent,
};
use body::Outgoing;
use connect::Open;
use cookies::Cookies;
pub use error::HttpError;

const USER_AGENT: &str = concat!("cwmpd/", env!("CARGO_PKG_VERSION"));
const SOAP_TYPE: &str = "text/xml; charset=\"utf-8\"";

/// How long to wait for the ACS.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In CWMP seconds, as people know it.
    pub seconds: u32,
    /// How long such a second lasts.
    pub second: Duration,
}

impl Patience {
    fn limit(self) -> Duration {
        self.second.saturating_mul(self.seconds.max(1))
    }

    /// This, or `seconds` if that is shorter.
    fn at_most(self, seconds: u32) -> Self {
        Self { seconds: self.seconds.min(seconds), ..self }
    }
}

/// The ACS during one session.
pub struct Acs {
    url: HttpUrl,
    patience: Patience,
    cookies: Cookies,
    open: Option<Open>,
}

impl Acs {
    /// Nothing is connected before the first POST.
    pub fn new(url: HttpUrl, patience: Patience) -> Self {
        Self { url, patience, cookies: Cookies::default(), open: None }
    }

    /// Sends one POST and reads the answer. `point` is for tests: reached once the request is on its way.
    pub async fn post(&mut self, body: Outgoing, point: Option<&str>) -> Result<Response, HttpError> {
        if self.url.is_https() {
            return Err(HttpError::Https);
        }
        let mut request = self.request(body)?;
        let mut open = self.connection().await?;
        let limit = self.patience.limit();
        let response = loop {
            let exchange = once_sent(point, open.sender.try_send_request(request));
            match timeout(limit, exchange).await {
                Err(_) => {
                    return Err(HttpError::Silent { address: open.address, seconds: self.patience.seconds });
                }
                Ok(Ok(response)) => break response,
                // The ACS closed a kept connection before a byte of this was written (HTTP-13).
                Ok(Err(mut error)) if open.kept && error.message().is_some() => match error.take_message() {
                    Some(unsent) => {
                        request = unsent;
                        open = connect::open(&self.url, self.patience).await?;
                    }
                    None => return Err(HttpError::exchange(open.address, &error.into_error())),
                },
                Ok(Err(error)) => return Err(HttpError::exchange(open.address, &error.into_error())),
            }
        };
        self.answer(response, open).await
    }

    fn request(&self, body: Outgoing) -> Result<Request<Outgoing>, http::Error> {
        let mut request = Request::post(self.url.path_and_query())
            .header(header::HOST, self.url.authority())
            .header(header::USER_AGENT, USER_AGENT);
        if let Outgoing::Empty = body {
            // Hyper would leave it out (HTTP-06).
            request = request.header(header::CONTENT_LENGTH, 0);
        } else {
            request = request.header(header::CONTENT_TYPE, SOAP_TYPE).header("SOAPAction", "");
        }
        if let Some(cookies) = self.cookies.header() {
            request = request.header(header::COOKIE, cookies);
        }
        request.body(body)
    }

    /// The kept connection, if the ACS has not closed it since, else a new one.
    async fn connection(&mut self) -> Result<Open, HttpError> {
        if let Some(mut open) = self.open.take() {
            // Lets the connection's task see an end that has arrived already.
            tokio::task::yield_now().await;
            if open.sender.ready().await.is_ok() {
                return Ok(Open { kept: true, ..open });
            }
        }
        connect::open(&self.url, self.patience).await
    }

    async fn answer(
        &mut self,
        response: hyper::Response<Incoming>,
        open: Open,
    ) -> Result<Response, HttpError> {
        let (head, body) = response.into_parts();
        let now = UtcTime::now();
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            if let Ok(cookie) = cookie.to_str() {
                self.cookies.set(cookie, now);
            }
        }
        let text = |name| head.headers.get(name).and_then(|v| v.to_str().ok());
        let shown = |text: &str| text.chars().take(200).collect::<String>();
        let mut answer = Response {
            status: head.status.as_u16(),
            location: text(header::LOCATION).map(shown),
            challenge: text(header::WWW_AUTHENTICATE).or(text(header::PROXY_AUTHENTICATE)).map(shown),
            body: Bytes::new(),
        };
        // Other bodies mean nothing, and their connection is closed with them.
        if matches!(answer.status, 200 | 204 | 500) {
            let limit = self.patience.limit();
            answer.body = timeout(limit, read_body(body, &open)).await.map_err(|_| HttpError::SlowBody {
                address: open.address,
                seconds: self.patience.seconds,
            })??;
            self.open = Some(open);
        }
        Ok(answer)
    }
}

async fn read_body(mut body: Incoming, open: &Open) -> Result<Bytes, HttpError> {
    if body.size_hint().lower() > MAX_ENVELOPE as u64 {
        return Err(HttpError::BodyTooLarge(open.address));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| HttpError::exchange(open.address, &e))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > MAX_ENVELOPE {
            return Err(HttpError::BodyTooLarge(open.address));
        }
        // Most bodies come in one piece, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
