//! One ACS over HTTP/1.1: one POST at a time, one connection as long as the ACS keeps it (TR-069 3.4).

mod auth;
pub mod body;
mod certificate;
mod connect;
mod cookies;
mod error;
mod redirect;
#[cfg(test)]
mod tests;
mod tls;

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
use ipc_proto::{HttpUrl, UtcTime, worker};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    session::{Response, told::Told},
    soap::MAX_ENVELOPE,
    test_points::once_sent,
};
use auth::{Login, Refusals};
use body::{Outgoing, Piece};
use connect::Open;
use cookies::Cookies;
pub use error::HttpError;
use redirect::Chain;
use tls::Tls;

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
    /// Where the next POST goes: where the session began, or the last redirect led (HTTP-19).
    url: HttpUrl,
    /// How long it may take.
    pub patience: Patience,
    cookies: Cookies,
    login: Login,
    attempt: Attempt,
    trust: worker::Trust,
    /// The URL of the configuration, wherever redirects led since.
    configured: HttpUrl,
    /// Hosts that redirects may lead to; empty: any.
    allow_hosts: Vec<String>,
    clock_synchronised: bool,
    /// Made at the first connection.
    tls: Option<Tls>,
    open: Option<Open>,
    notes: Vec<Told>,
    newest: Newest,
}

/// The addresses of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Ours, if the kernel tells it.
    pub local: Option<IpAddr>,
    /// The ACS's.
    pub peer: IpAddr,
}

/// The ACS of the newest configuration, whatever the session began with.
pub type Newest = Box<dyn Fn() -> Option<worker::Acs> + Send + Sync>;

impl Acs {
    /// Nothing is connected before [`Acs::connect`] or the first POST.
    pub fn new(config: &worker::Acs, clock_synchronised: bool, patience: Patience, newest: Newest) -> Self {
        let login = Login::new(config);
        Self {
            url: config.url.clone(),
            patience,
            cookies: Cookies::default(),
            login,
            attempt: Attempt::default(),
            trust: config.trust.clone(),
            configured: config.url.clone(),
            allow_hosts: config.allow_hosts.clone(),
            clock_synchronised,
            tls: None,
            open: None,
            notes: Vec::new(),
            newest,
        }
    }

