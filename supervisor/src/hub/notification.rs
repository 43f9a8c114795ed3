//! Changed values that the ACS is to be told of: which, when, and what it knows afterwards (TR-069 3.7.1.5).

use super::{Hub, access::Role};
use crate::{
    config::table::{self, Row, name},
    model::{attributes::Change, read::Sources},
    store::Write,
};

impl Hub {
    /// What the ACS does not know.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.state.attributes.changes(self.sources(), false)
    }

    /// A session is on its way that tells them.
    pub(super) fn changes_attempted(&mut self) {
        self.attempted_changes = self.state.attributes.changes(self.sources(), true);
    }

    /// Set when a change is to be told at once; true when no session has tried to so far.
    pub(super) fn change_due(&self) -> Option<bool> {
        self.config.as_ref().filter(|config| config.acs.is_some() && !self.state.bootstraps())?;
        let mut due = self.state.attributes.changes(self.sources(), true);
        let url = table::row(name::CON_REQ_URL).ok().and_then(|row| self.path(row));
        let settled = self.url_is_settled();
        due.retain(|change| change.known && (settled || Some(&change.path) != url.as_ref()));
        let fresh = due.iter().any(|change| !self.attempted_changes.contains(change));
        (!due.is_empty()).then_some(fresh)
    }

    /// What the ACS knows by its own writes.
    pub(super) fn told_by_acs(&self, writes: &[Write]) -> Vec<Write> {
        let after = self.state.layers_after(writes);
        let sources = Sources { layers: &after, ..self.sources() };
        self.state.attributes.told_by_acs(sources, writes)
    }

    /// Why this caller may not set this: the ACS has taken the subscriber off its AccessList (DECISIONS 37).
    pub(super) fn reserved(&self, row: &Row, role: Role) -> Option<String> {
        let path = self.path(row)?;
        let (_, _, parameter) = self.state.tree.parameter(&path)?;
        let open = self.state.attributes.of(&path, parameter).subscriber;
        let text = || format!("the ACS lets nobody here but root set {}: ask root", row.name);
        (!open && role != Role::Root).then(text)
    }

    fn path(&self, row: &Row) -> Option<String> {
        row.path.map(|path| self.state.tree.schema().root().rooted(path))
    }
}
