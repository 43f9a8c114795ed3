//! The only loop: drives agenda and session with the link, the clock and the ACS.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use ipc_proto::{
    UtcTime,
    channel::ChannelError,
    version::HelloError,
    worker::{
        Acs as AcsConfig, Failure, NextSession, Outcome, Page, Push, Query, Reply, Report, SessionId,
        SessionOpened, Stage, Why, WorkerConfig,
    },
};
use nix::time::{ClockId, clock_gettime};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    agenda::{self, Agenda, Now, Plan},
    http::{
        Acs, HttpError, Patience,
        body::{Outgoing, Piece},
    },
    link::{ConnectError, Incoming, Link, LinkLost},
    rpc::list_answer::{ListAnswer, PageError},
    session::{self, Answer, Cx, Post, Response, Session},
    test_points::{reach, reach_once_written},
};

/// The first wait before another attempt to reach the supervisor; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A link that lasted this long was a good one.
const GOOD_LINK: Duration = Duration::from_secs(10);
/// Timers stand still while the device sleeps; so often the clock is looked at, at least.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// An answer up to this size is sent with its length, a larger one in chunks (DECISIONS 40).
const WHOLE_ANSWER: usize = 1024 * 1024;

/// Why the worker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was told to.
    Stopped,
    /// The supervisor speaks another version.
    Incompatible,
    /// The supervisor is gone, and this is its child.
    LinkLost,
}

/// Runs until told to leave.
pub async fn run(socket: PathBuf, child: bool) -> Exit {
    let mut agenda = Agenda::default();
    let mut wait = FIRST_WAIT;
    let mut told = String::new();
    loop {
        let started = Instant::now();
        let why = match Link::connect(&socket).await {
            Ok((link, incoming)) => {
                let mut driver = Driver::new(link, agenda);
                match driver.serve(incoming).await {
                    Ended::Stopped => return Exit::Stopped,
                    Ended::Lost(why) => {
                        agenda = driver.agenda.step(now(), agenda::Input::LinkLost).0;
                        why
                    }
                }
            }
            Err(ConnectError::Channel(ChannelError::Hello(error @ HelloError::Version { .. }))) => {
                tracing::error!("{error}");
                return Exit::Incompatible;
            }
            Err(error) => error.to_string(),
        };
        // Said once, not at every attempt.
        if why != told {
            tracing::warn!("no link to the supervisor: {why}");
            told = why;
        }
        if child {
            return Exit::LinkLost;
        }
        if started.elapsed() > GOOD_LINK {
            wait = FIRST_WAIT;
        }
        sleep(wait).await;
        wait = LONGEST_WAIT.min(wait * 2);
    }
}

/// What is true while one link lasts.
struct Driver {
    link: Link,
    agenda: Agenda,
    config: Option<Arc<WorkerConfig>>,
    running: Option<Running>,
    /// The deadline that the supervisor was last told.
    told_next: Option<Option<(Duration, Why)>>,
}

/// The one session; dropping it drops its connection to the ACS.
struct Running {
    future: Pin<Box<dyn Future<Output = SessionEnd> + Send>>,
    id: watch::Receiver<Option<SessionId>>,
}

enum SessionEnd {
    Over(SessionId, Outcome),
    Refused(Why),
    LinkLost,
}

enum Ended {
    Stopped,
    Lost(String),
}

impl Driver {
    fn new(link: Link, agenda: Agenda) -> Self {
        Self { link, agenda, config: None, running: None, told_next: None }
    }

    async fn serve(&mut self, mut incoming: mpsc::Receiver<Incoming>) -> Ended {
        loop {
            let deadline = self.agenda.next();
            self.tell_next(deadline);
            let until = deadline.map_or(LONGEST_SLEEP, |(at, _)| at.saturating_sub(now().boot));
            tokio::select! {
                biased;
                // Before the pushes: an EndSession comes behind the reply that names the session.
                end = finished(&mut self.running) => {
                    self.running = None;
                    match end {
                        SessionEnd::Over(session, outcome) => self.session_over(session, outcome).await,
                        SessionEnd::Refused(why) => self.agenda(agenda::Input::Refused(why)),
                        // Its reason is on its way here.
                        SessionEnd::LinkLost => {}
                    }
                }
                message = incoming.recv() => match message {
                    Some(Incoming::Push(Push::Stop)) => return Ended::Stopped,
                    Some(Incoming::Push(push)) => self.pushed(push),
                    Some(Incoming::Lost(why)) => return Ended::Lost(why),
                    None => return Ended::Lost(LinkLost.to_string()),
                },
                () = sleep(until.min(LONGEST_SLEEP)), if deadline.is_some() => self.agenda(agenda::Input::Tick),
            }
        }
    }

