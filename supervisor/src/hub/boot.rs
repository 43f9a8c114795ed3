//! What happens at a start: factory values filled in, a first start or a new boot recognised.

use std::{collections::BTreeMap, sync::Arc};

use data_encoding::HEXLOWER;
use ipc_proto::worker::{DeviceId, EventCode, EventId};

use super::{
    action_record, event_table,
    state::{State, event},
};
use crate::{
    config::table::{Default, TABLE},
    device::identity,
    model::{schema::Schema, tree::Tree},
    store::{Fact, Write},
};

/// What a start is told from outside.
pub struct Start<'a> {
    /// Who the device is.
    pub device: &'a DeviceId,
    /// Which boot this is.
    pub boot_id: &'a str,
    /// `[factory]` of the settings.
    pub factory: &'a BTreeMap<&'static str, String>,
    /// From the kernel, for what is made at a first start.
    pub random: [u8; 40],
}

impl Start<'_> {
    /// Fills the factory layer and answers what must be committed before anything else happens.
    pub fn run(&self, state: &mut State) -> Vec<Write> {
        self.run_after(state, state.newest_event())
    }

    /// A first start again, over what is there (DECISIONS 24); its events come after that one.
    pub fn reset(&self, state: &State, newest: EventId) -> Vec<Write> {
        let tree = Tree::new(Arc::new(Schema::new(state.tree.schema().root())));
        let mut after =
            State { layers: state.layers.clone(), facts: state.facts.clone(), tree, ..State::default() };
        let mut writes = vec![Write::Reset];
        after.follow(&writes);
        writes.extend(self.run_after(&mut after, newest));
        writes
    }

    fn run_after(&self, state: &mut State, newest: EventId) -> Vec<Write> {
        let mut writes = self.first_start(state, EventId(newest.0 + 1));
        writes.extend(self.path(state));
        state.follow(&writes);
        fill_factory(state, self.device, self.factory);
        let mut more = self.identity_and_boot(state);
        let newest = more.iter().filter(|write| matches!(write, Write::AddEvent(_))).count();
        let next = EventId(state.newest_event().0 + 1 + u64::try_from(newest).unwrap_or(0));
        more = state.with_consequences(more, next);
        state.follow(&more);
        writes.extend(more);
        writes
    }

    fn first_start(&self, state: &State, next: EventId) -> Vec<Write> {
        if !state.fact(Fact::ConReqPassword).is_empty() {
            return Vec::new();
        }
        let (password, rest) = self.random.split_at(16);
        let phase = rest.iter().take(4).fold(0u32, |n, byte| n << 8 | u32::from(*byte));
        vec![
            Write::Fact(Fact::ConReqPassword, HEXLOWER.encode(password)),
            // Seconds within about 136 years: any interval gets an evenly spread phase.
            Write::Fact(Fact::PeriodicPhase, (u64::from(phase) * 1000).to_string()),
            event(next, EventCode::Bootstrap),
        ]
    }

    /// Made once: the ACS keeps the URL (CR-02).
    fn path(&self, state: &State) -> Option<Write> {
        let bytes = self.random.split_last_chunk::<16>().map(|(_, path)| path)?;
        let path = format!("/{}", HEXLOWER.encode(bytes));
        state.fact(Fact::ConReqPath).is_empty().then_some(Write::Fact(Fact::ConReqPath, path))
    }

    fn identity_and_boot(&self, state: &State) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut next = EventId(state.newest_event().0 + 1);
        let device = self.device;
        let known = [
            (Fact::Manufacturer, &device.manufacturer),
            (Fact::Oui, &device.oui),
            (Fact::ProductClass, &device.product_class),
            (Fact::SerialNumber, &device.serial_number),
        ];
        let changed = |fact| known.iter().any(|(f, now)| *f == fact && state.fact(fact) != now.as_str());
        let had_identity = !state.fact(Fact::Oui).is_empty();
        let bootstrap_waits = state.events.iter().any(|e| e.code == EventCode::Bootstrap);
        let (root, known_root) = (state.tree.schema().root().name(), state.fact(Fact::Root));
        let other_root = !known_root.is_empty() && known_root != root;
        if had_identity
            && (changed(Fact::Oui) || changed(Fact::SerialNumber) || other_root)
            && !bootstrap_waits
        {
            writes.push(event(next, EventCode::Bootstrap));
            next = EventId(next.0 + 1);
        }
        let differing = known.iter().filter(|(fact, now)| state.fact(*fact) != now.as_str());
        writes.extend(differing.map(|(fact, now)| Write::Fact(*fact, (*now).clone())));
        if known_root != root {
            writes.push(Write::Fact(Fact::Root, root.to_owned()));
        }
        if state.fact(Fact::BootId) != self.boot_id {
            writes.push(Write::Fact(Fact::BootId, self.boot_id.to_owned()));
            writes.push(Write::Fact(Fact::RetriesSinceBoot, "0".to_owned()));
            writes.extend(state.layers.unsaved.keys().map(|name| Write::Unsaved(name, None)));
            writes.extend(event_table::ended_by_boot(&state.events));
            writes.push(event(next, EventCode::Boot));
            writes.extend(action_record::after_boot(state, EventId(next.0 + 1)));
            if !state.fact(Fact::Guard).is_empty() {
                // Its changes were running and not saved: this boot has undone them.
                writes.push(Write::Fact(Fact::Guard, String::new()));
            }
        }
        writes
    }
}

