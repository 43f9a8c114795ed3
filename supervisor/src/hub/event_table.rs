//! The event table: what holds for each event code (TR-069 3.7.1.5), in one place.

use ipc_proto::worker::{EventCode, EventId};

use crate::store::{StoredEvent, Write};

/// Most events of an Inform, and of those that wait (EVT-16).
pub const MAX_EVENTS: usize = 64;

/// How long an event that the ACS has not acknowledged comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is told in one session only.
    No,
    /// Until the next boot.
    UntilBoot,
    /// Until the ACS has it.
    UntilDelivered,
}

/// What holds for one code. All of these count as delivered with the InformResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The code.
    pub code: EventCode,
    /// One entry for each occurrence, with the CommandKey of its RPC; else one entry at most, without a key.
    pub multiple: bool,
    /// How long it is kept while the ACS does not have it.
    pub kept: Kept,
}

const fn row(code: EventCode, multiple: bool, kept: Kept) -> Row {
    Row { code, multiple, kept }
}

/// A row for each code, in the order of an Inform.
pub const TABLE: [Row; EventCode::ALL.len()] = [
    row(EventCode::Bootstrap, false, Kept::UntilDelivered),
    row(EventCode::Boot, false, Kept::UntilBoot),
    row(EventCode::Periodic, false, Kept::UntilDelivered),
    row(EventCode::Scheduled, false, Kept::UntilDelivered),
    row(EventCode::ValueChange, false, Kept::UntilBoot),
    row(EventCode::ConnectionRequest, false, Kept::No),
    row(EventCode::MReboot, true, Kept::UntilDelivered),
    row(EventCode::MScheduleInform, true, Kept::UntilDelivered),
];

/// The row of a code.
pub fn of(code: EventCode) -> Row {
    // The table has them all: a test sees to it.
    TABLE.into_iter().find(|row| row.code == code).unwrap_or(row(code, false, Kept::No))
}

/// The place of a code in an Inform.
pub fn place(code: EventCode) -> usize {
    TABLE.iter().position(|row| row.code == code).unwrap_or(TABLE.len())
}

/// An event of this code is one more; false when one waits already that says it all (EVT-02).
pub fn is_one_more(code: EventCode, waiting: impl IntoIterator<Item = EventCode>) -> bool {
    of(code).multiple || waiting.into_iter().all(|other| other != code)
}

/// The oldest M events of those that are more than an Inform holds: they go first (EVT-16).
pub fn surplus(waiting: impl IntoIterator<Item = (EventId, EventCode)>) -> Vec<EventId> {
    let waiting: Vec<_> = waiting.into_iter().collect();
    let too_many = waiting.len().saturating_sub(MAX_EVENTS);
    let mut of_methods: Vec<_> =
        waiting.into_iter().filter(|(_, code)| of(*code).multiple).map(|(id, _)| id).collect();
    of_methods.sort_unstable();
    of_methods.truncate(too_many);
    of_methods
}

/// What a boot ends.
pub fn ended_by_boot(waiting: &[StoredEvent]) -> impl Iterator<Item = Write> {
    remove(waiting, |row| row.kept == Kept::UntilBoot)
}

/// What 0 BOOTSTRAP for another ACS voids (EVT-06).
pub fn void_for_another_acs(waiting: &[StoredEvent]) -> impl Iterator<Item = Write> {
    remove(waiting, |_| true)
}

/// What a new 0 BOOTSTRAP for the first ACS replaces.
pub fn void_for_the_first_acs(waiting: &[StoredEvent]) -> impl Iterator<Item = Write> {
    remove(waiting, |row| row.code == EventCode::Bootstrap)
}

