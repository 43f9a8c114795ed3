//! One session on the wire: the pure machine's actions carried out, its pages pumped.

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use ipc_proto::{
    UtcTime,
    worker::{
        Acs as AcsConfig, ClientLine, Failure, Outcome, Page, Query, Reply, Report, SessionId, SessionOpened,
        Stage, Why, WorkerConfig,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::SessionEnd;
use crate::{
    http::{
        Acs, HttpError, Patience,
        body::{Outgoing, Piece},
    },
    link::{Link, LinkLost},
    rpc::list_answer::{ListAnswer, PageError},
    session::{
        self, Answer, Cx, Post, Response, Session,
        told::{Told, clean},
    },
    test_points::reach,
};

/// An answer up to this size is sent with its length, a larger one in chunks (DECISIONS 40).
const WHOLE_ANSWER: usize = 1024 * 1024;

/// One session, with the configuration of its start (DECISIONS 12).
pub async fn run_session(
    link: Link,
    mut configs: watch::Receiver<Option<Arc<WorkerConfig>>>,
    why: Why,
    id: watch::Sender<Option<SessionId>>,
) -> SessionEnd {
    // Connected first: the supervisor makes the Inform of our address on the connection (DECISIONS 20).
    let (config, acs, connected) = loop {
        let config = configs.borrow_and_update().clone();
        let Some((config, acs)) = config.and_then(|config| Some((config.clone(), config.acs.clone()?)))
        else {
            return SessionEnd::NoAcs;
        };
        let of_another =
            |new: &Option<Arc<WorkerConfig>>| new.as_ref().is_none_or(|new| new.acs.as_ref() != Some(&acs));
        tokio::select! {
            biased;
            // What the next Inform says is not for the ACS that we were going to.
            _ = configs.wait_for(of_another) => {}
            connected = connect(&config, &acs) => break (config, acs, connected),
        }
    };
    let local = connected.as_ref().ok().and_then(|(_, local)| *local);
    let opened = match link.query(Query::OpenSession { why, local }).await {
        Err(LinkLost) => return SessionEnd::LinkLost,
        Ok(Reply::SessionOpened(opened)) => opened,
        Ok(Reply::Fault(fault)) => {
            tracing::warn!("the supervisor refuses a session: {}", fault.text);
            return SessionEnd::Refused(why);
        }
        Ok(_) => {
            tracing::warn!("the supervisor refuses a session");
            return SessionEnd::Refused(why);
        }
    };
    let session = opened.session;
    id.send_replace(Some(session));
    reach("worker.session-opened");
    tracing::info!(session = session.0, ?why, url = %acs.url, "session with the ACS");
    let started = Instant::now();
    tell(&link, session, opening(why, &opened), None);
    let seconds = config.timing.session_max_s;
    let conversation = async {
        let (open, _) = connected?;
        converse(&link, &acs, open, &opened).await
    };
    let outcome = match timeout(Duration::from_secs(seconds.into()), conversation).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(Broken::Link)) => return SessionEnd::LinkLost,
        Ok(Err(Broken::Session(failure))) => Outcome::Failed(failure),
        Err(_) => {
            let reason =
                format!("the session was not over after {seconds} s, which is the longest that is allowed");
            Outcome::Failed(Failure { stage: Stage::Timeout, reason })
        }
    };
    let detail = match &outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Failed(failure) => clean(&format!("failed: {failure}"), 1000),
    };
    let told = Told { what: "session closed".to_owned(), detail };
    tell(&link, session, told, Some(started));
    match &outcome {
        Outcome::Succeeded => tracing::info!(session = session.0, "session succeeded"),
        Outcome::Failed(failure) => tracing::warn!(session = session.0, "session failed: {failure}"),
    }
    SessionEnd::Over(session, outcome)
}

/// An open connection to the ACS, and our address on it.
async fn connect(config: &WorkerConfig, acs: &AcsConfig) -> Result<(Acs, Option<IpAddr>), HttpError> {
    let second = Duration::from_millis(config.timing.second_ms.max(1).into());
    let mut open = Acs::new(acs, Patience { seconds: acs.response_timeout, second });
    let local = open.connect().await?;
    Ok((open, local))
}

/// The client log's first line of a session.
fn opening(why: Why, opened: &SessionOpened) -> Told {
    let why = match why {
        Why::Events => "to deliver events",
        Why::Periodic => "periodic",
        Why::Retry => "to retry",
        Why::Asked => "asked for",
        Why::ConnectionRequest => "the ACS asked for it",
    };
    let events: Vec<_> = opened.events.iter().map(|event| event.code.text()).collect();
    let events = if events.is_empty() { "no events".to_owned() } else { events.join(", ") };
    Told { what: "session opened".to_owned(), detail: format!("{why}: {events}") }
}

/// A line of the client log.
pub fn tell(link: &Link, session: SessionId, told: Told, since: Option<Instant>) {
    let took = since.map(|since| u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX));
    let Told { what, detail } = told;
    link.tell(ClientLine { at: UtcTime::now(), session: Some(session), what, detail, took_ms: took });
}

