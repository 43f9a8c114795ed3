//! What the store keeps, and the writes that change it; memory and disk follow the same writes.

use std::collections::BTreeMap;

use ipc_proto::{
    UtcTime,
    text::CommandKey,
    worker::{Attributes, EventCode, EventId},
};

use crate::config::layers::Stored;

/// One change of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Forgets everything but who the device is: what follows in the same commit is a first start.
    Reset,
    /// Sets or removes a value of the startup configuration.
    Startup(&'static str, Option<Stored>),
    /// Sets or removes a running value that is not saved.
    Unsaved(&'static str, Option<Stored>),
    /// Records an event.
    AddEvent(StoredEvent),
    /// The ACS has it, or it is void.
    RemoveEvent(EventId),
    /// Sets a fact.
    Fact(Fact, String),
    /// Sets a stored value of the data model, by its full path.
    Value(String, String),
    /// Adds a row to the table of that path, and uses its number up.
    AddRow(String, u32),
    /// Takes a row away with all that is stored below it; `default` when it was there from the start.
    RemoveRow {
        /// Path of the table.
        table: String,
        /// Number of the row.
        number: u32,
        /// It is remembered that it is gone.
        default: bool,
    },
    /// Sets the attributes of a parameter, by its full path.
    Attributes(String, Attributes),
    /// The ACS knows this value of a watched parameter; none: it is not watched any more.
    Told {
        /// Full path.
        path: String,
        /// As it stands in a SOAP message.
        value: Option<String>,
        /// On disk too.
        kept: bool,
    },
}

/// An undelivered event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Grows.
    pub id: EventId,
    /// What happened.
    pub code: EventCode,
    /// Empty but for M events.
    pub command_key: CommandKey,
}

/// A single thing that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// Root object of the data model at the last start: another one raises 0 BOOTSTRAP.
    Root,
    /// The boot that the unsaved values and `RetriesSinceBoot` belong to.
    BootId,
    /// Identity, frozen at first start.
    Manufacturer,
    /// Identity, frozen at first start.
    Oui,
    /// Identity, frozen at first start.
    ProductClass,
    /// Identity, frozen at first start.
    SerialNumber,
    /// The URL in force at the last commit: another one raises 0 BOOTSTRAP.
    UrlInForce,
    /// ManagementServer.ParameterKey.
    ParameterKey,
    /// Factory value of cwmp.con_req_password.
    ConReqPassword,
    /// Path of ConnectionRequestURL, with its slash.
    ConReqPath,
    /// This device's own phase of periodic informs, in milliseconds since 1970.
    PeriodicPhase,
    /// RetryCount of the next Inform.
    RetryCount,
    /// Failed sessions since the boot.
    RetriesSinceBoot,
    /// The reboot or reset that is under way, as JSON; empty: none.
    Action,
    /// What undoes the last `apply confirm`, as JSON; empty: nothing.
    Guard,
    /// A reset is committed, and what it left in other files is not deleted yet.
    ResetUnfinished,
    /// The version of CWMP that the URL in force fell back to; empty: none (DECISIONS 14).
    FellBackTo,
    /// The ScheduleInforms that wait for their time, as JSON; empty: none.
    Scheduled,
}

impl Fact {
    /// All of them with their names on disk.
    pub const ALL: [(Self, &'static str); 18] = [
        (Self::Root, "root"),
        (Self::BootId, "boot_id"),
        (Self::Manufacturer, "manufacturer"),
        (Self::Oui, "oui"),
        (Self::ProductClass, "product_class"),
        (Self::SerialNumber, "serial_number"),
        (Self::UrlInForce, "url_in_force"),
        (Self::ParameterKey, "parameter_key"),
        (Self::ConReqPassword, "con_req_password"),
        (Self::ConReqPath, "con_req_path"),
        (Self::PeriodicPhase, "periodic_phase"),
        (Self::RetryCount, "retry_count"),
        (Self::RetriesSinceBoot, "retries_since_boot"),
        (Self::Action, "action"),
        (Self::Guard, "guard"),
        (Self::ResetUnfinished, "reset_unfinished"),
        (Self::FellBackTo, "fell_back_to"),
        (Self::Scheduled, "scheduled"),
    ];

    /// What a factory reset leaves: who the device is.
    pub const IDENTITY: [Self; 4] = [Self::Manufacturer, Self::Oui, Self::ProductClass, Self::SerialNumber];

    /// Its name on disk.
    pub fn key(self) -> &'static str {
        Self::ALL.iter().find(|(fact, _)| *fact == self).map_or("", |(_, key)| key)
    }

    /// The fact of that name, if this version knows it.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == key).map(|(fact, _)| *fact)
    }
}

/// What was found on disk at start.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// By CLI name.
    pub startup: BTreeMap<&'static str, Stored>,
    /// By CLI name.
    pub unsaved: BTreeMap<&'static str, Stored>,
    /// Oldest first.
    pub events: Vec<StoredEvent>,
    /// What is remembered.
    pub facts: BTreeMap<Fact, String>,
    /// Of the data model: tables and the number of their next row; before the rows below them.
    pub next_numbers: Vec<(String, u32)>,
    /// Rows by path that were added (true) or taken away (false), each after what it lies in.
    pub rows: Vec<(String, bool)>,
    /// Stored values by path.
    pub values: Vec<(String, String)>,
    /// Attributes that are not the default, by path.
    pub attributes: Vec<(String, Attributes)>,
    /// What the ACS knows of watched parameters, by path.
    pub told: Vec<(String, String)>,
    /// The last session that ended.
    pub last_session: Option<SessionRecord>,
    /// The largest revision of the configuration in its log.
    pub last_revision: u64,
}

/// A session that ended, for the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// When it was opened.
    pub started: UtcTime,
    /// When it ended.
    pub ended: UtcTime,
    /// Event codes, such as `1 BOOT`.
    pub events: Vec<String>,
    /// Where and why it failed, or none.
    pub failure: Option<ipc_proto::worker::Failure>,
}
