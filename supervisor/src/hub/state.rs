//! What the hub knows, in memory: the same as on disk, by the same writes.

use std::collections::BTreeMap;

use ipc_proto::{
    CwmpVersion, UtcTime,
    control::Source,
    text::CommandKey,
    worker::{EventCode, EventId, RetryState},
};

use super::event_table;
use crate::{
    config::{
        layers::{Candidate, Layers, Stored},
        table::name,
    },
    model::{attributes::AttributeTable, tree::Tree},
    store::{Contents, Fact, SessionRecord, StoredEvent, Write},
};

/// The state of the device's CWMP side.
#[derive(Debug, Default)]
pub struct State {
    /// The configuration.
    pub layers: Layers,
    /// The data model.
    pub tree: Tree,
    /// Attributes of its parameters.
    pub attributes: AttributeTable,
    /// Undelivered events, oldest first.
    pub events: Vec<StoredEvent>,
    /// What is remembered.
    pub facts: BTreeMap<Fact, String>,
    /// The last session that ended.
    pub last_session: Option<SessionRecord>,
    /// The largest revision of former starts.
    pub last_revision: u64,
}

impl State {
    /// What was on disk; the factory layer is filled by [`super::boot`].
    pub fn new(contents: Contents, mut tree: Tree) -> Self {
        let Contents {
            startup,
            unsaved,
            events,
            facts,
            next_numbers,
            rows,
            values,
            attributes,
            told,
            last_session,
            last_revision,
        } = contents;
        tree.load(&next_numbers, &rows, &values);
        let layers = Layers { startup, unsaved, ..Layers::default() };
        let mut attributes = AttributeTable::load(attributes, told);
        attributes.refresh(&tree);
        Self { layers, tree, attributes, events, facts, last_session, last_revision }
    }

