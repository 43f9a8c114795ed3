//! The mark of an open session: a file in the runtime directory, as a killed supervisor leaves it.
//!
//! A session that was cut off so counts as failed, and its 2 PERIODIC comes again, without a sync for each session.
//! A reboot takes the file away, and 1 BOOT opens a session anyway.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use ipc_proto::{
    UtcTime,
    text::CommandKey,
    worker::{EventCode, EventId, Failure, RetryState, Stage},
};

use super::{session::counts, state::State};
use crate::store::{SessionRecord, StoredEvent, Write};

/// Bytes of the file: RetryCount, a space and an event code; all blank while no session is open.
const SIZE: usize = 40;

/// The file. It stays open: each session writes it in place, which costs next to nothing.
#[derive(Debug)]
pub struct Mark(Option<File>);

impl Mark {
    /// The mark in that directory.
    pub fn new(runtime_dir: &Path) -> Self {
        let path = runtime_dir.join("session");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let warn = |error: &io::Error| {
            tracing::warn!("open sessions cannot be marked: {}: {error}", path.display());
        };
        Self(file.inspect_err(warn).ok())
    }

    /// A session is open, with this RetryCount, and with an event that is not stored until it fails, or without.
    pub fn set(&self, retry: RetryState, unstored: Option<EventCode>) {
        self.write(&format!("{} {}", retry.count, unstored.map_or("", EventCode::text)));
    }

    /// No session is open.
    pub fn clear(&self) {
        self.write("");
    }

    fn write(&self, text: &str) {
        let Some(file) = &self.0 else { return };
        if let Err(error) = file.write_all_at(format!("{text:<SIZE$}").as_bytes(), 0) {
            tracing::warn!("an open session cannot be marked: {error}");
        }
    }

    /// What follows from a mark that a former supervisor left in this boot: the writes, and the session's record.
    pub fn left_behind(&self, state: &State, now: UtcTime) -> Option<(Vec<Write>, SessionRecord)> {
        let file = self.0.as_ref()?;
        let mut bytes = [0; SIZE];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let (count, unstored) = str::from_utf8(&bytes).ok()?.split_once(' ')?;
        let unstored = unstored.trim_end();
        let retry = state.retry();
        if count.parse() != Ok(retry.count) {
            // Its end was stored before the mark could go.
            return None;
        }
        let mut writes = counts(RetryState {
            count: retry.count.saturating_add(1),
            since_boot: retry.since_boot.saturating_add(1),
        });
        let code = EventCode::ALL.into_iter().find(|code| code.text() == unstored);
        let code = code.filter(|code| state.events.iter().all(|event| event.code != *code));
        writes.extend(code.map(|code| {
            let id = EventId(state.newest_event().0 + 1);
            Write::AddEvent(StoredEvent { id, code, command_key: CommandKey::default() })
        }));
        let reason = "the supervisor was killed in the session".to_owned();
        let started = file.metadata().and_then(|meta| meta.modified()).map_or(now, UtcTime::from);
        let failure = Some(Failure { stage: Stage::Worker, reason });
        Some((writes, SessionRecord { started, ended: now, events: Vec::new(), failure }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_was_cut_off_counts_once_and_its_event_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mark, mut state, now) = (Mark::new(dir.path()), State::default(), UtcTime::from_millis(5));
        assert_eq!(mark.left_behind(&state, now), None);
        mark.set(state.retry(), Some(EventCode::Periodic));
        let (writes, record) = mark.left_behind(&state, now).unwrap();
        assert!(record.failure.unwrap().reason.contains("killed"));
        state.follow(&writes);
        assert_eq!(state.retry(), RetryState { count: 1, since_boot: 1 });
        assert_eq!(state.events.iter().map(|event| event.code).collect::<Vec<_>>(), [EventCode::Periodic]);
        // One that waits already is not doubled; one that the ACS has does not come again.
        for unstored in [Some(EventCode::Periodic), None] {
            mark.set(state.retry(), unstored);
            state.follow(&mark.left_behind(&state, now).unwrap().0);
            assert_eq!(state.events.len(), 1);
        }
        assert_eq!(state.retry().count, 3);
        assert_eq!(mark.left_behind(&state, now), None, "counted already");
        mark.clear();
        mark.clear();
        assert_eq!(mark.left_behind(&state, now), None);
    }
}
