//! One ACS over HTTP/1.1: one POST at a time, one connection as long as the ACS keeps it (TR-069 3.4).

pub mod body;
mod connect;
mod cookies;
mod error;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Request,
    body::{Body, Incoming},
    header,
};
use ipc_proto::{HttpUrl, UtcTime};
use tokio::{sync::mpsc, time::timeout};

use crate::{session::Response, soap::MAX_ENVELOPE, test_points::once_sent};
use body::{Outgoing, Piece};
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

    /// Hands the ACS a piece of a message; false when it has left, which its POST then explains.
    pub async fn hand_over(self, pieces: &mpsc::Sender<Piece>, piece: Piece) -> Result<bool, HttpError> {
        let handed = timeout(self.limit(), pieces.send(piece)).await;
        Ok(handed.map_err(|_| HttpError::Stalled { seconds: self.seconds })?.is_ok())
    }

    /// This, or `seconds` if that is shorter.
    fn at_most(self, seconds: u32) -> Self {
        Self { seconds: self.seconds.min(seconds), ..self }
    }
}

/// The ACS during one session.
pub struct Acs {
    url: HttpUrl,
    /// How long it may take.
    pub patience: Patience,
    cookies: Cookies,
    open: Option<Open>,
}

impl Acs {
    /// Nothing is connected before [`Acs::connect`] or the first POST.
    pub fn new(url: HttpUrl, patience: Patience) -> Self {
        Self { url, patience, cookies: Cookies::default(), open: None }
    }

    /// Opens the connection of the first POST, and tells our address on it.
    pub async fn connect(&mut self) -> Result<Option<IpAddr>, HttpError> {
        if self.url.is_https() {
            return Err(HttpError::Https);
        }
        let open = connect::open(&self.url, self.patience).await?;
        let local = open.local;
        self.open = Some(open);
        Ok(local)
    }

    /// Sends one POST and reads the answer. The time for the answer runs from when `written` is done, which
    /// feeds a body of pieces. `point` is for tests: reached once the request is on its way.
    pub async fn post(
        &mut self,
        body: Outgoing,
        written: impl Future<Output = ()>,
        point: Option<&str>,
    ) -> Result<Response, HttpError> {
        if self.url.is_https() {
            return Err(HttpError::Https);
        }
        let mut request = self.request(body)?;
        let mut open = self.connection().await?;
        let mut written = pin!(written);
        let response = loop {
            let exchange = once_sent(point, open.sender.try_send_request(request));
            match in_time(exchange, written.as_mut(), self.patience.limit()).await {
                None => {
                    return Err(HttpError::Silent { address: open.address, seconds: self.patience.seconds });
                }
                Some(Ok(response)) => break response,
                Some(Err(mut error)) => match error.take_message() {
                    // The ACS closed a kept connection before a byte of this was written (HTTP-13).
                    Some(unsent) if open.kept => {
                        request = unsent;
                        open = connect::open(&self.url, self.patience).await?;
                    }
                    _ => return Err(HttpError::exchange(open.address, &error.into_error())),
                },
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
                open.kept = true;
                return Ok(open);
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
            answer.body = timeout(limit, read_body(body, &open)).await.map_err(|_| {
                HttpError::SlowBody { address: open.address, seconds: self.patience.seconds }
            })??;
            self.open = Some(open);
        }
        Ok(answer)
    }
}

/// The outcome of `exchange`, or none when it takes longer than `limit` after `written` is done.
async fn in_time<E: Future>(
    exchange: E,
    mut written: Pin<&mut impl Future<Output = ()>>,
    limit: Duration,
) -> Option<E::Output> {
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        // An ACS may answer before it has read all.
        early = &mut exchange => return Some(early),
        () = &mut written => {}
    }
    timeout(limit, exchange).await.ok()
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
