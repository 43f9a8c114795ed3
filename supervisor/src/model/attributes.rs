//! Attributes of parameters, where they are not the default, and what the ACS last knew of the watched ones.

use std::collections::BTreeMap;

use ipc_proto::{
    Fault, FaultCode, ParamType,
    worker::{Attributes, Notification, SetAttributes},
};

use super::{
    read::Sources,
    schema::{ActiveNotify, Backing, Parameter, ParameterId},
    tree::{Node, RowId, Tree},
};
use crate::store::Write;

/// Parameters whose attributes one SetParameterAttributes may change.
const MAX_CHANGED: usize = 100_000;

/// Attributes and what the ACS knows, by full path.
#[derive(Debug, Default)]
pub struct AttributeTable {
    set: BTreeMap<String, Attributes>,
    told: BTreeMap<String, String>,
    watched: Vec<Watch>,
}

/// A parameter whose changes are to be told.
#[derive(Debug)]
struct Watch {
    path: String,
    row: RowId,
    parameter: ParameterId,
    active: bool,
}

/// A watched parameter whose value is another one than the ACS knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Full path.
    pub path: String,
    /// The present value, as it stands in a SOAP message.
    pub value: String,
    /// Its type.
    pub param_type: ParamType,
    /// To be told at once.
    pub active: bool,
    /// The ACS knows an older one; else it is not a change to it.
    pub known: bool,
    /// Remembered over a restart; a live value is not.
    pub kept: bool,
}

impl Change {
    /// The write by which the ACS knows it.
    pub fn told(&self) -> Write {
        Write::Told { path: self.path.clone(), value: Some(self.value.clone()), kept: self.kept }
    }
}

impl AttributeTable {
    /// Follows what is on disk.
    pub fn load(set: Vec<(String, Attributes)>, told: Vec<(String, String)>) -> Self {
        Self { set: set.into_iter().collect(), told: told.into_iter().collect(), watched: Vec::new() }
    }

    /// As from the factory.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Sets attributes that differ from the default.
    pub fn set(&mut self, path: &str, attributes: Attributes) {
        self.set.insert(path.to_owned(), attributes);
    }

    /// What the ACS knows of a parameter now; nothing when it is not watched.
    pub fn tell(&mut self, path: &str, value: Option<&str>) {
        match value {
            Some(value) => drop(self.told.insert(path.to_owned(), value.to_owned())),
            None => drop(self.told.remove(path)),
        }
    }

    /// A row went, and all below it.
    pub fn remove_below(&mut self, row: &str) {
        self.set.retain(|path, _| !path.starts_with(row));
        self.told.retain(|path, _| !path.starts_with(row));
    }

    /// The attributes of a parameter.
    pub fn of(&self, path: &str, parameter: &Parameter) -> Attributes {
        let notify = parameter.facts.notify;
        let forced = matches!(notify, ActiveNotify::ForceEnabled | ActiveNotify::ForceDefaultEnabled);
        let notification = if forced { Notification::Active } else { Notification::Off };
        self.set.get(path).copied().unwrap_or(Attributes { notification, subscriber: true })
    }

    /// Finds out anew what is watched: after attributes, or rows, have changed.
    pub fn refresh(&mut self, tree: &Tree) {
        let mut watched = Vec::new();
        let mut watch = |path: String, row, id, active| {
            if tree.schema().parameter(id).is_some_and(is_compared) {
                watched.push(Watch { path, row, parameter: id, active });
            }
        };
        for id in tree.schema().watched_by_default() {
            for node in tree.find(&tree.schema().pattern(id), true).unwrap_or_default() {
                let path = tree.path(node);
                if let Node::Parameter(row, id) = node
                    && !self.set.contains_key(&path)
                {
                    watch(path, row, id, true);
                }
            }
        }
        for (path, attributes) in &self.set {
            if let Some((row, id, _)) = tree.parameter(path)
                && attributes.notification != Notification::Off
            {
                watch(path.clone(), row, id, attributes.notification == Notification::Active);
            }
        }
        self.watched = watched;
    }

