//! One session on the wire: the pure machine's actions carried out, its pages pumped.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ipc_proto::{
    UtcTime,
    worker::{
        Acs as AcsConfig, ClientLine, Failure, Outcome, Page, Query, ReadId, Reply, Report, SessionId,
        SessionOpened, Stage, Why, WorkerConfig,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::SessionEnd;
use crate::{
    http::{
        Acs, Ends, HttpError, Patience,
        body::{Outgoing, Piece},
    },
    link::{Link, LinkLost},
    rpc::list_answer::{ListAnswer, PageError},
    session::{
        self, Answer, Cx, Post, Response, Session,
        told::{Told, clean},
    },
    test_points::{heard as heard_point, reach},
};

/// An answer up to this size is sent with its length, a larger one in chunks (DECISIONS 40).
const WHOLE_ANSWER: usize = 1024 * 1024;
/// TR-106 3.2.
const UNKNOWN_TIME: &str = "0001-01-01T00:00:00Z";

/// One session, with the configuration of its start (DECISIONS 12).
pub async fn run_session(
    link: Link,
    mut configs: watch::Receiver<Option<Arc<WorkerConfig>>>,
    why: Why,
    id: watch::Sender<Option<SessionId>>,
) -> SessionEnd {
    let (config, acs, mut open, connected, opened) = loop {
        let Some((config, acs, connected)) = connect_to_newest(&mut configs).await else {
            return SessionEnd::NoAcs;
        };
        let (open, connected) = connected;
        let (local, peer) = match &connected {
            Ok(ends) => (ends.local, Some(ends.peer)),
            Err(_) => (None, None),
        };
        let revision = config.revision;
        match link.query(Query::OpenSession { why, local, peer, revision }).await {
            Err(LinkLost) => return SessionEnd::LinkLost,
            Ok(Reply::SessionOpened(opened)) => break (config, acs, open, connected, opened),
            Ok(Reply::Outdated) => {
                tracing::info!("the ACS has changed: connecting again");
                drop((open, connected));
                let newer =
                    |new: &Option<Arc<WorkerConfig>>| new.as_ref().is_none_or(|new| new.revision > revision);
                if configs.wait_for(newer).await.is_err() {
                    return SessionEnd::LinkLost;
                }
            }
            Ok(Reply::Fault(fault)) => {
                tracing::warn!("the supervisor refuses a session: {}", fault.text);
                return SessionEnd::Refused(why);
            }
            Ok(_) => {
                tracing::warn!("the supervisor refuses a session");
                return SessionEnd::Refused(why);
            }
        }
    };
    let session = opened.session;
    id.send_replace(Some(session));
    reach("worker.session-opened");
    tracing::info!(session = session.0, ?why, url = %acs.url, "session with the ACS");
    let started = Instant::now();
    tell(&link, session, opening(why, &opened), None);
    tell_notes(&link, session, &mut open);
    let seconds = config.timing.session_max_s;
    let conversation = async {
        connected?;
        converse(&link, &config, &acs, &mut open, &opened).await
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
    tell_notes(&link, session, &mut open);
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

/// The ACS of the newest configuration, and the connection to it; none when it has no ACS. Connected first: the
/// supervisor makes the Inform of our address on the connection (DECISIONS 20).
async fn connect_to_newest(
    configs: &mut watch::Receiver<Option<Arc<WorkerConfig>>>,
) -> Option<(Arc<WorkerConfig>, AcsConfig, Connected)> {
    loop {
        let config = configs.borrow_and_update().clone()?;
        let acs = config.acs.clone()?;
        let of_another =
            |new: &Option<Arc<WorkerConfig>>| new.as_ref().is_none_or(|new| new.acs.as_ref() != Some(&acs));
        let newest = configs.clone();
        tokio::select! {
            biased;
            // What the next Inform says is not for the ACS that we were going to.
            _ = configs.wait_for(of_another) => {}
            connected = connect(&config, &acs, newest) => return Some((config, acs, connected)),
        }
    }
}

/// The ACS, and the ends of the connection to it, or why there is none.
type Connected = (Acs, Result<Ends, HttpError>);

async fn connect(
    config: &WorkerConfig,
    acs: &AcsConfig,
    configs: watch::Receiver<Option<Arc<WorkerConfig>>>,
) -> Connected {
    let second = Duration::from_millis(config.timing.second_ms.max(1).into());
    let newest = Box::new(move || configs.borrow().as_ref().and_then(|config| config.acs.clone()));
    let patience = Patience { seconds: acs.response_timeout, second };
    let mut open = Acs::new(acs, config.clock_synchronised, patience, newest);
    let ends = open.connect().await;
    (open, ends)
}

/// What the connections had to tell.
fn tell_notes(link: &Link, session: SessionId, acs: &mut Acs) {
    for note in acs.notes() {
        tell(link, session, note, None);
    }
}

/// CurrentTime: local time with its offset, or the Unknown Time while the clock is not set (INF-04, TYPE-03).
fn current_time(clock_synchronised: bool) -> String {
    if clock_synchronised {
        jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    } else {
        UNKNOWN_TIME.to_owned()
    }
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
    tell_took(link, session, told, since.map(|since| since.elapsed()));
}

fn tell_took(link: &Link, session: SessionId, told: Told, took: Option<Duration>) {
    let took = took.map(|took| u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
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
    config: &WorkerConfig,
    of: &AcsConfig,
    acs: &mut Acs,
    opened: &SessionOpened,
) -> Result<Outcome, Broken> {
    let current_time = current_time(config.clock_synchronised);
    let mut cx = Cx {
        current_time,
        target: acs.target().to_owned(),
        offered: of.max_version,
        session_timeout: of.session_timeout,
        lenient: of.lenient,
    };
    let (mut session, actions) = Session::start(opened, &cx);
    let mut actions = VecDeque::from(actions);
    // Since the ACS's last word.
    let mut heard = Instant::now();
    while let Some(action) = actions.pop_front() {
        let input = match action {
            session::Action::Query(query) => session::Input::Reply(ask(link, query).await?),
            session::Action::Post(post) => session::Input::Response(send(acs, post).await?),
            session::Action::Answer(answer) => {
                session::Input::Response(pump(link, acs, opened.session, answer, heard).await?)
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
        if let session::Input::Response(response) = &input {
            heard_point(&response.body);
            heard = Instant::now();
            tell_notes(link, opened.session, acs);
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
async fn pump(
    link: &Link,
    acs: &mut Acs,
    session: SessionId,
    answer: Answer,
    heard: Instant,
) -> Result<Response, Broken> {
    let Answer { read, writer, told } = answer;
    let mut line = ReadLine { link, session, told: Some(told), heard, handed: None };
    loop {
        if let Some(response) = pump_once(acs, read, writer.clone(), &mut line).await? {
            return Ok(response);
        }
    }
}

/// The line of a read in the client log: how long it took until the last byte of its answer was handed to the
/// connection, or that it was not.
struct ReadLine<'a> {
    link: &'a Link,
    session: SessionId,
    told: Option<Told>,
    heard: Instant,
    handed: Option<Duration>,
}

impl ReadLine<'_> {
    fn delivered(&mut self) {
        self.handed = Some(self.heard.elapsed());
    }
}

impl Drop for ReadLine<'_> {
    fn drop(&mut self) {
        let Some(told) = self.told.take() else { return };
        let told = if self.handed.is_some() { told } else { told.not_delivered() };
        tell_took(self.link, self.session, told, self.handed.or_else(|| Some(self.heard.elapsed())));
    }
}

/// Writes the pages of a read into an answer: whole while it is small, else in pieces, one page ahead of what
/// the ACS has taken (DECISIONS 40).
async fn pump_once(
    acs: &mut Acs,
    read: ReadId,
    mut writer: ListAnswer,
    line: &mut ReadLine<'_>,
) -> Result<Option<Response>, Broken> {
    let ReadLine { link, session, .. } = *line;
    line.handed = None;
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
        let whole = Outgoing::Whole(writer.take().into());
        return Ok(acs.post_once(whole, async { line.delivered() }, point).await?);
    }
    let (pieces, body) = mpsc::channel(1);
    let patience = acs.patience;
    let mut broken = None;
    let feeding = async {
        let fed = async {
            while patience.hand_over(&pieces, Piece::More(writer.take().into())).await? {
                if writer.is_complete() {
                    // There is room for it once the piece before was taken.
                    if patience.hand_over(&pieces, Piece::Last).await? {
                        line.delivered();
                    }
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