    /// Follows writes that are on disk.
    pub fn follow(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Reset => {
                    let Layers { factory, stack, .. } = std::mem::take(&mut self.layers);
                    self.layers = Layers { factory, stack, ..Layers::default() };
                    self.tree.reset();
                    self.attributes.reset();
                    self.events.clear();
                    self.facts.retain(|fact, _| Fact::IDENTITY.contains(fact));
                    self.last_session = None;
                }
                Write::Startup(..) | Write::Unsaved(..) => follow_layers(&mut self.layers, write),
                Write::AddEvent(_) | Write::RemoveEvent(_) => follow_events(&mut self.events, write),
                Write::Fact(fact, value) => drop(self.facts.insert(*fact, value.clone())),
                Write::Value(path, text) => self.tree.store_at(path, text),
                Write::AddRow(table, number) => self.tree.add_at(table, *number),
                Write::RemoveRow { table, number, .. } => {
                    self.tree.remove_at(table, *number);
                    self.attributes.remove_below(&format!("{table}{number}."));
                }
                Write::Attributes(path, attributes) => self.attributes.set(path, *attributes),
                Write::Told { path, value, .. } => self.attributes.tell(path, value.as_deref()),
            }
        }
        let moves = |write: &Write| {
            matches!(
                write,
                Write::Reset | Write::AddRow(..) | Write::RemoveRow { .. } | Write::Attributes(..)
            )
        };
        if writes.iter().any(moves) {
            self.attributes.refresh(&self.tree);
        }
    }

    /// A fact, or empty.
    pub fn fact(&self, fact: Fact) -> &str {
        self.facts.get(&fact).map_or("", String::as_str)
    }

    /// The counts of failed sessions.
    pub fn retry(&self) -> RetryState {
        let count = |fact| self.fact(fact).parse().unwrap_or(0);
        RetryState { count: count(Fact::RetryCount), since_boot: count(Fact::RetriesSinceBoot) }
    }

    /// The ACS URL in force, or empty.
    pub fn acs_url(&self) -> &str {
        self.layers.text(name::ACS_URL)
    }

    /// A new ACS is told everything: there are no changes to it.
    pub fn bootstraps(&self) -> bool {
        self.events.iter().any(|event| event.code == EventCode::Bootstrap)
    }

    /// The configuration as these writes leave it.
    pub fn layers_after(&self, writes: &[Write]) -> Layers {
        let mut after = self.layers.clone();
        writes.iter().for_each(|write| follow_layers(&mut after, write));
        after
    }

    /// The newest version of CWMP to offer: the one that a person pinned, or what this ACS takes (DECISIONS 14).
    pub fn offered_version(&self) -> CwmpVersion {
        let pinned = CwmpVersion::parse(self.layers.text(name::MAX_VERSION));
        pinned.or_else(|| CwmpVersion::parse(self.fact(Fact::FellBackTo))).unwrap_or_default()
    }

    /// What to offer next where the ACS did not take this version: the newest of the next older namespace, and
    /// after the oldest the newest again, since it was none of them. Nothing else while a version is pinned.
    pub fn version_after(&self, refused: CwmpVersion) -> CwmpVersion {
        match CwmpVersion::parse(self.layers.text(name::MAX_VERSION)) {
            Some(pinned) => pinned,
            None => refused.below().unwrap_or_default(),
        }
    }

    /// The newest event's id, 0 when there is none.
    pub fn newest_event(&self) -> EventId {
        self.events.iter().map(|event| event.id).max().unwrap_or(EventId(0))
    }

    /// Completes writes that may change the configuration: another URL in force raises 0 BOOTSTRAP, and voids
    /// the events that waited for the former ACS (EVT-04, EVT-06). No more events are kept than an Inform holds.
    pub fn with_consequences(&self, mut writes: Vec<Write>, next_id: EventId) -> Vec<Write> {
        // A first start has its consequences in it.
        if writes.contains(&Write::Reset) {
            return writes;
        }
        self.of_another_url(&mut writes, next_id);
        if writes.iter().any(|write| matches!(write, Write::AddEvent(_))) {
            let mut after = self.events.clone();
            writes.iter().for_each(|write| follow_events(&mut after, write));
            let surplus = event_table::surplus(after.iter().map(|event| (event.id, event.code)));
            writes.extend(surplus.into_iter().map(Write::RemoveEvent));
        }
        writes
    }

    fn of_another_url(&self, writes: &mut Vec<Write>, next_id: EventId) {
        let after = self.layers_after(writes);
        let (before, now) = (self.fact(Fact::UrlInForce), after.text(name::ACS_URL));
        if before == now {
            return;
        }
        writes.retain(|write| !matches!(write, Write::AddEvent(event) if event.code == EventCode::Bootstrap));
        writes.push(Write::Fact(Fact::UrlInForce, now.to_owned()));
        if !self.fact(Fact::FellBackTo).is_empty() {
            // Another ACS may speak what the former one did not (VER-06).
            writes.push(Write::Fact(Fact::FellBackTo, String::new()));
        }
        if before.is_empty() {
            writes.extend(event_table::void_for_the_first_acs(&self.events));
        } else {
            writes.extend(event_table::void_for_another_acs(&self.events));
        }
        writes.push(event(next_id, EventCode::Bootstrap));
    }
}

fn follow_events(events: &mut Vec<StoredEvent>, write: &Write) {
    match write {
        Write::AddEvent(event) => events.push(event.clone()),
        Write::RemoveEvent(id) => events.retain(|event| event.id != *id),
        _ => {}
    }
}

fn follow_layers(layers: &mut Layers, write: &Write) {
    match write {
        Write::Startup(name, Some(value)) => drop(layers.startup.insert(name, value.clone())),
        Write::Startup(name, None) => drop(layers.startup.remove(name)),
        Write::Unsaved(name, Some(value)) => drop(layers.unsaved.insert(name, value.clone())),
        Write::Unsaved(name, None) => drop(layers.unsaved.remove(name)),
        _ => {}
    }
}

