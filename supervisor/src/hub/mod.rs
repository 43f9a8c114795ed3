//! The one owner: a single task changes the state, and neither blocks nor waits for a client.
//!
//! Front ends send [`Command`]s. What changes nothing is answered at once. What changes something becomes a
//! [`Job`]: its writes are planned against the state, committed on the store's thread, and only then followed in
//! memory and answered. At most one commit is in flight. While a session is open, only its own jobs run.

pub mod access;
mod action;
mod action_record;
mod alarm;
pub mod boot;
mod clock;
pub mod command;
mod connection_request;
mod event_table;
mod guard;
mod job;
mod log;
pub mod mark;
mod notification;
pub mod parts;
mod people;
mod schedule;
mod session;
mod snapshot;
mod spread;
pub mod state;
mod status;
#[cfg(test)]
mod tests;
mod trust;
mod worker_link;

use std::{collections::VecDeque, future::pending, time::Duration};

use ipc_proto::{
    UtcTime,
    control::{Response, Status},
    worker::{DeviceId, Due, EventId, NextSession, Push, RetryState, Stage, WorkerConfig},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{
    command::{Command, Link, Progress},
    job::{Job, Then},
    parts::Parts,
    session::OpenSession,
    state::State,
};
use crate::{
    launch::{Launcher, News},
    model::{attributes::Change, read::Sources},
    settings::Settings,
    store::{CommitError, Store, Write},
    test_points,
};

/// Jobs of people that wait at the most.
const MAX_WAITING: usize = 64;

/// The longest time of `apply confirm`, in minutes.
pub const MAX_CONFIRM_MINUTES: u32 = 1440;

/// The hub.
pub struct Hub {
    settings: Settings,
    device: DeviceId,
    state: State,
    store: Store,
    launcher: Launcher,
    news: mpsc::Receiver<News>,
    warnings: Vec<String>,
    progress: watch::Sender<Progress>,
    watched: watch::Sender<Option<Box<Status>>>,
    jobs_of_worker: VecDeque<Job>,
    jobs_of_people: VecDeque<Job>,
    in_flight: Option<InFlight>,
    link: Option<Link>,
    session: Option<OpenSession>,
    mark: mark::Mark,
    sessions: u32,
    /// Ids of events that were never stored must not come again either.
    last_event_id: u64,
    config: Option<WorkerConfig>,
    /// The first revision with the ACS of `config`.
    acs_since: u64,
    trust: trust::Kept,
    clock_synchronised: bool,
    next_session: Option<NextSession>,
    knocking: connection_request::Knocking,
    /// What the latest session had to tell of changed values.
    attempted_changes: Vec<Change>,
    /// The newest event that an attempt has carried.
    attempted: EventId,
    /// What the worker was last told of what is due.
    told: Option<Due>,
    /// A new URL: the next attempt need not wait.
    nudged: bool,
    /// Someone asked for a session before there was a worker to open it.
    asked: bool,
    process: status::Process,
    acting: action::Acting,
    guard: guard::Watch,
    schedule: schedule::Timers,
    spread: spread::Spread,
    store_trouble: Option<CommitError>,
}

struct InFlight {
    writes: Vec<Write>,
    then: Then,
    done: oneshot::Receiver<Result<(), CommitError>>,
}

impl Hub {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, device, state, store, launcher, news, warnings, progress, status } = parts;
        // A retry that was due before a restart stays due: only what is new brings it forward.
        let attempted = if state.retry().is_waiting() { state.newest_event() } else { EventId(0) };
        let spread = spread::Spread::of(&state, &settings);
        let clock_synchronised = clock::is_synchronised(&settings.clock.synchronised, UtcTime::now());
        Self {
            clock_synchronised,
            last_event_id: state.newest_event().0,
            mark: mark::Mark::new(&settings.runtime_dir),
            settings,
            device,
            state,
            store,
            launcher,
            news,
            warnings,
            progress,
            watched: status,
            jobs_of_worker: VecDeque::new(),
            jobs_of_people: VecDeque::new(),
            in_flight: None,
            link: None,
            session: None,
            sessions: 0,
            config: None,
            acs_since: 0,
            trust: trust::Kept::default(),
            next_session: None,
            knocking: connection_request::Knocking::default(),
            attempted_changes: Vec::new(),
            attempted,
            told: None,
            nudged: false,
            asked: false,
            process: status::Process::default(),
            acting: action::Acting::default(),
            guard: guard::Watch::default(),
            schedule: schedule::Timers::default(),
            spread,
            store_trouble: None,
        }
    }

    /// Runs until [`Command::Shutdown`], or until every front end is gone.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.refresh_config();
        self.resume_action();
        self.watch_guard();
        self.watch_schedule();
        self.start_jobs();
        let mut backups = interval(Duration::from_secs(86_400));
        // The first one counts as taken: a backup is made a moment after the start, when the start is done.
        backups.tick().await;
        backups.reset_after(Duration::from_secs(1));
        let mut clock_looks = interval(Duration::from_millis(self.settings.timing.heartbeat_ms.into()));
        clock_looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let alarms =
                [self.acting.alarm.at(), self.guard.alarm.at(), self.schedule.next(), self.spread.until()];
            let wake = alarms.into_iter().flatten().min();
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.handle(command),
                },
                // No more news from a launcher that launches nothing.
                Some(news) = self.news.recv() => self.process.follow(&news),
                result = committed(&mut self.in_flight) => self.after_commit(result),
                ended = self.acting.ended() => self.acted(ended),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.woken(),
                _ = backups.tick() => self.store.backup(),
                _ = clock_looks.tick(), if !self.clock_synchronised => self.look_at_clock(),
                trust = self.trust.read() => self.trust_is(trust),
            }
            self.start_jobs();
            self.show_status();
        }
        self.shut_down().await;
    }

    /// Ends in order: what is in flight is committed, an open session counts as failed, the worker is stopped.
    async fn shut_down(mut self) {
        if self.in_flight.is_some() {
            let result = committed(&mut self.in_flight).await;
            self.after_commit(result);
        }
        if let Some(open) = self.session.take() {
            let outcome = worker_link::failed("the supervisor was stopped".to_owned());
            let (writes, record) = open.close(&self.state, outcome, UtcTime::now());
            self.store.log_session(record);
            if let Ok(Err(error)) = self.store.commit(writes).await {
                tracing::error!("{error}");
            }
        }
        self.mark.clear();
        self.push(Push::Stop);
        self.launcher.shutdown(self.link.is_some()).await;
        self.store.close();
    }

    fn woken(&mut self) {
        if self.acting.alarm.rings() {
            self.has_not_restarted();
        }
        if self.guard.alarm.rings() {
            self.check_guard();
        }
        if self.schedule.rings() {
            self.jobs_of_people.push_front(Job::Scheduled);
        }
        if self.spread.ends() {
            self.due_may_change();
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Control(request, client) => self.control(request, client),
            Command::WorkerConnected(link) => self.worker_connected(link),
            Command::FromWorker(id, message) if self.is_current(id) => self.worker_says(id, message),
            // A link that was replaced: whatever it still says is void.
            Command::FromWorker(..) => {}
            Command::WorkerLost(id, reason) if self.is_current(id) => {
                tracing::warn!("the worker is gone: {reason}");
                self.drop_link(&reason);
            }
            Command::WorkerLost(..) => {}
            // A stranger beside a good worker is the log's business.
            Command::WorkerIncompatible(reason) if self.link.is_none() => self.process.incompatible(reason),
            Command::WorkerIncompatible(reason) => tracing::warn!("a worker was turned away: {reason}"),
            Command::AddressesChanged => self.addresses_changed(),
            Command::Shutdown => {}
        }
    }

    /// Starts what can be started: jobs without writes are done at once, the first with writes goes to disk.
    fn start_jobs(&mut self) {
        while self.in_flight.is_none() {
            let job = match self.jobs_of_worker.pop_front() {
                Some(job) => job,
                None if self.session.is_none() => match self.jobs_of_people.pop_front() {
                    Some(job) => job,
                    None => return,
                },
                None => return,
            };
            let Some((writes, then)) = self.plan(job) else { continue };
            let writes = self.state.with_consequences(writes, EventId(self.last_event_id + 1));
            if writes.is_empty() {
                self.finish(then, Ok(()));
                continue;
            }
            let done = self.store.commit(writes.clone());
            self.in_flight = Some(InFlight { writes, then, done });
        }
    }

    fn after_commit(&mut self, result: Result<(), CommitError>) {
        let Some(InFlight { writes, then, .. }) = self.in_flight.take() else { return };
        if let Err(error) = &result {
            tracing::error!("{error}");
        }
        // Back-off and events must go on in memory even when the disk cannot follow.
        if result.is_ok() || matches!(then, Then::SessionEnded(_)) {
            let before = log::author(&then).map(|author| {
                (author, log::in_force(&self.state.layers), log::in_model(&self.state.tree, &writes))
            });
            self.follow(&writes);
            if let Some((author, before, in_model)) = before {
                self.log_act(&author, &then);
                self.log_changes(&author, &before);
                self.log_model_changes(&author, in_model);
            }
        }
        self.store_trouble = result.as_ref().err().cloned();
        self.finish(then, result);
    }

    /// Follows committed writes in memory, and tells the worker what they change for it.
    fn follow(&mut self, writes: &[Write]) {
        let url = self.state.acs_url().to_owned();
        let (failures, means) = (self.state.retry().count, trust::means(&self.state.layers));
        self.state.follow(writes);
        if writes.contains(&Write::Reset)
            && let Ok(factory) = self.settings.factory.values()
        {
            boot::fill_factory(&mut self.state, &self.device, &factory);
        }
        self.last_event_id = self.last_event_id.max(self.state.newest_event().0);
        self.nudged |= self.state.acs_url() != url;
        self.nudged |= failures > 0 && trust::means(&self.state.layers) != means;
        self.refresh_config();
        self.watch_action();
        self.watch_guard();
        self.watch_schedule();
    }

    fn finish(&mut self, then: Then, result: Result<(), CommitError>) {
        match then {
            Then::Applied(client, changes, guarded) => self.applied(&client, &changes, guarded, result),
            Then::Saved(client, count) => client.answer(match result {
                Ok(()) => Response::Done(vec![match count {
                    1 => "saved 1 value".to_owned(),
                    n => format!("saved {n} values"),
                }]),
                Err(error) => Response::Refused(error.to_string()),
            }),
            Then::Reply { link, id, reply } => {
                test_points::reach("hub.before-reply");
                self.reply(link, id, if result.is_ok() { reply } else { job::store_fault() });
                test_points::reach("hub.replied");
            }
            Then::SessionEnded(record) => {
                let stage = record.failure.as_ref().map(|failure| failure.stage);
                if matches!(stage, Some(Stage::Tls | Stage::Certificate)) {
                    self.read_trust_again();
                }
                self.watch_ways(stage);
                self.mark.clear();
                // Together with the counts that it changed.
                self.state.last_session = Some(record);
                self.tell_due();
                self.schedule_after_session();
                self.act_after_session();
                self.check_guard();
                return;
            }
            Then::Greeted => {
                if let Some(config) = self.config.clone() {
                    self.push(Push::Config(Box::new(config)));
                }
                self.tell_due();
                if std::mem::take(&mut self.asked) {
                    self.push(Push::InformNow);
                }
                return;
            }
            Then::Recorded(client) => self.recorded(client, result),
            Then::Act(client) => self.act(client, result),
            Then::Reset(client) => self.was_reset(client.as_ref(), result),
            Then::RolledBack(note) => match result {
                Ok(()) => self.session_at_once(),
                // Tried again at the end of the next session, which comes in its time.
                Err(error) => tracing::error!("not yet {note} because {error}"),
            },
            Then::Confirmed(client, note) => client.answer(match result {
                Ok(()) => Response::Done(vec![note]),
                Err(error) => Response::Refused(error.to_string()),
            }),
            Then::Noted => {}
        }
        self.due_may_change();
    }

    /// Tells the worker what is due if it was told otherwise; during a session it hears of it at the end.
    fn due_may_change(&mut self) {
        if self.session.is_none() && self.told != Some(self.due()) {
            self.tell_due();
        }
    }

    /// Pushes the configuration if it is another one than the worker was given.
    fn refresh_config(&mut self) {
        self.refresh_url();
        let revision = self.revision();
        let Self { state, device, settings, trust, clock_synchronised, .. } = self;
        let fresh = snapshot::worker_config(state, device, settings, trust, *clock_synchronised, revision);
        if self.config.as_ref() == Some(&fresh) {
            return;
        }
        let next = WorkerConfig { revision: revision + 1, ..fresh };
        if self.config.as_ref().is_none_or(|config| config.acs != next.acs) {
            self.acs_since = next.revision;
        }
        self.config = Some(next.clone());
        self.push(Push::Config(Box::new(next)));
    }

    fn revision(&self) -> u64 {
        self.config.as_ref().map_or(self.state.last_revision, |config| config.revision)
    }

    fn tell_due(&mut self) {
        let due = self.due();
        self.told = Some(due);
        self.push(Push::Due(due));
    }

    fn due(&self) -> Due {
        if self.spread.until().is_some() {
            return Due { events: false, fresh: false, retry: RetryState::default() };
        }
        let newest = self.state.newest_event();
        let change = self.change_due();
        Due {
            events: !self.state.events.is_empty() || change.is_some(),
            fresh: self.nudged || newest > self.attempted || change == Some(true),
            retry: self.state.retry(),
        }
    }

    fn sources(&self) -> Sources<'_> {
        sources(&self.state, &self.device, &self.settings)
    }
}

fn sources<'a>(state: &'a State, device: &'a DeviceId, settings: &'a Settings) -> Sources<'a> {
    Sources {
        tree: &state.tree,
        layers: &state.layers,
        device,
        settings: &settings.device,
        parameter_key: state.fact(crate::store::Fact::ParameterKey),
        attributes: &state.attributes,
    }
}

async fn committed(in_flight: &mut Option<InFlight>) -> Result<(), CommitError> {
    match in_flight {
        Some(job) => {
            let gone = || CommitError::Other("the store's thread is gone".to_owned());
            (&mut job.done).await.unwrap_or_else(|_| Err(gone()))
        }
        None => pending().await,
    }
}
