//! What people see: the status, the table with its values, the changes that wait.

use std::net::IpAddr;

use ipc_proto::{
    HttpUrl, Secret,
    control::{
        AcsState, AcsStatus, Change, ConfigRow, LastSession, ParameterRow, Source, Status, WorkerState,
        WorkerStatus,
    },
    worker::NextSession,
};

use super::Hub;
use crate::{
    config::{
        layers::{Candidate, Layers},
        table::{self, Row, TABLE, name},
    },
    device::identity,
    launch::News,
    model::root::Root,
    store::SessionRecord,
};

/// How the worker's process is, as far as the hub was told.
#[derive(Debug, Default)]
pub struct Process {
    starts: u32,
    waiting: Option<String>,
    incompatible: Option<String>,
}

impl Process {
    /// Follows the launcher's news.
    pub fn follow(&mut self, news: &News) {
        match news {
            News::Started => {
                self.starts += 1;
                self.waiting = None;
            }
            News::Waiting(reason) => {
                tracing::warn!("the worker ended: {reason}");
                self.waiting = Some(reason.clone());
            }
        }
    }

    /// A worker said a Hello that fits.
    pub fn connected(&mut self) {
        self.incompatible = None;
    }

    /// A worker said one that does not.
    pub fn incompatible(&mut self, reason: String) {
        tracing::error!("a worker was turned away: {reason}");
        self.incompatible = Some(reason);
    }
}

impl Hub {
    /// Tells those who watch the status, if there is anyone and anything to tell.
    pub(super) fn show_status(&self) {
        if self.watched.receiver_count() > 0 {
            let now = Some(Box::new(self.status()));
            self.watched.send_if_modified(|known| {
                let changed = *known != now;
                *known = now;
                changed
            });
        }
    }

    /// The next session: of a timer of the worker's, or the first one after a boot.
    fn earliest_session(&self) -> Option<NextSession> {
        let has_acs = self.config.as_ref().is_some_and(|config| config.acs.is_some());
        let spread = self.spread.next_session().filter(|_| has_acs);
        self.next_session.into_iter().chain(spread).min_by_key(|next| next.at)
    }

    pub(super) fn status(&self) -> Status {
        let mut warnings = self.warnings.clone();
        let trouble = self.store_trouble.as_ref().map(ToString::to_string);
        warnings.extend(trouble.filter(|trouble| !self.warnings.contains(trouble)));
        // What stays on this device is read by nobody on the way.
        if is_http(self.state.acs_url()) && !is_here(self.state.acs_url()) && self.settings.acs.allow_http {
            warnings.push(
                "the ACS URL is http: whoever is on the way can read and change what is said".to_owned(),
            );
        }
        Status {
            acs: self.acs_status(),
            last_session: self.state.last_session.as_ref().map(last_session),
            open_session: self.session.as_ref().map(|open| open.started),
            next_session: self.earliest_session(),
            retry_count: self.state.retry().count,
            worker: self.worker_status(),
            connection_request_problem: self.connection_request_problem(),
            connection_request_url: self.state.layers.text(name::CON_REQ_URL).to_owned(),
            warnings,
            waiting: self.waiting_actions().into_iter().chain(self.waiting_confirm()).collect(),
        }
    }

    fn acs_status(&self) -> AcsStatus {
        let layers = &self.state.layers;
        let failure = self.state.last_session.as_ref().map(|session| session.failure.clone());
        let state = match failure {
            _ if !layers.is_on(name::ENABLE) => AcsState::Disabled,
            _ if self.state.acs_url().is_empty() => AcsState::NoUrl,
            None => AcsState::Never,
            Some(None) => AcsState::Connected,
            Some(Some(_)) => AcsState::Disconnected,
        };
        let forbidden =
            HttpUrl::parse(self.state.acs_url()).ok().and_then(|url| self.settings.acs.refusal(&url));
        let failure = failure.flatten().filter(|_| state == AcsState::Disconnected);
        let reason = match state {
            AcsState::Disabled => Some("cwmp.enable is 0: set it to 1 to talk to the ACS".to_owned()),
            AcsState::NoUrl => Some("no ACS URL is known: set cwmp.acs_url".to_owned()),
            _ if !identity::is_usable(&self.device) => Some(
                "the device has no OUI or no serial number: set [device] oui and serial_number in the settings"
                    .to_owned(),
            ),
            _ if forbidden.is_some() => forbidden,
            _ => failure.as_ref().map(|failure| failure.reason.clone()),
        };
        AcsStatus {
            state,
            stage: failure.map(|failure| failure.stage),
            reason,
            url: self.state.acs_url().to_owned(),
            url_source: table::row(name::ACS_URL).map_or(Source::Factory, |row| layers.in_force(row).source),
        }
    }

    fn worker_status(&self) -> WorkerStatus {
        let Process { starts, waiting, incompatible } = &self.process;
        let (state, reason) = match (&self.link, incompatible, waiting) {
            (Some(_), ..) => (WorkerState::Running, None),
            (None, Some(reason), _) => (WorkerState::Incompatible, Some(reason.clone())),
            (None, None, Some(reason)) => (WorkerState::Waiting, Some(reason.clone())),
            (None, None, None) => (WorkerState::Starting, None),
        };
        WorkerStatus {
            state,
            pid: self.link.as_ref().map(|link| link.pid),
            restarts: starts.saturating_sub(1),
            revision: self.progress.borrow().in_use,
            revision_wanted: self.revision(),
            reason,
        }
    }
}

fn last_session(record: &SessionRecord) -> LastSession {
    LastSession {
        started: record.started,
        ended: record.ended,
        events: record.events.clone(),
        outcome: record.failure.as_ref().map_or_else(|| "succeeded".to_owned(), ToString::to_string),
    }
}

fn is_http(url: &str) -> bool {
    HttpUrl::parse(url).is_ok_and(|url| !url.is_https())
}

/// True for an ACS at a loopback address.
fn is_here(url: &str) -> bool {
    let host = HttpUrl::parse(url).ok().map(|url| url.host().parse::<IpAddr>());
    matches!(host, Some(Ok(address)) if address.is_loopback())
}

/// The table with the values in force.
pub fn rows(layers: &Layers, root: Root) -> Vec<ParameterRow> {
    let show = |row: &'static Row| {
        let in_force = layers.in_force(row);
        ParameterRow {
            name: row.name.to_owned(),
            label: row.label.to_owned(),
            path: row.path.map(|path| root.rooted(path)),
            value: shown(row, in_force.text),
            source: in_force.source,
            saved: layers.is_saved(row),
            pending: layers.pending(row).map(|change| shown(row, &change.text)),
            help: row.help.to_owned(),
        }
    };
    TABLE.iter().map(show).collect()
}

/// What the worker runs with, in the order of the table.
pub fn config(layers: &Layers, root: Root) -> Vec<ConfigRow> {
    let show = |row: ParameterRow| {
        let ParameterRow { path, label, name, value, pending, .. } = row;
        ConfigRow { path, label, name, value, pending }
    };
    rows(layers, root).into_iter().map(show).collect()
}

/// The changes that wait for `apply`.
pub fn changes(layers: &Layers) -> Vec<Change> {
    let show = |change: &Candidate| Change {
        name: change.row.name.to_owned(),
        running: shown(change.row, layers.in_force(change.row).text),
        new: shown(change.row, &change.text),
        who: change.who.clone(),
        at: change.at,
    };
    layers.candidate.iter().map(show).collect()
}

pub(super) fn shown(row: &Row, text: &str) -> String {
    if row.secret { Secret::new(text).masked().to_owned() } else { text.to_owned() }
}