fn remove(waiting: &[StoredEvent], what: impl Fn(Row) -> bool) -> impl Iterator<Item = Write> {
    waiting.iter().filter(move |event| what(of(event.code))).map(|event| Write::RemoveEvent(event.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{boot::Start, session::OpenSession, state::State};
    use ipc_proto::{
        UtcTime,
        text::CommandKey,
        worker::{DeviceId, Failure, Outcome, SessionId, Stage, Why},
    };

    fn stored(id: u64, code: EventCode) -> Write {
        let command_key = CommandKey::new(if of(code).multiple { format!("k{id}") } else { String::new() });
        Write::AddEvent(StoredEvent { id: EventId(id), code, command_key: command_key.unwrap() })
    }

    fn with(codes: &[EventCode]) -> State {
        let mut state = State::default();
        let ids = 1..;
        state.follow(&ids.zip(codes).map(|(id, code)| stored(id, *code)).collect::<Vec<_>>());
        state
    }

    fn codes(state: &State) -> Vec<EventCode> {
        state.events.iter().map(|event| event.code).collect()
    }

    fn open(state: &State) -> OpenSession {
        let now = UtcTime::from_millis(0);
        OpenSession::open(state, SessionId(1), Why::Events, now, EventId(1000), Vec::new())
    }

    /// The codes and keys of the Inform of a session.
    fn inform(session: &OpenSession) -> Vec<(EventCode, String)> {
        session.events().iter().map(|event| (event.code, event.command_key.as_str().to_owned())).collect()
    }

    #[test]
    fn each_code_has_one_row_as_the_standard_says() {
        use Kept::*;
        let wanted = [
            ("0 BOOTSTRAP", false, UntilDelivered),
            ("1 BOOT", false, UntilBoot),
            ("2 PERIODIC", false, UntilDelivered),
            ("3 SCHEDULED", false, UntilDelivered),
            ("4 VALUE CHANGE", false, UntilBoot),
            ("6 CONNECTION REQUEST", false, No),
            ("M Reboot", true, UntilDelivered),
            ("M ScheduleInform", true, UntilDelivered),
        ];
        assert_eq!(TABLE.map(|row| (row.code.text(), row.multiple, row.kept)), wanted);
        assert!(EventCode::ALL.into_iter().all(|code| TABLE.iter().any(|row| row.code == code)));
    }

    #[test]
    fn what_the_acs_has_acknowledged_goes_and_what_it_has_not_comes_again_row_by_row() {
        for row in TABLE {
            let mut state = with(&[row.code]);
            let mut session = open(&state);
            let failed = || Outcome::Failed(Failure { stage: Stage::Tcp, reason: String::new() });
            state.follow(&open(&state).close(&state, failed(), UtcTime::from_millis(1)).0);
            assert_eq!(codes(&state), [row.code], "{row:?}");
            state.follow(&session.acknowledged(&state, &[EventId(1)]));
            state.follow(&session.close(&state, failed(), UtcTime::from_millis(1)).0);
            assert_eq!(codes(&state), [], "{row:?}");
        }
    }

    #[test]
    fn a_boot_ends_what_is_kept_until_a_boot_row_by_row() {
        for row in TABLE {
            let mut state = with(&[row.code]);
            let device = DeviceId::default();
            let factory = Default::default();
            // A device that was started before: its boot is all that is new.
            let first = Start { device: &device, boot_id: "boot-1", factory: &factory, random: [1; 40] };
            let mut state_before = State::default();
            first.run(&mut state_before);
            state.facts = state_before.facts;
            Start { boot_id: "boot-2", ..first }.run(&mut state);
            let stays = row.kept != Kept::UntilBoot;
            let mut wanted = if stays { vec![row.code] } else { Vec::new() };
            wanted.push(EventCode::Boot);
            assert_eq!(codes(&state), wanted, "{row:?}");
        }
    }

    #[test]
    fn a_bootstrap_for_another_acs_voids_every_other_event_and_comes_once() {
        for row in TABLE {
            let mut state = with(&[row.code]);
            let url = |to: &str| Write::Fact(crate::store::Fact::UrlInForce, to.to_owned());
            state.follow(&[url("http://former/")]);
            let writes = state.with_consequences(Vec::new(), EventId(9));
            state.follow(&writes);
            assert_eq!(codes(&state), [EventCode::Bootstrap], "{row:?}");
        }
    }

    #[test]
    fn single_events_are_there_once_and_those_of_methods_once_a_call() {
        for row in TABLE {
            assert_eq!(is_one_more(row.code, [row.code]), row.multiple, "{row:?}");
            assert!(is_one_more(row.code, []));
        }
        let all = [EventCode::MScheduleInform, EventCode::MReboot, EventCode::MReboot, EventCode::Scheduled];
        let session = open(&with(&all));
        let key = |code, key: &str| (code, key.to_owned());
        let wanted = [
            key(EventCode::Scheduled, ""),
            key(EventCode::MReboot, "k2"),
            key(EventCode::MReboot, "k3"),
            key(EventCode::MScheduleInform, "k1"),
        ];
        assert_eq!(inform(&session), wanted);
    }

    #[test]
    fn of_more_than_64_events_the_oldest_of_methods_go_first() {
        let mut all = vec![EventCode::Bootstrap, EventCode::Boot, EventCode::Scheduled];
        all.extend([EventCode::MReboot; 40]);
        all.extend([EventCode::MScheduleInform; 40]);
        let state = with(&all);
        let now = UtcTime::from_millis(0);
        let session = OpenSession::open(&state, SessionId(1), Why::Periodic, now, EventId(1000), Vec::new());
        let sent = inform(&session);
        assert_eq!(sent.len(), MAX_EVENTS);
        let singles: Vec<_> = sent.iter().map(|(code, _)| *code).take(4).collect();
        let wanted = [EventCode::Bootstrap, EventCode::Boot, EventCode::Periodic, EventCode::Scheduled];
        assert_eq!(singles, wanted);
        // 84 events are 20 too many: those with the ids 4 to 23.
        assert_eq!((sent[4].1.as_str(), sent[63].1.as_str()), ("k24", "k83"));
        // Nor are more kept.
        let mut state = with(&all[..MAX_EVENTS]);
        let writes = state.with_consequences(vec![stored(99, EventCode::MReboot)], EventId(100));
        state.follow(&writes);
        assert_eq!(state.events.len(), MAX_EVENTS);
        let ids: Vec<_> = state.events.iter().map(|event| event.id.0).collect();
        assert!(!ids.contains(&4) && ids.contains(&3) && ids.contains(&5) && ids.contains(&99), "{ids:?}");
    }
}
