//! The open session: the write lock, the events that its Inform carries, its prepared read.

use std::collections::HashSet;

use ipc_proto::{
    CwmpVersion, Fault, FaultCode, ParamType, UtcTime,
    listing::Listing,
    text::CommandKey,
    worker::{
        DeviceId, Event, EventCode, EventId, Failure, Outcome, Read, ReadId, Reply, RetryState, SessionId,
        SessionOpened, Stage, Why,
    },
};

use super::{
    event_table::{self, Kept},
    state::State,
};
use crate::{
    model::{
        attributes::Change,
        read::{Capture, Sources},
    },
    store::{Fact, SessionRecord, StoredEvent, Write},
};

/// Most changed parameters of an Inform; the next one tells more.
const MAX_CHANGES: usize = 1000;

/// A session between its OpenSession and its end.
#[derive(Debug)]
pub struct OpenSession {
    /// Its name in every query.
    pub id: SessionId,
    /// When it was opened.
    pub started: UtcTime,
    /// The events of its Inform.
    events: Vec<Event>,
    /// What the session was opened for, and not stored: stored if the session ends before the ACS has it, and
    /// the event table keeps it.
    unstored: Option<EventId>,
    /// What the ACS does not know of the watched parameters.
    changes: Vec<Change>,
    /// Its Inform is the first to this ACS.
    bootstraps: bool,
    /// The ACS did not take an Inform of this version.
    refused: Option<CwmpVersion>,
    read: Option<(ReadId, Capture)>,
    reads: u32,
}

impl OpenSession {
    /// Opens a session. A periodic or asked-for one adds 2 PERIODIC, one for a connection request 6 CONNECTION
    /// REQUEST; neither is stored while all goes well. A change that the ACS does not know adds 4 VALUE CHANGE, as
    /// long as it does not know it.
    /// Two ids from `next_event` on are used.
    pub fn open(
        state: &State,
        id: SessionId,
        why: Why,
        now: UtcTime,
        next_event: EventId,
        mut changes: Vec<Change>,
    ) -> Self {
        let stored = state.events.iter().map(|StoredEvent { id, code, command_key }| Event {
            id: *id,
            code: *code,
            command_key: command_key.clone(),
        });
        let mut events: Vec<_> = stored.collect();
        let mut add = |id, code| {
            let one_more = event_table::is_one_more(code, events.iter().map(|event: &Event| event.code));
            one_more.then(|| {
                events.push(Event { id, code, command_key: CommandKey::default() });
                id
            })
        };
        let opened_for = match why {
            Why::Periodic | Why::Asked => Some(EventCode::Periodic),
            Why::ConnectionRequest => Some(EventCode::ConnectionRequest),
            Why::Events | Why::Retry => None,
        };
        let unstored = opened_for.and_then(|code| add(next_event, code));
        changes.truncate(MAX_CHANGES);
        let bootstraps = state.bootstraps();
        if changes.iter().any(|change| change.known && !bootstraps) {
            add(EventId(next_event.0 + 1), EventCode::ValueChange);
        }
        let surplus = event_table::surplus(events.iter().map(|event| (event.id, event.code)));
        events.retain(|event| !surplus.contains(&event.id));
        events.sort_by_key(|event| event_table::place(event.code));
        Self { id, started: now, events, unstored, changes, bootstraps, refused: None, read: None, reads: 0 }
    }

    /// The events of its Inform.
    #[cfg(test)]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What the worker makes its Inform of.
    pub fn opened(&self, sources: Sources<'_>, retry: RetryState) -> SessionOpened {
        let device: &DeviceId = sources.device;
        SessionOpened {
            session: self.id,
            retry_count: retry.count,
            device: device.clone(),
            events: self.events.clone(),
            parameters: self.parameters(sources),
            requests: Vec::new(),
        }
    }

    /// The forced parameters, and each changed one that is none of them.
    fn parameters(&self, sources: Sources<'_>) -> Listing<ParamType> {
        let mut parameters = sources.forced_inform();
        let forced: HashSet<String> = parameters.iter().map(|(name, ..)| name.to_owned()).collect();
        for Change { path, value, param_type, known, .. } in &self.changes {
            if *known && !self.bootstraps && !forced.contains(path) {
                parameters.push(path, value, *param_type);
            }
        }
        parameters
    }

    /// The ACS does not take an Inform of this version: remembered when the session ends as failed.
    pub fn version_refused(&mut self, offered: CwmpVersion) {
        self.refused = Some(offered);
    }

    /// The code of the event that is stored only if the session fails, while the ACS does not have it.
    pub fn unstored(&self) -> Option<EventCode> {
        self.events.iter().find(|event| Some(event.id) == self.unstored).map(|event| event.code)
    }

    /// The ACS has these events: what is stored of them goes, what is not is forgotten.
    pub fn acknowledged(&mut self, state: &State, events: &[EventId]) -> Vec<Write> {
        if self.unstored.is_some_and(|id| events.contains(&id)) {
            self.unstored = None;
        }
        let stored = state.events.iter().map(|event| event.id).filter(|id| events.contains(id));
        let mut writes: Vec<_> = stored.map(Write::RemoveEvent).collect();
        writes.extend(std::mem::take(&mut self.changes).iter().map(Change::told));
        writes
    }

