//! What the hub writes into the two logs: who changed what, and what the worker tells of the ACS.

use ipc_proto::{
    UtcTime,
    control::{LogEntry, Source},
    shown::shown as clean,
    worker::{ClientLine, Reply},
};

use super::{Hub, job::Then, status::shown};
use crate::{
    config::{layers::Layers, table::TABLE},
    model::tree::Tree,
    store::{Write, log::NewLine},
};

/// Characters of a line's text at the most, whatever the worker says.
const MAX_DETAIL: usize = 1000;
/// Characters of a line's first words.
const MAX_WHAT: usize = 100;
/// Rows and stored values of one change that are told.
const MAX_CHANGES: usize = 1000;
/// Lines of one report.
const MAX_LINES: usize = 64;

/// Who made a change, and how it came.
pub type Author = (String, Source);

/// Who made the change that this follows; none when it changes no configuration.
pub fn author(then: &Then) -> Option<Author> {
    match then {
        Then::Applied(client, ..) | Then::Reset(Some(client)) => Some((client.who.clone(), Source::Cli)),
        Then::Reset(None) => Some(("acs".to_owned(), Source::Acs)),
        Then::RolledBack(_) => Some(("cwmp-supervisor".to_owned(), Source::Stack)),
        Then::Reply { reply: Reply::Set(_) | Reply::Added(..), .. } => Some(("acs".to_owned(), Source::Acs)),
        _ => None,
    }
}

/// The values in force, in the order of the table.
pub fn in_force(layers: &Layers) -> Vec<String> {
    TABLE.iter().map(|row| layers.in_force(row).text.to_owned()).collect()
}

/// A change of the data model's own store: name, old and new text.
pub type ModelChange = (String, String, String);

/// What these writes change in rows and stored values.
pub fn in_model(tree: &Tree, writes: &[Write]) -> Vec<ModelChange> {
    let change = |write: &Write| match write {
        Write::Value(path, new) => {
            let old = tree.parameter(path).and_then(|(row, _, parameter)| tree.stored(row, parameter));
            let old = old.unwrap_or_default();
            (old != new).then(|| (path.clone(), clean(old, MAX_DETAIL), clean(new, MAX_DETAIL)))
        }
        Write::AddRow(table, number) => {
            Some((format!("{table}{number}."), String::new(), "row added".to_owned()))
        }
        Write::RemoveRow { table, number, .. } => {
            Some((format!("{table}{number}."), "row".to_owned(), "row deleted".to_owned()))
        }
        _ => None,
    };
    writes.iter().filter_map(change).take(MAX_CHANGES).collect()
}

impl Hub {
    /// Logs rows and stored values that changed.
    pub(super) fn log_model_changes(&self, (who, source): &Author, changes: Vec<ModelChange>) {
        let revision = self.revision();
        for (name, old, new) in changes {
            let entry = LogEntry::Change {
                who: who.clone(),
                source: *source,
                name,
                old,
                new,
                revision,
                in_use: false,
            };
            self.store.log_line(NewLine { at: UtcTime::now(), entry });
        }
    }

    /// Logs what was done as a whole, before the changes that it made.
    pub(super) fn log_act(&self, (who, source): &Author, then: &Then) {
        let name = match then {
            Then::Reset(_) => "factory reset".to_owned(),
            Then::RolledBack(note) => note.clone(),
            _ => return,
        };
        tracing::warn!("{name} by {who}");
        let (who, source, revision) = (who.clone(), *source, self.revision());
        let (old, new) = (String::new(), String::new());
        let entry = LogEntry::Change { who, source, name, old, new, revision, in_use: false };
        self.store.log_line(NewLine { at: UtcTime::now(), entry });
    }

    /// Logs what is in force now and was not before. Secrets are masked.
    pub(super) fn log_changes(&self, (who, source): &Author, before: &[String]) {
        let revision = self.revision();
        for (row, old) in TABLE.iter().zip(before) {
            let new = self.state.layers.in_force(row).text;
            if new == old {
                continue;
            }
            let entry = LogEntry::Change {
                who: who.clone(),
                source: *source,
                name: row.name.to_owned(),
                old: shown(row, old),
                new: shown(row, new),
                revision,
                in_use: false,
            };
            self.store.log_line(NewLine { at: UtcTime::now(), entry });
        }
    }

    /// Logs what the worker tells; a worker that was taken over cannot fill the log with one line.
    pub(super) fn log_client(&self, lines: Vec<ClientLine>) {
        for line in lines.into_iter().take(MAX_LINES) {
            let ClientLine { at, session, what, detail, took_ms } = line;
            let entry = LogEntry::Client {
                session: session.map(|session| session.0),
                what: clean(&what, MAX_WHAT),
                detail: clean(&detail, MAX_DETAIL),
                took_ms,
            };
            self.store.log_line(NewLine { at, entry });
        }
    }
}
