//! A change that is undone unless it proves good: `apply confirm MINUTES` (DECISIONS 30).

use ipc_proto::{
    UtcTime,
    control::{Response, Waiting, WaitingFor},
    worker::Stage,
};
use serde::{Deserialize, Serialize};

use super::{
    Hub,
    alarm::Alarm,
    command::Client,
    job::{Job, Then},
    state::State,
};
use crate::{
    config::{
        layers::Stored,
        table::{self, name},
    },
    store::{Fact, SessionRecord, Write},
};

/// Sessions that must have failed before a change is undone.
const ATTEMPTS: u32 = 3;
/// A change of nothing else is judged by the ACS's word on the login alone.
const CREDENTIALS: [&str; 2] = [name::ACS_USERNAME, name::ACS_PASSWORD];

/// What undoes a change; stored with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Who made the change.
    pub who: String,
    /// Not undone before.
    pub until: UtcTime,
    /// Sessions with the change that failed.
    pub failures: u32,
    /// What was changed.
    pub changes: Vec<Guarded>,
}

/// One guarded change of an unsaved value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// CLI name.
    pub name: String,
    /// What stood there.
    pub before: Option<Stored>,
    /// What stands there now, unless someone else has changed it since.
    pub after: Option<Stored>,
    /// The startup value below it; the ACS sets that one.
    pub startup: Option<Stored>,
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may be secrets.
        f.debug_struct("Guarded").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Guard {
    /// The guard of these writes over that state; none when they change nothing that is in force. What an
    /// earlier guard would undo, this one does.
    pub fn over(state: &State, writes: &[Write], who: &str, until: UtcTime) -> Option<Self> {
        let mut after = State { layers: state.layers.clone(), ..State::default() };
        after.follow(writes);
        let changed = table::TABLE
            .iter()
            .filter(|row| state.layers.in_force(row).text != after.layers.in_force(row).text)
            .map(|row| Guarded {
                name: row.name.to_owned(),
                before: state.layers.unsaved.get(row.name).cloned(),
                after: after.layers.unsaved.get(row.name).cloned(),
                startup: after.layers.startup.get(row.name).cloned(),
            });
        let mut changes: Vec<_> = changed.collect();
        if changes.is_empty() {
            return None;
        }
        for old in Self::of(state).into_iter().flat_map(|guard| guard.changes) {
            match changes.iter_mut().find(|change| change.name == old.name) {
                Some(change) if change.before == old.after && change.startup == old.startup => {
                    change.before = old.before
                }
                Some(_) => {}
                None => changes.push(old),
            }
        }
        Some(Self { who: who.to_owned(), until, failures: 0, changes })
    }

    /// The one that is stored.
    pub fn of(state: &State) -> Option<Self> {
        serde_json::from_str(state.fact(Fact::Guard)).ok()
    }

    fn write(&self) -> Write {
        // Of text and numbers: this cannot fail.
        Write::Fact(Fact::Guard, serde_json::to_string(self).unwrap_or_default())
    }

    /// What a session with the change says of it.
    fn judged(self, record: &SessionRecord) -> Option<Write> {
        let credentials = self.changes.iter().all(|change| CREDENTIALS.contains(&change.name.as_str()));
        match record.failure.as_ref().map(|failure| failure.stage) {
            None => Some(disarmed()),
            // Ended here: that says nothing of the ACS.
            Some(Stage::Worker) => None,
            Some(stage) if credentials && stage != Stage::Auth => None,
            Some(_) => Some(Self { failures: self.failures.saturating_add(1), ..self }.write()),
        }
    }

    /// The writes that undo what nobody has changed since.
    fn undo(&self, state: &State) -> Vec<Write> {
        let undo = |change: &Guarded| {
            let name = table::row(&change.name).ok()?.name;
            let layers = &state.layers;
            let stands = layers.unsaved.get(name) == change.after.as_ref()
                && layers.startup.get(name) == change.startup.as_ref();
            stands.then(|| Write::Unsaved(name, change.before.clone()))
        };
        self.changes.iter().filter_map(undo).chain([disarmed()]).collect()
    }

    /// The parameters, for people.
    fn names(&self) -> String {
        self.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn disarmed() -> Write {
    Write::Fact(Fact::Guard, String::new())
}

/// What the hub knows of the guard beside what is stored.
#[derive(Debug, Default)]
pub struct Watch {
    /// For the end of its time.
    pub alarm: Alarm,
    /// The open session was opened with the guarded values.
    pub on_trial: bool,
}

impl Hub {
    /// The write that guards these, or why they cannot be guarded; none when they change nothing.
    pub(super) fn guarded(&self, writes: &[Write], minutes: u32, who: &str) -> Result<Option<Write>, String> {
        let mut after = State { layers: self.state.layers.clone(), ..State::default() };
        after.follow(writes);
        if !after.layers.is_on(name::ENABLE) || after.acs_url().is_empty() {
            return Err(
                "no session could prove this good, since the device would talk to no ACS: use `apply`"
                    .to_owned(),
            );
        }
        let wait = self.cwmp_seconds(u64::from(minutes) * 60).as_millis();
        let until = UtcTime::now().plus_millis(i64::try_from(wait).unwrap_or(i64::MAX));
        Ok(Guard::over(&self.state, writes, who, until).map(|guard| guard.write()))
    }

    /// Waits for the end of the guard's time.
    pub(super) fn watch_guard(&mut self) {
        let until = Guard::of(&self.state).map(|guard| guard.until);
        let longest = self.cwmp_seconds(u64::from(super::MAX_CONFIRM_MINUTES) * 60);
        self.guard.alarm.set(until, longest);
    }

    /// A session is opened: with the guarded values, if the worker has them.
    pub(super) fn try_guard(&mut self) {
        let has_them = self.progress.borrow().in_use == self.revision();
        self.guard.on_trial = has_them && Guard::of(&self.state).is_some();
    }

    /// What the session says of the change.
    pub(super) fn judge_guard(&mut self, record: &SessionRecord) -> Option<Write> {
        let guard = Guard::of(&self.state).filter(|_| std::mem::take(&mut self.guard.on_trial))?;
        if record.failure.is_none() {
            tracing::info!("the change of {} stands: a session succeeded with it", guard.names());
        }
        guard.judged(record)
    }

    /// Undoes the change when its time is over and enough sessions have failed.
    pub(super) fn check_guard(&mut self) {
        let enough = Guard::of(&self.state).is_some_and(|guard| guard.failures >= ATTEMPTS);
        if enough && self.guard.alarm.is_over() {
            self.jobs_of_people.push_front(Job::RollBack);
        }
    }

    pub(super) fn plan_roll_back(&self) -> Option<(Vec<Write>, Then)> {
        let guard = Guard::of(&self.state).filter(|guard| guard.failures >= ATTEMPTS)?;
        let (names, failures) = (guard.names(), guard.failures);
        let note = format!(
            "rolled back: the change of {names} by {}, with which {failures} sessions failed,",
            guard.who
        );
        Some((guard.undo(&self.state), Then::RolledBack(note)))
    }

    pub(super) fn plan_confirm(&self, client: Client) -> Option<(Vec<Write>, Then)> {
        let Some(guard) = Guard::of(&self.state) else {
            client.answer(Response::Refused("nothing waits to be confirmed".to_owned()));
            return None;
        };
        let note = format!("the change of {} stays", guard.names());
        Some((vec![disarmed()], Then::Confirmed(client, note)))
    }

    /// Why `save` is refused.
    pub(super) fn save_refusal(&self) -> Option<String> {
        let names = Guard::of(&self.state)?.names();
        Some(format!("the change of {names} may still be undone: `confirm` it first"))
    }

    /// A change that is to prove itself does so now, and what was undone as well.
    pub(super) fn session_at_once(&mut self) {
        if self.state.events.is_empty() && self.state.retry().count == 0 {
            self.inform();
        } else {
            self.nudged = true;
        }
    }

    /// For the status.
    pub(super) fn waiting_confirm(&self) -> Option<Waiting> {
        let guard = Guard::of(&self.state)?;
        let left = ATTEMPTS.saturating_sub(guard.failures);
        let names = guard.names();
        let why = match (self.guard.alarm.is_over(), left) {
            (false, _) => format!("or the change of {names} is undone"),
            (true, 0) => format!("the change of {names} is undone when the open session ends"),
            (true, 1) => format!("or the change of {names} is undone when 1 more session fails"),
            (true, left) => format!("or the change of {names} is undone when {left} more sessions fail"),
        };
        let until = (!self.guard.alarm.is_over()).then_some(guard.until);
        Some(Waiting { what: WaitingFor::Confirm, why, until, failed: false })
    }
}
