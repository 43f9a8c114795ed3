//! Reboot and factory reset: recorded, then run by a command of the device's maker, and watched (DECISIONS 23 to 25).

use std::time::Duration;

use ipc_proto::{
    Fault, FaultCode, UtcTime,
    control::{Response, Waiting, WaitingFor},
    text::CommandKey,
    worker::{ClientLine, Reply},
};
use tokio::task::JoinHandle;

use super::{
    Hub,
    action_record::{Kind, Origin, Record, Stage, TRIES, record},
    alarm::Alarm,
    boot::Start,
    command::Client,
    event_table::MAX_EVENTS,
    job::{Job, Then},
};
use crate::{
    device::command,
    store::{CommitError, Fact, Write},
};

/// CWMP seconds after which a device that was told to reboot should have a new boot id.
const REBOOT_LIMIT_S: u64 = 600;
/// CWMP seconds that a command may take.
const COMMAND_LIMIT_S: u64 = 300;
const UNDER_WAY: &str = "another reboot or reset is under way";

/// The command that runs, and the time that a reboot has.
#[derive(Default)]
pub struct Acting {
    running: Option<JoinHandle<Result<String, String>>>,
    /// For the end of a reboot's time.
    pub alarm: Alarm,
}

impl Acting {
    /// The command's end; never, while none runs.
    pub async fn ended(&mut self) -> Result<String, String> {
        let ended = match &mut self.running {
            Some(running) => running.await.unwrap_or_else(|error| Err(error.to_string())),
            None => std::future::pending().await,
        };
        self.running = None;
        ended
    }
}