/// What ends a session before its machine does.
enum Broken {
    Link,
    Session(Failure),
}

impl From<LinkLost> for Broken {
    fn from(_: LinkLost) -> Self {
        Self::Link
    }
}

impl From<HttpError> for Broken {
    fn from(error: HttpError) -> Self {
        Self::Session(error.into())
    }
}

impl From<PageError> for Broken {
    fn from(error: PageError) -> Self {
        Self::Session(Failure { stage: Stage::Worker, reason: error.to_string() })
    }
}

async fn converse(
    link: &Link,
    config: &AcsConfig,
    mut acs: Acs,
    opened: &SessionOpened,
) -> Result<Outcome, Broken> {
    let current_time = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let mut cx = Cx {
        current_time,
        target: acs.target().to_owned(),
        offered: config.max_version,
        session_timeout: config.session_timeout,
        lenient: config.lenient,
    };
    let (mut session, actions) = Session::start(opened, &cx);
    let mut actions = VecDeque::from(actions);
    // Since the ACS's last word.
    let mut heard = Instant::now();
    while let Some(action) = actions.pop_front() {
        let input = match action {
            session::Action::Query(query) => session::Input::Reply(ask(link, query).await?),
            session::Action::Post(post) => session::Input::Response(send(&mut acs, post).await?),
            session::Action::Answer(answer) => {
                session::Input::Response(pump(link, &mut acs, opened.session, answer).await?)
            }
            session::Action::Tell(told) => {
                tell(link, opened.session, told, Some(heard));
                continue;
            }
            session::Action::VersionRefused(offered) => {
                link.report(Report::VersionRefused { session: opened.session, offered });
                continue;
            }
            session::Action::Close(outcome) => return Ok(outcome),
        };
        if matches!(input, session::Input::Response(_)) {
            heard = Instant::now();
            // Where the answer came from: a redirect may lie in between.
            acs.target().clone_into(&mut cx.target);
        }
        let (next, more) = session.step(&cx, input);
        session = next;
        actions.extend(more);
    }
    Err(Broken::Session(Failure { stage: Stage::Worker, reason: "the session came to no end".to_owned() }))
}

async fn ask(link: &Link, query: Query) -> Result<Reply, LinkLost> {
    let (before, after) = match query {
        Query::InformAcknowledged { .. } => ("worker.inform-answered", "worker.inform-acknowledged"),
        _ => ("worker.rpc-received", "worker.rpc-replied"),
    };
    reach(before);
    let reply = link.query(query).await?;
    reach(after);
    Ok(reply)
}

async fn send(acs: &mut Acs, post: Post) -> Result<Response, HttpError> {
    let (body, point) = match post {
        Post::Empty => (None, None),
        Post::Inform(bytes) => (Some(bytes), Some("worker.inform-sent")),
        Post::Response(bytes) => (Some(bytes), Some("worker.response-posted")),
        Post::Request(bytes) => (Some(bytes), None),
    };
    acs.post(body, point).await
}

/// Sends the answer of a read; from its first page again when the ACS wants it again.
async fn pump(link: &Link, acs: &mut Acs, session: SessionId, answer: Answer) -> Result<Response, Broken> {
    loop {
        let again = Answer { read: answer.read, writer: answer.writer.clone() };
        if let Some(response) = pump_once(link, acs, session, again).await? {
            return Ok(response);
        }
    }
}

/// Writes the pages of a read into an answer: whole while it is small, else in pieces, one page ahead of what
/// the ACS has taken (DECISIONS 40).
async fn pump_once(
    link: &Link,
    acs: &mut Acs,
    session: SessionId,
    answer: Answer,
) -> Result<Option<Response>, Broken> {
    let Answer { read, mut writer } = answer;
    let mut pages = 0;
    let mut next = async |writer: &mut ListAnswer| -> Result<(), Broken> {
        let query = Query::Page { session, read, page: pages };
        pages += 1;
        let page: Page = match link.query(query).await? {
            Reply::Page(page) => page,
            Reply::NoSession => return Err(PageError::Gone.into()),
            _ => return Err(PageError::Kind.into()),
        };
        Ok(writer.page(&page)?)
    };
    while !writer.is_complete() && writer.len() < WHOLE_ANSWER {
        next(&mut writer).await?;
    }
    let point = Some("worker.response-posted");
    if writer.is_complete() {
        return Ok(Some(acs.post(Some(writer.take().into()), point).await?));
    }
    let (pieces, body) = mpsc::channel(1);
    let patience = acs.patience;
    let mut broken = None;
    let feeding = async {
        let fed = async {
            while patience.hand_over(&pieces, Piece::More(writer.take().into())).await? {
                if writer.is_complete() {
                    patience.hand_over(&pieces, Piece::Last).await?;
                    break;
                }
                next(&mut writer).await?;
            }
            Ok::<_, Broken>(())
        };
        broken = fed.await.err();
        drop(pieces);
    };
    let response = acs.post_once(Outgoing::Pieces(body), feeding, point).await;
    match broken {
        Some(broken) => Err(broken),
        None => Ok(response?),
    }
}