/// The factory layer: what the settings say, else the table's own.
pub fn fill_factory(state: &mut State, device: &DeviceId, factory: &BTreeMap<&'static str, String>) {
    for row in TABLE {
        let default = match row.default {
            Default::Fixed(text) => text.to_owned(),
            Default::DeviceName => identity::device_name(device),
            Default::Random => state.fact(Fact::ConReqPassword).to_owned(),
        };
        let text = factory.get(row.name).cloned().unwrap_or(default);
        state.layers.factory.insert(row.name, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{layers::Stored, table::name},
        model::root::Root,
    };
    use ipc_proto::{UtcTime, control::Source};

    fn device(serial: &str) -> DeviceId {
        DeviceId { oui: "00AABB".to_owned(), serial_number: serial.to_owned(), ..DeviceId::default() }
    }

    fn start(state: &mut State, device: &DeviceId, boot_id: &str, random: u8) {
        let start = Start { device, boot_id, factory: &BTreeMap::new(), random: [random; 40] };
        start.run(state);
    }

    fn codes(state: &State) -> Vec<EventCode> {
        state.events.iter().map(|event| event.code).collect()
    }

    #[test]
    fn a_first_start_is_bootstrap_and_boot_with_secrets_of_its_own() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 0xab);
        assert_eq!(codes(&state), [EventCode::Bootstrap, EventCode::Boot]);
        assert_eq!(state.layers.text("cwmp.con_req_password"), "ab".repeat(16));
        assert_eq!(state.layers.text("cwmp.acs_username"), "00AABB-1");
        assert_eq!(state.fact(Fact::ConReqPath), format!("/{}", "ab".repeat(16)));
    }

    #[test]
    fn a_restart_in_the_same_boot_raises_nothing() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 1);
        state.events.clear();
        start(&mut state, &device("1"), "boot-1", 2);
        assert!(state.events.is_empty());
        assert_eq!(state.layers.text("cwmp.con_req_password"), "01".repeat(16), "made once");
        assert_eq!(state.fact(Fact::ConReqPath), format!("/{}", "01".repeat(16)), "made once");
    }

    #[test]
    fn a_new_boot_is_one_boot_event_and_forgets_what_was_not_saved() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 1);
        let stored =
            Stored { text: "http://a/".to_owned(), source: Source::Cli, at: UtcTime::from_millis(0) };
        let writes = vec![
            Write::Unsaved(name::ACS_URL, Some(stored)),
            Write::Fact(Fact::RetryCount, "3".to_owned()),
            Write::Fact(Fact::RetriesSinceBoot, "3".to_owned()),
        ];
        state.follow(&writes);
        start(&mut state, &device("1"), "boot-2", 1);
        assert_eq!(codes(&state), [EventCode::Bootstrap, EventCode::Boot]);
        assert_eq!(state.acs_url(), "");
        assert_eq!((state.retry().count, state.retry().since_boot), (3, 0), "RETRY-04, RETRY-05");
    }

    #[test]
    fn another_serial_number_is_a_bootstrap() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 1);
        state.events.clear();
        start(&mut state, &device("2"), "boot-1", 1);
        assert_eq!(codes(&state), [EventCode::Bootstrap]);
    }

    #[test]
    fn another_root_is_a_bootstrap_once() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 1);
        state.events.clear();
        state.tree = Tree::new(Arc::new(Schema::new(Root::InternetGatewayDevice)));
        start(&mut state, &device("1"), "boot-1", 1);
        assert_eq!(codes(&state), [EventCode::Bootstrap]);
        state.events.clear();
        start(&mut state, &device("1"), "boot-1", 1);
        assert!(state.events.is_empty());
    }

    #[test]
    fn another_factory_url_is_a_bootstrap() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 1);
        state.events.clear();
        let factory = BTreeMap::from([(name::ACS_URL, "http://maker/".to_owned())]);
        let device = device("1");
        Start { device: &device, boot_id: "boot-1", factory: &factory, random: [1; 40] }.run(&mut state);
        assert_eq!(codes(&state), [EventCode::Bootstrap]);
        assert_eq!(state.acs_url(), "http://maker/");
    }

    #[test]
    fn another_serial_number_and_another_url_are_one_bootstrap() {
        let mut state = State::default();
        start(&mut state, &device("1"), "boot-1", 1);
        state.events.clear();
        let factory = BTreeMap::from([(name::ACS_URL, "http://maker/".to_owned())]);
        let device = device("2");
        Start { device: &device, boot_id: "boot-1", factory: &factory, random: [1; 40] }.run(&mut state);
        assert_eq!(codes(&state), [EventCode::Bootstrap]);
    }
}