impl Hub {
    fn argv(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Reboot => &self.settings.actions.reboot,
            Kind::FactoryReset => &self.settings.actions.factory_reset,
        }
    }

    /// Why nobody can have a reboot.
    pub(super) fn reboot_refusal(&self) -> Option<String> {
        let none =
            || "the command that restarts this device is not known: set [actions] reboot in the settings";
        self.argv(Kind::Reboot).is_empty().then(|| none().to_owned())
    }

    /// Takes up what a supervisor before this one left.
    pub(super) fn resume_action(&mut self) {
        let Some(record) = record(&self.state) else { return };
        match (&record.stage, record.kind) {
            (Stage::Asked | Stage::OursToo, _) => self.jobs_of_people.push_back(Job::Act(None)),
            (Stage::Run(_), Kind::FactoryReset) => {
                let reason = "the supervisor ended while its command ran, so what that did is not known: look at \
                              the device, and ask for the reset again if need be";
                self.note(Record { stage: Stage::Failed(reason.to_owned()), ..record });
            }
            _ => {}
        }
        self.watch_action();
    }

    pub(super) fn plan_reboot(&self, client: Client) -> Option<(Vec<Write>, Then)> {
        if self.acting.running.is_some() {
            client.answer(Response::Refused(UNDER_WAY.to_owned()));
            return None;
        }
        // What the ACS asked for before is done by this one too, and told it.
        let of_acs = record(&self.state)
            .filter(|former| former.kind == Kind::Reboot && !matches!(former.stage, Stage::Failed(_)));
        let origin = match of_acs.map(|former| former.origin) {
            Some(origin @ Origin::Acs { .. }) => origin,
            _ => Origin::Person(client.who.clone()),
        };
        let record = Record::new(Kind::Reboot, origin, self.state.fact(Fact::BootId));
        Some((vec![record.write()], Then::Recorded(client)))
    }

    /// The ACS's Reboot: stored now, done once its session has ended. Several are one reboot (MISC-02).
    pub(super) fn plan_reboot_for_acs(&self, command_key: CommandKey) -> (Vec<Write>, Reply) {
        if let Some(refusal) = self.reboot_refusal() {
            return denied(&refusal);
        }
        let former = record(&self.state).filter(|former| !matches!(former.stage, Stage::Failed(_)));
        if former.as_ref().is_some_and(|former| former.kind == Kind::FactoryReset) {
            return denied("a factory reset is under way");
        }
        let mut command_keys = match former.as_ref().map(|former| former.origin.clone()) {
            Some(Origin::Acs { command_keys }) => command_keys,
            _ => Vec::new(),
        };
        command_keys.push(command_key);
        // No more can be told in one Inform: the oldest go first (EVT-16).
        command_keys.drain(..command_keys.len().saturating_sub(MAX_EVENTS));
        let origin = Origin::Acs { command_keys };
        let record = match former {
            // Its command was run: the device restarts anyway.
            Some(former) if matches!(former.stage, Stage::Run(_)) => Record { origin, ..former },
            _ => Record::new(Kind::Reboot, origin, self.state.fact(Fact::BootId)),
        };
        (vec![record.write()], Reply::Done)
    }

    /// The ACS's FactoryReset: stored now, done once its session has ended. It takes the place of a reboot that
    /// waits, whose M Reboot it would drop.
    pub(super) fn plan_reset_for_acs(&self) -> (Vec<Write>, Reply) {
        if self.acting.running.is_some() {
            return denied(UNDER_WAY);
        }
        let origin = Origin::Acs { command_keys: Vec::new() };
        let record = Record::new(Kind::FactoryReset, origin, self.state.fact(Fact::BootId));
        (vec![Record { stage: Stage::OursToo, ..record }.write()], Reply::Done)
    }

    /// For this person, or else for the ACS.
    pub(super) fn plan_factory_reset(&self, client: Option<Client>) -> Option<(Vec<Write>, Then)> {
        let mut random = [0; 40];
        let factory = self.settings.factory.values().map_err(|(_, reason)| reason);
        let made = getrandom::fill(&mut random).map_err(|error| error.to_string());
        let factory = match made.and(factory) {
            Ok(_) if self.acting.running.is_some() => Err(UNDER_WAY.to_owned()),
            other => other,
        };
        let factory = match factory {
            Ok(factory) => factory,
            Err(error) => {
                let Some(client) = client else {
                    return record(&self.state)
                        .map(|record| (vec![self.failed(record, error).write()], Then::Noted));
                };
                client.answer(Response::Refused(error));
                return None;
            }
        };
        let boot_id = self.state.fact(Fact::BootId);
        let start = Start { device: &self.device, boot_id, factory: &factory, random };
        let mut writes = start.reset(&self.state, ipc_proto::worker::EventId(self.last_event_id));
        if !self.argv(Kind::FactoryReset).is_empty() {
            let origin = match &client {
                Some(client) => Origin::Person(client.who.clone()),
                None => Origin::Acs { command_keys: Vec::new() },
            };
            writes.push(Record::new(Kind::FactoryReset, origin, boot_id).write());
        }
        Some((writes, Then::Reset(client)))
    }

    /// The record is on disk, and its command may be run.
    pub(super) fn recorded(&mut self, client: Client, result: Result<(), CommitError>) {
        match result {
            Ok(()) => {
                if self.session.is_some() {
                    let why = "a session with the ACS was opened meanwhile; waiting for its end";
                    client.answer(Response::Waiting(why.to_owned()));
                }
                self.jobs_of_people.push_front(Job::Act(Some(client)));
            }
            Err(error) => client.answer(Response::Refused(error.to_string())),
        }
    }

    /// The factory values are in force.
    pub(super) fn was_reset(&mut self, client: Option<&Client>, result: Result<(), CommitError>) {
        let answer = |response: Response| {
            if let Some(client) = client {
                client.answer(response);
            }
        };
        if let Err(error) = result {
            return answer(Response::Refused(error.to_string()));
        }
        let mut notes = vec!["the factory values are in force".to_owned()];
        if record(&self.state).is_some() {
            notes.push("the device's own reset runs now: `cwmp show status` says how it goes".to_owned());
            self.jobs_of_people.push_front(Job::Act(None));
        }
        answer(Response::Done(notes));
    }

    /// Runs what waited for the end of a session.
    pub(super) fn act_after_session(&mut self) {
        let is_queued = self.jobs_of_people.iter().any(|job| matches!(job, Job::Act(_)));
        if !is_queued && record(&self.state).is_some_and(|record| record.is_due()) {
            self.jobs_of_people.push_front(Job::Act(None));
        }
    }

    /// A record is tried once: that is stored before it is.
    pub(super) fn plan_act(&self, client: Option<Client>) -> Option<(Vec<Write>, Then)> {
        let due = record(&self.state).filter(|record| record.is_due() && self.acting.running.is_none());
        let Some(record) = due else {
            let why = "it is not done: another reboot or reset is under way".to_owned();
            client.iter().for_each(|client| client.answer(Response::Refused(why.clone())));
            return None;
        };
        if record.stage == Stage::OursToo {
            return self.plan_factory_reset(client);
        }
        let record = Record { tries: record.tries + 1, stage: Stage::Run(UtcTime::now()), ..record };
        Some((vec![record.write()], Then::Act(client)))
    }

    /// Starts the command, off the hub's loop.
    pub(super) fn act(&mut self, client: Option<Client>, result: Result<(), CommitError>) {
        let Some(record) = record(&self.state).filter(|_| result.is_ok()) else {
            let why = result.err().map_or_else(|| "it is void".to_owned(), |error| error.to_string());
            return client.iter().for_each(|client| client.answer(Response::Refused(why.clone())));
        };
        let argv = self.argv(record.kind).to_vec();
        let who = match &record.origin {
            Origin::Person(who) => who.as_str(),
            Origin::Acs { .. } => "acs",
        };
        let program = argv.first().map_or("", String::as_str);
        self.tell_action(record.kind, format!("{program} is run, try {}, asked for by {who}", record.tries));
        let limit = self.cwmp_seconds(COMMAND_LIMIT_S);
        self.acting.running = Some(tokio::spawn(async move {
            let started = command::Running::start(&argv);
            if let Some(client) = client {
                client.answer(match &started {
                    Ok(_) => Response::Done(vec!["the device restarts".to_owned()]),
                    Err(error) => Response::Refused(error.clone()),
                });
            }
            started?.end(limit).await
        }));
        self.watch_action();
    }

    /// The command has ended.
    pub(super) fn acted(&mut self, ended: Result<String, String>) {
        let Some(record) = record(&self.state) else { return };
        let said = match &ended {
            Ok(said) => said.clone(),
            Err(reason) => format!("failed: {reason}"),
        };
        self.tell_action(record.kind, said);
        match ended {
            // The reboot itself is to come yet.
            Ok(_) if record.kind == Kind::Reboot => {}
            Ok(_) => self.jobs_of_people.push_front(Job::Note(Write::Fact(Fact::Action, String::new()))),
            Err(reason) => self.note(Record { stage: Stage::Failed(reason), ..record }),
        }
    }

    /// A reboot has its time, once its command has run.
    pub(super) fn watch_action(&mut self) {
        let longest = self.cwmp_seconds(REBOOT_LIMIT_S);
        let until = record(&self.state).and_then(|record| self.reboot_until(&record));
        self.acting.alarm.set(until, longest);
    }

    fn reboot_until(&self, record: &Record) -> Option<UtcTime> {
        let wait = i64::try_from(self.cwmp_seconds(REBOOT_LIMIT_S).as_millis()).unwrap_or(i64::MAX);
        match record.stage {
            Stage::Run(at) if record.kind == Kind::Reboot => Some(at.plus_millis(wait)),
            _ => None,
        }
    }

    /// The time is over, and this is still the boot in which the command ran.
    pub(super) fn has_not_restarted(&mut self) {
        if let Some(record) = record(&self.state).filter(|record| matches!(record.stage, Stage::Run(_))) {
            let tries = record.tries;
            self.tell_action(record.kind, format!("failed: the device has not restarted after try {tries}"));
            self.note(record.not_restarted());
        }
    }

    fn note(&mut self, record: Record) {
        if let Stage::Failed(reason) = &record.stage {
            tracing::error!("{} failed: {reason}", waiting_for(record.kind));
        }
        self.jobs_of_people.push_front(Job::Note(record.write()));
    }

    /// It failed before anything was run.
    fn failed(&self, record: Record, reason: String) -> Record {
        self.tell_action(record.kind, format!("failed: {reason}"));
        Record { stage: Stage::Failed(reason), ..record }
    }

    fn tell_action(&self, kind: Kind, detail: String) {
        let what = waiting_for(kind).to_string();
        tracing::info!("{what}: {detail}");
        self.log_client(vec![ClientLine { at: UtcTime::now(), session: None, what, detail, took_ms: None }]);
    }

    /// So many seconds as CWMP counts them.
    pub(super) fn cwmp_seconds(&self, seconds: u64) -> Duration {
        Duration::from_millis(seconds.saturating_mul(self.settings.timing.second_ms.into()))
    }

    /// For the status.
    pub(super) fn waiting_actions(&self) -> Vec<Waiting> {
        let session = || "a session with the ACS is open; it is done when that ends".to_owned();
        let asked = self.jobs_of_people.iter().filter_map(|job| match job {
            Job::Reboot { .. } => Some(WaitingFor::Reboot),
            Job::FactoryReset { .. } => Some(WaitingFor::FactoryReset),
            _ => None,
        });
        let mut waiting: Vec<_> =
            asked.map(|what| Waiting { what, why: session(), until: None, failed: false }).collect();
        waiting.extend(record(&self.state).map(|record| {
            let what = waiting_for(record.kind);
            let until = self.reboot_until(&record);
            let failed = matches!(record.stage, Stage::Again | Stage::Failed(_));
            let why = match record.stage {
                Stage::Asked | Stage::OursToo if self.session.is_some() => session(),
                Stage::Asked | Stage::OursToo => "its command is about to be run".to_owned(),
                Stage::Run(_) if self.acting.running.is_some() => "its command runs".to_owned(),
                Stage::Run(_) => "its command was run, and the device has not restarted yet".to_owned(),
                Stage::Again => format!(
                    "the device has not restarted after try {} of {TRIES}; the next one is after the next session",
                    record.tries
                ),
                Stage::Failed(reason) => format!("failed: {reason}"),
            };
            Waiting { what, why, until, failed }
        }));
        waiting
    }
}

/// Fault 9001 for the ACS.
fn denied(detail: &str) -> (Vec<Write>, Reply) {
    (Vec::new(), Reply::Fault(Fault::new(FaultCode::RequestDenied, detail)))
}

fn waiting_for(kind: Kind) -> WaitingFor {
    match kind {
        Kind::Reboot => WaitingFor::Reboot,
        Kind::FactoryReset => WaitingFor::FactoryReset,
    }
}