    fn pushed(&mut self, push: Push) {
        match push {
            Push::Config(config) => {
                let revision = config.revision;
                let plan = Plan::of(&config);
                self.config = Some(Arc::from(config));
                self.agenda(agenda::Input::Configured(plan));
                self.link.report(Report::InUse(revision));
            }
            Push::Due(due) => self.agenda(agenda::Input::Due(due)),
            Push::InformNow => self.agenda(agenda::Input::InformNow),
            Push::EndSession(id) => {
                if self.running.as_ref().is_some_and(|running| *running.id.borrow() == Some(id)) {
                    tracing::info!(session = id.0, "the supervisor ended the session");
                    self.running = None;
                    self.agenda(agenda::Input::SessionEnded);
                }
            }
            Push::Stop => {}
        }
    }

    /// Tells the agenda before the supervisor: the `Due` that answers the report must find it waiting.
    async fn session_over(&mut self, session: SessionId, outcome: Outcome) {
        self.agenda(agenda::Input::SessionEnded);
        reach("worker.session-closing");
        self.link.report(Report::SessionClosed { session, outcome });
        reach_once_written("worker.session-closed").await;
    }

    fn agenda(&mut self, input: agenda::Input) {
        let (agenda, actions) = std::mem::take(&mut self.agenda).step(now(), input);
        self.agenda = agenda;
        for agenda::Action::OpenSession(why) in actions {
            let Some(config) = self.config.clone() else { continue };
            let (opened, id) = watch::channel(None);
            self.running =
                Some(Running { future: Box::pin(run_session(self.link.clone(), config, why, opened)), id });
        }
    }

    fn tell_next(&mut self, deadline: Option<(Duration, Why)>) {
        if self.config.is_none() || self.told_next == Some(deadline) {
            return;
        }
        let now = now();
        let next = deadline.map(|(at, why)| {
            let wait = i64::try_from(at.saturating_sub(now.boot).as_millis()).unwrap_or(i64::MAX);
            NextSession { at: now.wall.plus_millis(wait), why }
        });
        self.link.report(Report::Next(next));
        self.told_next = Some(deadline);
    }
}

/// The end of the running session; never, when there is none.
async fn finished(running: &mut Option<Running>) -> SessionEnd {
    match running {
        Some(running) => running.future.as_mut().await,
        None => std::future::pending().await,
    }
}

/// One session, with the configuration of its start (DECISIONS 12).
async fn run_session(
    link: Link,
    config: Arc<WorkerConfig>,
    why: Why,
    id: watch::Sender<Option<SessionId>>,
) -> SessionEnd {
    let Some(acs) = &config.acs else { return SessionEnd::Refused(why) };
    let opened = match link.query(Query::OpenSession { why, local: None }).await {
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
    let seconds = config.timing.session_max_s;
    let second = Duration::from_millis(config.timing.second_ms.max(1).into());
    let conversation = converse(&link, acs, second, &opened);
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
    match &outcome {
        Outcome::Succeeded => tracing::info!(session = session.0, "session succeeded"),
        Outcome::Failed(failure) => tracing::warn!(session = session.0, "session failed: {failure}"),
    }
    SessionEnd::Over(session, outcome)
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
    second: Duration,
    opened: &SessionOpened,
) -> Result<Outcome, Broken> {
    let current_time = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let cx = Cx { current_time, target: config.url.path_and_query().to_owned() };
    let mut acs = Acs::new(config, Patience { seconds: config.response_timeout, second });
    let (mut session, actions) = Session::start(opened, &cx);
    let mut actions = VecDeque::from(actions);
    while let Some(action) = actions.pop_front() {
        let input = match action {
            session::Action::Query(query) => session::Input::Reply(ask(link, query).await?),
            session::Action::Post(post) => session::Input::Response(send(&mut acs, post).await?),
            session::Action::Answer(answer) => {
                session::Input::Response(pump(link, &mut acs, opened.session, answer).await?)
            }
            session::Action::Close(outcome) => return Ok(outcome),
        };
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
        Post::Empty => (Outgoing::Empty, None),
        Post::Inform(bytes) => (Outgoing::Whole(bytes), Some("worker.inform-sent")),
        Post::Response(bytes) => (Outgoing::Whole(bytes), Some("worker.response-posted")),
    };
    acs.post(body, std::future::ready(()), point).await
}

/// Writes the pages of a read into an answer: whole while it is small, else in pieces, one page ahead of what
/// the ACS has taken (DECISIONS 40).
async fn pump(link: &Link, acs: &mut Acs, session: SessionId, answer: Answer) -> Result<Response, Broken> {
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
        let whole = Outgoing::Whole(writer.take().into());
        return Ok(acs.post(whole, std::future::ready(()), point).await?);
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
    let response = acs.post(Outgoing::Pieces(body), feeding, point).await;
    match broken {
        Some(broken) => Err(broken),
        None => Ok(response?),
    }
}

/// The present.
fn now() -> Now {
    // The clock since boot cannot fail; without chance a fleet would retry in step.
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    let random = getrandom::u32().unwrap_or(boot.subsec_nanos());
    Now { boot, wall: UtcTime::now(), random }
}
