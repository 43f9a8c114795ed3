//! ScheduleInform: what waits for its time is stored, and becomes events when that comes (TR-069 A.4.1.2).

use std::{collections::BTreeMap, time::Duration};

use ipc_proto::{
    Fault, FaultCode, UtcTime,
    text::CommandKey,
    worker::{EventCode, EventId, Reply},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Hub,
    alarm::Alarm,
    event_table,
    job::{Job, Then},
    state::{State, event},
};
use crate::store::{Fact, StoredEvent, Write};

/// Requests that wait at the most.
const MAX_PENDING: usize = 64;

/// A request that waits; stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    /// Among those that wait.
    number: u32,
    due: UtcTime,
    /// What DelaySeconds was, in milliseconds: a clock that was wrong makes the wait no longer than that.
    delay_ms: u64,
    command_key: CommandKey,
}

/// The timers of all that wait.
#[derive(Debug, Default)]
pub struct Timers(BTreeMap<u32, Alarm>);

impl Timers {
    /// When the next one rings.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(Alarm::at).min()
    }

    /// True once for each time that has come.
    pub fn rings(&mut self) -> bool {
        self.0.values_mut().fold(false, |any, alarm| alarm.rings() | any)
    }

    fn is_over(&self, number: u32) -> bool {
        self.0.get(&number).is_some_and(Alarm::is_over)
    }
}

fn pending(state: &State) -> Vec<Pending> {
    serde_json::from_str(state.fact(Fact::Scheduled)).unwrap_or_default()
}

fn write(pending: &[Pending]) -> Write {
    // Of text and numbers: this cannot fail.
    Write::Fact(Fact::Scheduled, serde_json::to_string(pending).unwrap_or_default())
}

impl Hub {
    pub(super) fn plan_schedule(&self, delay_seconds: u32, command_key: CommandKey) -> (Vec<Write>, Reply) {
        let mut all = pending(&self.state);
        if all.len() >= MAX_PENDING {
            let detail = format!("{MAX_PENDING} requests wait already");
            return (Vec::new(), Reply::Fault(Fault::new(FaultCode::ResourcesExceeded, &detail)));
        }
        let delay = self.cwmp_seconds(delay_seconds.into());
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let due = UtcTime::now().plus_millis(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let number = all.iter().map(|pending| pending.number).max().map_or(0, |last| last.saturating_add(1));
        all.push(Pending { number, due, delay_ms, command_key });
        (vec![write(&all)], Reply::Done)
    }

    /// Each request has a timer of its own.
    pub(super) fn watch_schedule(&mut self) {
        let all = pending(&self.state);
        self.schedule.0.retain(|number, _| all.iter().any(|pending| pending.number == *number));
        for Pending { number, due, delay_ms, .. } in all {
            let alarm = self.schedule.0.entry(number).or_default();
            alarm.set(Some(due), Duration::from_millis(delay_ms));
        }
    }

    /// What could not become an event when its time came does so now.
    pub(super) fn schedule_after_session(&mut self) {
        if self.schedule.0.values().any(Alarm::is_over) {
            self.jobs_of_people.push_front(Job::Scheduled);
        }
    }

    /// One 3 SCHEDULED, and one M ScheduleInform for each request whose time has come (EVT-10).
    pub(super) fn plan_scheduled(&self) -> Option<(Vec<Write>, Then)> {
        let all = pending(&self.state);
        let (mut due, later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|pending| self.schedule.is_over(pending.number));
        if due.is_empty() {
            return None;
        }
        due.sort_by_key(|pending| pending.due);
        let mut writes = vec![write(&later)];
        let mut id = EventId(self.last_event_id);
        let mut next_id = || {
            id = EventId(id.0 + 1);
            id
        };
        let waiting = self.state.events.iter().map(|event| event.code);
        if event_table::is_one_more(EventCode::Scheduled, waiting) {
            writes.push(event(next_id(), EventCode::Scheduled));
        }
        writes.extend(due.into_iter().map(|Pending { command_key, .. }| {
            Write::AddEvent(StoredEvent { id: next_id(), code: EventCode::MScheduleInform, command_key })
        }));
        Some((writes, Then::Noted))
    }
}