/// Records an event without a CommandKey.
pub fn event(id: EventId, code: EventCode) -> Write {
    Write::AddEvent(StoredEvent { id, code, command_key: CommandKey::default() })
}

/// The writes that make every running value a startup value.
pub fn save(layers: &Layers) -> Vec<Write> {
    let unsaved = layers.unsaved.iter();
    unsaved
        .flat_map(|(name, value)| [Write::Startup(name, Some(value.clone())), Write::Unsaved(name, None)])
        .collect()
}

/// The writes that make the candidate running.
pub fn apply(layers: &Layers, at: UtcTime) -> Vec<Write> {
    let write = |change: &Candidate| {
        let stored = Stored { text: change.text.clone(), source: Source::Cli, at };
        let same_as_saved = layers
            .startup
            .get(change.row.name)
            .is_some_and(|saved| saved.text == stored.text && saved.source == stored.source);
        Write::Unsaved(change.row.name, (!same_as_saved).then_some(stored))
    };
    layers.candidate.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Write {
        let stored = Stored { text: text.to_owned(), source: Source::Cli, at: UtcTime::from_millis(0) };
        Write::Unsaved(name::ACS_URL, Some(stored))
    }

    fn codes(state: &State) -> Vec<EventCode> {
        state.events.iter().map(|event| event.code).collect()
    }

    fn change(state: &mut State, write: Write) {
        let next = EventId(state.newest_event().0 + 1);
        let writes = state.with_consequences(vec![write], next);
        state.follow(&writes);
    }

    #[test]
    fn the_first_url_raises_bootstrap_and_keeps_boot() {
        let mut state = State::default();
        state.follow(&[event(EventId(1), EventCode::Bootstrap), event(EventId(2), EventCode::Boot)]);
        change(&mut state, url("http://a/"));
        assert_eq!(codes(&state), [EventCode::Boot, EventCode::Bootstrap]);
    }

    #[test]
    fn another_url_voids_what_waited_for_the_former_acs() {
        let mut state = State::default();
        change(&mut state, url("http://a/"));
        state.follow(&[event(EventId(7), EventCode::Boot)]);
        change(&mut state, url("http://b/"));
        assert_eq!(codes(&state), [EventCode::Bootstrap]);
    }

    #[test]
    fn a_version_is_fallen_back_to_until_the_url_changes_or_one_is_pinned() {
        let mut state = State::default();
        change(&mut state, url("http://a/"));
        assert_eq!(state.offered_version(), CwmpVersion::V1_4);
        let mut offered = Vec::new();
        for _ in 0..3 {
            let next = state.version_after(state.offered_version());
            state.follow(&[Write::Fact(Fact::FellBackTo, next.to_string())]);
            offered.push(state.offered_version());
        }
        assert_eq!(offered, [CwmpVersion::V1_1, CwmpVersion::V1_0, CwmpVersion::V1_4]);
        state.follow(&[Write::Fact(Fact::FellBackTo, "1.1".to_owned())]);
        change(&mut state, url("http://a/"));
        assert_eq!(state.offered_version(), CwmpVersion::V1_1);
        let pin = |text: &str| {
            let stored = Stored { text: text.to_owned(), source: Source::Cli, at: UtcTime::from_millis(0) };
            Write::Unsaved(name::MAX_VERSION, Some(stored))
        };
        change(&mut state, pin("1.3"));
        assert_eq!(state.offered_version(), CwmpVersion::V1_3);
        assert_eq!(state.version_after(CwmpVersion::V1_3), CwmpVersion::V1_3);
        change(&mut state, pin(""));
        assert_eq!(state.offered_version(), CwmpVersion::V1_1);
        change(&mut state, url("http://b/"));
        assert_eq!(state.offered_version(), CwmpVersion::V1_4);
    }

    #[test]
    fn the_same_url_again_raises_nothing() {
        let mut state = State::default();
        change(&mut state, url("http://a/"));
        state.events.clear();
        change(&mut state, url("http://a/"));
        assert!(state.events.is_empty());
    }
}