    /// What the ACS does not know; `active_only`: of those that are to be told at once.
    pub fn changes(&self, sources: Sources<'_>, active_only: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for Watch { path, row, parameter, active } in &self.watched {
            let Some(parameter) = sources.tree.schema().parameter(*parameter) else { continue };
            if active_only && !active {
                continue;
            }
            let told = self.told.get(path);
            sources.with_value(*row, parameter, |value| {
                if told.map(String::as_str) != Some(value) {
                    changes.push(Change {
                        path: path.clone(),
                        value: value.to_owned(),
                        param_type: parameter.facts.param_type,
                        active: *active,
                        known: told.is_some(),
                        kept: is_kept(parameter),
                    });
                }
            });
        }
        changes
    }

    /// What the ACS knows of the watched parameters that its own writes change (SPV-13, OBJ-08): `after` is the
    /// configuration as they leave it.
    pub fn told_by_acs(&self, after: Sources<'_>, writes: &[Write]) -> Vec<Write> {
        let set =
            |name: &str| writes.iter().any(|write| matches!(write, Write::Startup(row, _) if *row == name));
        let mut told = Vec::new();
        for Watch { path, row, parameter, .. } in &self.watched {
            let Some(parameter) = after.tree.schema().parameter(*parameter) else { continue };
            match &parameter.facts.backing {
                Backing::Config(table_row) if set(table_row.name) => {
                    let value = after.with_value(*row, parameter, str::to_owned);
                    told.push(Write::Told { path: path.clone(), value: Some(value), kept: true });
                }
                Backing::Count(table) => {
                    let is_it = |path: &str| after.tree.table(path) == Some((*row, *table));
                    let count = after.tree.count(*row, *table);
                    let count = writes.iter().find_map(|write| match write {
                        Write::AddRow(path, _) if is_it(path) => Some(count.saturating_add(1)),
                        Write::RemoveRow { table, .. } if is_it(table) => Some(count.saturating_sub(1)),
                        _ => None,
                    });
                    told.extend(count.map(|count| Write::Told {
                        path: path.clone(),
                        value: Some(count.to_string()),
                        kept: true,
                    }));
                }
                _ => {}
            }
        }
        told
    }

    /// The writes of a SetParameterAttributes, or its fault.
    pub fn plan(&self, sources: Sources<'_>, entries: &[SetAttributes]) -> Result<Vec<Write>, Fault> {
        let tree = sources.tree;
        let mut planned = BTreeMap::new();
        for entry in entries {
            let shown = || entry.name.chars().take(200).collect::<String>();
            let nodes = tree.find(&entry.name, false);
            let nodes = nodes.ok_or_else(|| Fault::new(FaultCode::InvalidParameterName, &shown()))?;
            let mut refused = None;
            for node in nodes {
                tree.walk(node, &mut |node| {
                    let Node::Parameter(row, id) = node else { return };
                    let Some(parameter) = tree.schema().parameter(id) else { return };
                    let path = tree.path(node);
                    let old = self.of(&path, parameter);
                    let new =
                        planned.get(&path).map_or(old, |(new, ..): &(Attributes, Attributes, _, _)| *new);
                    let notification = match (entry.notification, parameter.facts.notify) {
                        (Some(Notification::Active), ActiveNotify::CanDeny) => {
                            refused.get_or_insert_with(|| path.clone());
                            new.notification
                        }
                        // Stays as it is, whoever asks (ATTR-09).
                        (Some(_), ActiveNotify::ForceEnabled) | (None, _) => new.notification,
                        (Some(wanted), _) => wanted,
                    };
                    let subscriber = entry.subscriber.unwrap_or(new.subscriber);
                    planned.insert(path, (Attributes { notification, subscriber }, old, row, id));
                });
            }
            if let Some(path) = refused {
                return Err(Fault::new(FaultCode::NotificationRejected, &path));
            }
            if planned.len() > MAX_CHANGED {
                let detail = format!("more than {MAX_CHANGED} parameters: name fewer at once");
                return Err(Fault::new(FaultCode::ResourcesExceeded, &detail));
            }
        }
        let mut writes = Vec::new();
        for (path, (new, old, row, id)) in planned {
            if new == old {
                continue;
            }
            let (was, is) = (old.notification != Notification::Off, new.notification != Notification::Off);
            if let Some(parameter) = tree.schema().parameter(id).filter(|p| was != is && is_compared(p)) {
                let value = is.then(|| sources.with_value(row, parameter, str::to_owned));
                writes.push(Write::Told { path: path.clone(), value, kept: is_kept(parameter) });
            }
            writes.push(Write::Attributes(path, new));
        }
        Ok(writes)
    }
}

/// True where someone else than the ACS can change it: not so a stored value, and no secret is ever told.
fn is_compared(parameter: &Parameter) -> bool {
    match &parameter.facts.backing {
        Backing::Config(row) => !row.secret,
        Backing::Stored { .. } | Backing::ParameterKey => false,
        Backing::Live(_) | Backing::Info(_) | Backing::Fixed(_) | Backing::Count(_) => true,
    }
}

/// A live value moves all the time: remembering it would cost every session a write.
fn is_kept(parameter: &Parameter) -> bool {
    !matches!(parameter.facts.backing, Backing::Live(_))
}