    /// What the client log should say of the connections since the last call.
    pub fn notes(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.notes)
    }

    /// Opens the connection of the first POST, and tells its ends.
    pub async fn connect(&mut self) -> Result<Ends, HttpError> {
        let open = self.fresh().await?;
        let ends = Ends { local: open.local, peer: open.address.ip().to_canonical() };
        self.open = Some(open);
        Ok(ends)
    }

    /// A new connection, over TLS where the URL says so.
    async fn fresh(&mut self) -> Result<Open, HttpError> {
        if self.url.is_https() && self.tls.is_none() {
            self.tls = Some(Tls::new(&self.trust, self.clock_synchronised)?);
        }
        connect::open(&self.url, self.tls.as_ref(), self.patience, &mut self.notes).await
    }

    /// Path and query of where the next POST goes.
    pub fn target(&self) -> &str {
        self.url.path_and_query()
    }

    /// Sends one POST, empty or of a whole message, and reads the answer: logging in where the ACS asks for it,
    /// and going where it redirects to. `point` is for tests: reached once the request is on its way.
    pub async fn post(&mut self, message: Option<Bytes>, point: Option<&str>) -> Result<Response, HttpError> {
        loop {
            let body = message.clone().map_or(Outgoing::Empty, Outgoing::Whole);
            if let Some(answer) = self.post_once(body, std::future::ready(()), point).await? {
                return Ok(answer);
            }
        }
    }

    /// The same once; none when the ACS wants it again, with a login or elsewhere. The time for the answer runs
    /// from when `written` is done, which feeds a body of pieces.
    pub async fn post_once(
        &mut self,
        body: Outgoing,
        written: impl Future<Output = ()>,
        point: Option<&str>,
    ) -> Result<Option<Response>, HttpError> {
        let mut written = Written { feeding: pin!(written), done: false };
        let request = self.request(body)?;
        let (response, open) = self.exchange(request, &mut written, point).await?;
        let status = response.status();
        let headers = response.headers().clone();
        // The next request goes where this one went: some nonces are good for one connection.
        let answer = self.answer(response, open).await?;
        if !written.done {
            // The rest of our message will never come.
            self.open = None;
        }
        match status.as_u16() {
            401 => {
                if let Err(error) = self.login.challenged(&headers, &mut self.attempt.refusals) {
                    // What was set since the session began is tried as well, once (DECISIONS 12).
                    let newest = (self.newest)().filter(|newest| newest.url == self.configured);
                    if !newest.is_some_and(|newest| self.login.renewed(newest, &error)) {
                        return Err(error.into());
                    }
                    self.attempt.refusals = Refusals::default();
                    self.login.challenged(&headers, &mut self.attempt.refusals)?;
                }
            }
            code @ (301 | 302 | 307 | 308) => {
                let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
                let to = self.attempt.redirects.follow(&self.url, code, location, &self.allow_hosts)?;
                self.go_to(to);
            }
            _ => {
                self.attempt = Attempt::default();
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// The rest of the session goes to another URL (HTTP-19). What the certificate of an https URL must say
    /// follows from the URL at each connection (HTTP-20).
    fn go_to(&mut self, to: HttpUrl) {
        tracing::info!("the ACS redirects to {}", to.authority());
        self.open = None;
        self.attempt.refusals = Refusals::default();
        if (to.is_https(), to.authority()) != (self.url.is_https(), self.url.authority()) {
            self.login.moved(to.is_https());
        }
        self.url = to;
    }

    async fn exchange(
        &mut self,
        mut request: Request<Outgoing>,
        written: &mut Written<'_, impl Future<Output = ()>>,
        point: Option<&str>,
    ) -> Result<(hyper::Response<Incoming>, Open), HttpError> {
        let mut open = self.connection().await?;
        loop {
            let exchange = once_sent(point, open.sender.try_send_request(request));
            match in_time(exchange, written, self.patience.limit()).await {
                None => {
                    return Err(HttpError::Silent { address: open.address, seconds: self.patience.seconds });
                }
                Some(Ok(response)) => return Ok((response, open)),
                Some(Err(mut error)) => match error.take_message() {
                    // The ACS closed a kept connection before a byte of this was written (HTTP-13).
                    Some(unsent) if open.kept => {
                        request = unsent;
                        open = self.fresh().await?;
                    }
                    _ => return Err(HttpError::exchange(open.address, &error.into_error())),
                },
            }
        }
    }

    fn request(&mut self, body: Outgoing) -> Result<Request<Outgoing>, HttpError> {
        let mut request = Request::post(self.url.path_and_query())
            .header(header::HOST, self.url.authority())
            .header(header::USER_AGENT, USER_AGENT);
        if let Outgoing::Empty = body {
            // Hyper would leave it out (HTTP-06).
            request = request.header(header::CONTENT_LENGTH, 0);
        } else {
            request = request.header(header::CONTENT_TYPE, SOAP_TYPE).header("SOAPAction", "");
        }
        if let Some(cookies) = self.cookies.header(self.url.host()) {
            request = request.header(header::COOKIE, cookies);
        }
        let known = match &body {
            Outgoing::Empty => Some(Bytes::new()),
            Outgoing::Whole(bytes) => Some(bytes.clone()),
            Outgoing::Pieces(_) => None,
        };
        if let Some(login) = self.login.authorization(self.url.path_and_query(), known.as_deref())? {
            request = request.header(header::AUTHORIZATION, login);
        }
        Ok(request.body(body)?)
    }

    /// The kept connection, if the ACS has not closed it since, else a new one.
    async fn connection(&mut self) -> Result<Open, HttpError> {
        if let Some(mut open) = self.open.take() {
            // Lets the connection's task see an end that has arrived already.
            tokio::task::yield_now().await;
            // One whose last message the ACS did not read to its end never is.
            if let Ok(Ok(())) = timeout(self.patience.limit(), open.sender.ready()).await {
                open.kept = true;
                return Ok(open);
            }
        }
        self.fresh().await
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
                self.cookies.set(self.url.host(), cookie, now);
            }
        }
        let text = |name| head.headers.get(name).and_then(|v| v.to_str().ok());
        let shown = |text: &str| text.chars().take(200).collect::<String>();
        let mut answer = Response {
            status: head.status.as_u16(),
            challenge: text(header::PROXY_AUTHENTICATE).map(shown),
            body: Bytes::new(),
        };
        // Other bodies mean nothing, and their connection is closed with them.
        if matches!(answer.status, 200 | 204 | 401 | 500) {
            let limit = self.patience.limit();
            answer.body = timeout(limit, read_body(body, &open)).await.map_err(|_| {
                HttpError::SlowBody { address: open.address, seconds: self.patience.seconds }
            })??;
            self.open = Some(open);
        }
        Ok(answer)
    }
}

/// What came of one message so far: the ACS may ask for it more than once.
#[derive(Debug, Default)]
struct Attempt {
    refusals: Refusals,
    redirects: Chain,
}

/// What feeds a body, and whether it is done.
struct Written<'a, F> {
    feeding: Pin<&'a mut F>,
    done: bool,
}

/// The outcome of `exchange`, or none when it takes longer than `limit` after all is written.
async fn in_time<E: Future>(
    exchange: E,
    written: &mut Written<'_, impl Future<Output = ()>>,
    limit: Duration,
) -> Option<E::Output> {
    let mut exchange = pin!(exchange);
    if !written.done {
        tokio::select! {
            biased;
            // An ACS may answer before it has read all.
            early = &mut exchange => return Some(early),
            () = &mut written.feeding => written.done = true,
        }
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