    /// Prepares a read, in the place of an earlier one.
    pub fn prepare(&mut self, sources: Sources<'_>, read: &Read) -> Reply {
        match Capture::prepare(sources, read) {
            Ok(capture) => {
                self.reads += 1;
                let (read, count) = (ReadId(self.reads), capture.count());
                self.read = Some((read, capture));
                Reply::Prepared { read, count }
            }
            Err(fault) => Reply::Fault(fault),
        }
    }

    /// Lets the prepared read go: what it is of may change now.
    pub fn release(&mut self) {
        self.read = None;
    }

    /// A page of the prepared read.
    pub fn page(&mut self, sources: Sources<'_>, read: ReadId, page: u32) -> Reply {
        match &mut self.read {
            Some((id, capture)) if *id == read => Reply::Page(capture.page(sources, page)),
            _ => Reply::Fault(Fault::new(FaultCode::InternalError, "that read is not prepared")),
        }
    }

    /// The end: a good one clears the retry counts, a bad one raises them and stores what was not delivered.
    pub fn close(self, state: &State, outcome: Outcome, now: UtcTime) -> (Vec<Write>, SessionRecord) {
        let retry = state.retry();
        let mut writes = Vec::new();
        let failure = match outcome {
            Outcome::Succeeded => {
                if retry != RetryState::default() {
                    writes = counts(RetryState::default());
                }
                None
            }
            Outcome::Failed(failure) => {
                let next = match failure.stage {
                    // Without any route nothing was tried (DECISIONS 13); the next waits all the same.
                    Stage::Network => RetryState { since_boot: retry.since_boot.max(1), ..retry },
                    _ => RetryState {
                        count: retry.count.saturating_add(1),
                        since_boot: retry.since_boot.saturating_add(1),
                    },
                };
                if next != retry {
                    writes = counts(next);
                }
                let unstored = self.events.iter().filter(|event| Some(event.id) == self.unstored);
                let kept = unstored.filter(|event| event_table::of(event.code).kept != Kept::No);
                writes.extend(kept.map(|event| {
                    let Event { id, code, command_key } = event.clone();
                    Write::AddEvent(StoredEvent { id, code, command_key })
                }));
                let mut failure = bounded(failure);
                if let Some(next) = self.refused.map(|refused| state.version_after(refused))
                    && next != state.offered_version()
                {
                    failure.reason.push_str(&format!("; the next try offers CWMP {next}"));
                    writes.push(Write::Fact(Fact::FellBackTo, next.to_string()));
                }
                Some(failure)
            }
        };
        let events = self.events.iter().map(|event| event.code.text().to_owned()).collect();
        (writes, SessionRecord { started: self.started, ended: now, events, failure })
    }
}

/// The writes that keep the counts of failed sessions.
pub fn counts(retry: RetryState) -> Vec<Write> {
    vec![
        Write::Fact(Fact::RetryCount, retry.count.to_string()),
        Write::Fact(Fact::RetriesSinceBoot, retry.since_boot.to_string()),
    ]
}

