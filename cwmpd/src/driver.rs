//! The only loop: drives agenda and session with the link, the clock and the ACS.

mod conversation;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use ipc_proto::{
    UtcTime,
    channel::ChannelError,
    version::HelloError,
    worker::{ClientLine, NextSession, Outcome, Push, Report, SessionId, Why, WorkerConfig},
};
use nix::time::{ClockId, clock_gettime};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use crate::{
    agenda::{self, Agenda, Now, Plan},
    connection_request::{News, Port},
    link::{ConnectError, Incoming, Link, LinkLost},
    session::told::Told,
    test_points::{reach, reach_once_written},
};
use conversation::{run_session, tell};

/// The first wait before another attempt to reach the supervisor; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A link that lasted this long was a good one.
const GOOD_LINK: Duration = Duration::from_secs(10);
/// Timers stand still while the device sleeps; so often the clock is looked at, at least.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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
    let (mut port, mut requests) = Port::new();
    loop {
        let started = Instant::now();
        let why = match Link::connect(&socket).await {
            Ok((link, incoming)) => {
                port.link(true);
                let mut driver = Driver::new(link, agenda, port, requests);
                let ended = driver.serve(incoming).await;
                (port, requests) = (driver.port, driver.requests);
                port.link(false);
                match ended {
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
    config: watch::Sender<Option<Arc<WorkerConfig>>>,
    running: Option<Running>,
    /// The deadline that the supervisor was last told.
    told_next: Option<Option<(Duration, Why)>>,
    port: Port,
    requests: mpsc::Receiver<()>,
    told_listening: Option<Result<u16, String>>,
}

/// The one session; dropping it drops its connection to the ACS.
struct Running {
    future: Pin<Box<dyn Future<Output = SessionEnd> + Send>>,
    id: watch::Receiver<Option<SessionId>>,
}

enum SessionEnd {
    Over(SessionId, Outcome),
    Refused(Why),
    NoAcs,
    LinkLost,
}

enum Ended {
    Stopped,
    Lost(String),
}

impl Driver {
    fn new(link: Link, agenda: Agenda, port: Port, requests: mpsc::Receiver<()>) -> Self {
        let config = watch::Sender::new(None);
        Self { link, agenda, config, running: None, told_next: None, port, requests, told_listening: None }
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
                        SessionEnd::NoAcs => self.agenda(agenda::Input::NoAcs),
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
                Some(()) = self.requests.recv() => self.agenda(agenda::Input::ConnectionRequest),
                news = self.port.news() => self.heard(news),
                () = sleep(until.min(LONGEST_SLEEP)), if deadline.is_some() => self.agenda(agenda::Input::Tick),
            }
        }
    }

    fn pushed(&mut self, push: Push) {
        match push {
            Push::Config(config) => {
                let revision = config.revision;
                let plan = Plan::of(&config);
                // Before the session that may follow: its Inform names the port.
                self.port.follow(config.connection_request.as_ref());
                self.tell_listening();
                self.config.send_replace(Some(Arc::from(config)));
                self.agenda(agenda::Input::Configured(plan));
                self.link.report(Report::InUse(revision));
            }
            Push::Due(due) => self.agenda(agenda::Input::Due(due)),
            Push::InformNow => self.agenda(agenda::Input::InformNow),
            Push::EndSession(id) => {
                if self.running.as_ref().is_some_and(|running| *running.id.borrow() == Some(id)) {
                    tracing::info!(session = id.0, "the supervisor ended the session");
                    let detail = "failed: the supervisor ended it".to_owned();
                    self.running = None;
                    tell(&self.link, id, Told { what: "session closed".to_owned(), detail }, None);
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
            let (opened, id) = watch::channel(None);
            self.running = Some(Running {
                future: Box::pin(run_session(self.link.clone(), self.config.subscribe(), why, opened)),
                id,
            });
        }
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Opened => self.tell_listening(),
            News::Refused(lines) => {
                for detail in lines {
                    let what = "connection requests refused".to_owned();
                    let at = UtcTime::now();
                    self.link.tell(ClientLine { at, session: None, what, detail, took_ms: None });
                }
            }
        }
    }

    fn tell_listening(&mut self) {
        let listening = self.port.listening();
        if self.told_listening.as_ref() != Some(&listening) {
            self.link.report(Report::Listening(listening.clone()));
            self.told_listening = Some(listening);
        }
    }

    fn tell_next(&mut self, deadline: Option<(Duration, Why)>) {
        if self.config.borrow().is_none() || self.told_next == Some(deadline) {
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

/// The present.
fn now() -> Now {
    // The clock since boot cannot fail; without chance a fleet would retry in step.
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    let random = getrandom::u32().unwrap_or(boot.subsec_nanos());
    Now { boot, wall: UtcTime::now(), random }
}
