//! The mark of an open session: a file in the runtime directory, which a killed supervisor leaves behind.
//!
//! A session that was cut off so counts as failed, and its 2 PERIODIC comes again, without a sync for each session.
//! A reboot takes the file away, and 1 BOOT opens a session anyway.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ipc_proto::{
    UtcTime,
    text::CommandKey,
    worker::{EventCode, EventId, Failure, RetryState, Stage},
};

use super::{session::counts, state::State};
use crate::store::{SessionRecord, StoredEvent, Write};

/// The file, which is there while a session is open.
#[derive(Debug)]
pub struct Mark(PathBuf);

impl Mark {
    /// The mark in that directory.
    pub fn new(runtime_dir: &Path) -> Self {
        Self(runtime_dir.join("session"))
    }

    /// A session is open, with this RetryCount, and with an event that is not stored until it fails, or without.
    pub fn set(&self, retry: RetryState, unstored: Option<EventCode>) {
        let text = format!("{} {}", retry.count, unstored.map_or("", EventCode::text));
        if let Err(error) = fs::write(&self.0, text) {
            tracing::warn!("the mark of an open session cannot be made: {}: {error}", self.0.display());
        }
    }

    /// No session is open.
    pub fn clear(&self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the mark of an open session stays: {}: {error}", self.0.display());
            }
            _ => {}
        }
    }

    /// What follows from a mark that a former supervisor left in this boot: the writes, and the session's record.
    pub fn left_behind(&self, state: &State, now: UtcTime) -> Option<(Vec<Write>, SessionRecord)> {
        let text = fs::read_to_string(&self.0).ok()?;
        let (count, unstored) = text.split_once(' ')?;
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
        let started = fs::metadata(&self.0).and_then(|meta| meta.modified()).map_or(now, UtcTime::from);
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