/// A worker that was taken over cannot fill the log with one line.
fn bounded(failure: Failure) -> Failure {
    Failure { stage: failure.stage, reason: failure.reason.chars().take(1000).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::table::name, hub::state::event, model::tree::Tree, settings::DeviceSettings, store::Contents,
    };
    use ipc_proto::worker::Stage;

    const NOW: UtcTime = UtcTime::from_millis(5);

    fn state() -> State {
        let mut state = State::default();
        state.follow(&[event(EventId(1), EventCode::Boot), event(EventId(2), EventCode::Bootstrap)]);
        state
    }

    fn open(state: &State, why: Why) -> OpenSession {
        let (device, settings) = (DeviceId::default(), DeviceSettings::default());
        let sources = Sources {
            tree: &state.tree,
            layers: &state.layers,
            device: &device,
            settings: &settings,
            parameter_key: "",
            attributes: &state.attributes,
        };
        let changes = state.attributes.changes(sources, false);
        OpenSession::open(state, SessionId(1), why, NOW, EventId(9), changes)
    }

    fn codes(session: &OpenSession) -> Vec<EventCode> {
        session.events.iter().map(|e| e.code).collect()
    }

    fn failed() -> Outcome {
        Outcome::Failed(Failure { stage: Stage::Tcp, reason: "x".repeat(5000) })
    }

    #[test]
    fn events_are_in_the_order_of_their_codes() {
        let codes = codes(&open(&state(), Why::Periodic));
        assert_eq!(codes, [EventCode::Bootstrap, EventCode::Boot, EventCode::Periodic]);
    }

    const URL: &str = "Device.ManagementServer.ConnectionRequestURL";

    /// A state whose ACS knows everything, and this URL.
    fn told(url: &str) -> State {
        let mut state = State::new(Contents::default(), Tree::default());
        let mut session = open(&state, Why::Periodic);
        state.follow(&session.acknowledged(&state, &[]));
        let told = Write::Told { path: URL.to_owned(), value: Some(url.to_owned()), kept: true };
        state.follow(&[told]);
        state.layers.stack.insert(name::CON_REQ_URL, "http://h:1/a".to_owned());
        state
    }

    #[test]
    fn another_connection_request_url_is_a_value_change_until_the_acs_has_it() {
        let mut state = told("http://h:2/a");
        let session = open(&state, Why::Periodic);
        assert_eq!(codes(&session), [EventCode::Periodic, EventCode::ValueChange]);
        let (writes, _) = session.close(&state, failed(), NOW);
        state.follow(&writes);
        let mut session = open(&state, Why::Retry);
        assert_eq!(codes(&session), [EventCode::Periodic, EventCode::ValueChange], "retried");
        let ids: Vec<_> = session.events.iter().map(|event| event.id).collect();
        state.follow(&session.acknowledged(&state, &ids));
        state.follow(&session.close(&state, Outcome::Succeeded, NOW).0);
        assert_eq!(codes(&open(&state, Why::ConnectionRequest)), [EventCode::ConnectionRequest]);
    }

    #[test]
    fn nobody_is_told_of_a_change_who_had_no_url_before() {
        let mut state = State::new(Contents::default(), Tree::default());
        state.follow(&[event(EventId(1), EventCode::Boot), event(EventId(2), EventCode::Bootstrap)]);
        state.layers.stack.insert(name::CON_REQ_URL, "http://h:1/a".to_owned());
        let mut session = open(&state, Why::Events);
        assert_eq!(codes(&session), [EventCode::Bootstrap, EventCode::Boot]);
        state.follow(&session.acknowledged(&state, &[EventId(1), EventId(2)]));
        assert_eq!(codes(&open(&state, Why::Periodic)), [EventCode::Periodic]);
        // Another ACS: its 0 BOOTSTRAP says it all.
        state.follow(&[event(EventId(3), EventCode::Bootstrap)]);
        state.layers.stack.insert(name::CON_REQ_URL, "http://h:2/a".to_owned());
        assert_eq!(codes(&open(&state, Why::Events)), [EventCode::Bootstrap]);
    }

    #[test]
    fn a_good_periodic_session_writes_nothing() {
        let state = told("http://h:1/a");
        let mut session = open(&state, Why::Periodic);
        assert!(session.acknowledged(&state, &[EventId(9)]).is_empty());
        assert!(session.close(&state, Outcome::Succeeded, NOW).0.is_empty());
    }

    #[test]
    fn a_periodic_event_that_was_not_delivered_is_kept_once() {
        let mut state = State::default();
        let (writes, record) = open(&state, Why::Periodic).close(&state, failed(), NOW);
        state.follow(&writes);
        assert_eq!(state.events.len(), 1);
        assert_eq!(state.retry(), RetryState { count: 1, since_boot: 1 });
        assert_eq!(record.failure.unwrap().reason.len(), 1000);
        assert_eq!(codes(&open(&state, Why::Periodic)), [EventCode::Periodic]);
    }

    #[test]
    fn an_attempt_without_a_route_waits_and_is_not_counted() {
        let mut state = State::default();
        let no_route = || Outcome::Failed(Failure { stage: Stage::Network, reason: "no".to_owned() });
        for _ in 0..3 {
            let writes = open(&state, Why::Periodic).close(&state, no_route(), NOW).0;
            state.follow(&writes);
            assert_eq!(state.retry(), RetryState { count: 0, since_boot: 1 });
            assert!(state.retry().is_waiting(), "no hot loop");
            assert_eq!(codes(&open(&state, Why::Retry)), [EventCode::Periodic]);
        }
        assert!(open(&state, Why::Retry).close(&state, no_route(), NOW).0.is_empty(), "no wear of the disk");
        let writes = open(&state, Why::Retry).close(&state, failed(), NOW).0;
        state.follow(&writes);
        assert_eq!(state.retry(), RetryState { count: 1, since_boot: 2 });
    }

    #[test]
    fn a_connection_request_is_an_event_of_its_own_session_only() {
        let mut state = State::default();
        let session = open(&state, Why::ConnectionRequest);
        assert_eq!(codes(&session), [EventCode::ConnectionRequest]);
        let (writes, record) = session.close(&state, failed(), NOW);
        state.follow(&writes);
        assert_eq!(record.events, ["6 CONNECTION REQUEST"]);
        assert!(state.events.is_empty(), "never retried");
        assert_eq!(state.retry().count, 1);
    }

    #[test]
    fn what_the_acs_acknowledged_never_comes_again_even_if_the_session_fails_later() {
        let mut state = state();
        let mut session = open(&state, Why::Asked);
        let writes = session.acknowledged(&state, &[EventId(1), EventId(2), EventId(9)]);
        state.follow(&writes);
        let (writes, _) = session.close(&state, failed(), NOW);
        state.follow(&writes);
        assert!(state.events.is_empty());
        assert_eq!(state.retry().count, 1);
    }
}
