//! The management protocol: what `cwmpctl` and other front ends ask of `cwmp-supervisor`.
//!
//! A client sends a [`Request`] and gets one final [`Response`]; [`Response::Waiting`] may come before it.
//! The JSON of `cwmpctl --json` has the same fields.

use serde::{Deserialize, Serialize};

use crate::{
    Secret, UtcTime, Value,
    worker::{NextSession, Stage},
};

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Put a change into the candidate. Answer: `Done`.
    Set {
        /// CLI name.
        name: String,
        /// The new value; it may be a secret.
        value: Secret,
    },
    /// One parameter, by CLI name or by its path in the data model. Answer: `Value`.
    Get {
        /// The name.
        name: String,
    },
    /// `show cwmp`. Answer: `Parameters`.
    ShowParameters,
    /// `show changes`. Answer: `Changes`.
    ShowChanges,
    /// Make the candidate the running configuration. Answer: `Done`.
    Apply {
        /// Even where the running value has changed since.
        force: bool,
        /// End an open session first instead of waiting for it.
        now: bool,
        /// Undo it after so many minutes, unless a session succeeds with it or a person says `confirm`.
        confirm: Option<u32>,
    },
    /// Make the running configuration the startup one. Answer: `Done`.
    Save,
    /// Drop the candidate. Answer: `Done`.
    Revert,
    /// `cwmp show status`. Answer: `Status`.
    Status,
    /// `cwmp show config`: what the worker runs with. Answer: `Config`.
    ShowConfig,
    /// Lines of a log, oldest first. Answer: `Log`, and more of them when it is followed.
    ShowLog {
        /// Which.
        log: Log,
        /// Only lines with a larger id; 0 for all.
        after_id: u64,
        /// Only lines from then on.
        since: Option<UtcTime>,
        /// The newest so many of them.
        limit: u32,
        /// Go on with new lines until the client leaves.
        follow: bool,
    },
    /// `cwmp show status --watch`: a `StatusNow` at once and after each change, until the client leaves.
    WatchStatus,
    /// `cwmp inform`: open a session now. Answer: `Done`.
    Inform,
    /// `cwmp restart`: restart the worker, by force if it hangs. Answer: `Done`.
    Restart,
    /// What `apply confirm` made running stays. Answer: `Done`.
    Confirm,
    /// Restart the device. Answer: `Done`, once its command was started.
    Reboot {
        /// End an open session first instead of waiting for it.
        now: bool,
    },
    /// Bring the factory values back. Answer: `Done`, once they are in force.
    FactoryReset {
        /// End an open session first instead of waiting for it.
        now: bool,
    },
}

impl Request {
    /// True when it changes something: only an admin may.
    pub const fn changes(&self) -> bool {
        match self {
            Self::Set { .. }
            | Self::Apply { .. }
            | Self::Save
            | Self::Revert
            | Self::Inform
            | Self::Restart
            | Self::Confirm
            | Self::Reboot { .. }
            | Self::FactoryReset { .. } => true,
            Self::Get { .. }
            | Self::ShowParameters
            | Self::ShowChanges
            | Self::ShowConfig
            | Self::ShowLog { .. }
            | Self::Status
            | Self::WatchStatus => false,
        }
    }
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Not final: the request waits for this.
    Waiting(String),
    /// Done; lines that a person should read.
    Done(Vec<String>),
    /// Refused or failed, and nothing changed: why, and what to do.
    Refused(String),
    /// A value of the data model.
    Value {
        /// Its name, as asked.
        name: String,
        /// The value; a secret reads as empty.
        value: Value,
    },
    /// The table of parameters.
    Parameters(Vec<ParameterRow>),
    /// The candidate.
    Changes(Vec<Change>),
    /// The status.
    Status(Box<Status>),
    /// Not final: the status of a `WatchStatus`.
    StatusNow(Box<Status>),
    /// What the worker runs with.
    Config(Vec<ConfigRow>),
    /// Lines of a log; not final while it is followed.
    Log {
        /// Oldest first.
        lines: Vec<LogLine>,
        /// More may follow.
        more: bool,
    },
}

/// The two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Log {
    /// Who changed which parameter.
    Config,
    /// What was said with the ACS.
    Client,
}

/// A line of a log; ids grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Grows by one a line, in each log.
    pub id: u64,
    /// When.
    pub at: UtcTime,
    /// What.
    pub entry: LogEntry,
}

/// What a log line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEntry {
    /// A change of the configuration, or an act such as a factory reset. Secrets are masked.
    Change {
        /// User name, or `acs`.
        who: String,
        /// How it came.
        source: Source,
        /// CLI name; of an act its name, with both values empty.
        name: String,
        /// Before.
        old: String,
        /// After.
        new: String,
        /// Of the configuration that holds it.
        revision: u64,
        /// The worker uses that revision, or a later one.
        in_use: bool,
    },
    /// Something between us and the ACS.
    Client {
        /// Number of the session, if in one.
        session: Option<u32>,
        /// In a word or two.
        what: String,
        /// What it was about and what was done.
        detail: String,
        /// Milliseconds, where that means something.
        took_ms: Option<u32>,
    },
}

/// One parameter as the worker runs with it. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRow {
    /// Path in the data model, if it has one.
    pub path: Option<String>,
    /// For people.
    pub label: String,
    /// CLI name.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// The change that waits for `apply`, if any.
    pub pending: Option<String>,
}

impl Response {
    /// False when another response follows.
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting(_) | Self::StatusNow(_) | Self::Log { more: true, .. })
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The table's default or the settings' `[factory]`.
    Factory,
    /// A person at the command line.
    Cli,
    /// A person at the web page.
    Web,
    /// A configuration file.
    File,
    /// A DHCP server.
    Dhcp,
    /// The ACS.
    Acs,
    /// Made by the CWMP stack itself.
    Stack,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Factory => "factory",
            Self::Cli => "cli",
            Self::Web => "web",
            Self::File => "file",
            Self::Dhcp => "dhcp",
            Self::Acs => "acs",
            Self::Stack => "stack",
        })
    }
}

/// One row of `show cwmp`. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterRow {
    /// CLI name.
    pub name: String,
    /// For people.
    pub label: String,
    /// Path in the data model, if it has one.
    pub path: Option<String>,
    /// The value in force.
    pub value: String,
    /// Where that comes from.
    pub source: Source,
    /// False when a restart of the device would bring another value.
    pub saved: bool,
    /// The change that waits for `apply`, if any.
    pub pending: Option<String>,
    /// What it does and what it takes.
    pub help: String,
}

/// One change of the candidate. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// CLI name.
    pub name: String,
    /// The value in force.
    pub running: String,
    /// What `apply` would make it.
    pub new: String,
    /// Who set it.
    pub who: String,
    /// When.
    pub at: UtcTime,
}

/// The answer to "what is going on?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The ACS.
    pub acs: AcsStatus,
    /// The last session that ended, if any.
    pub last_session: Option<LastSession>,
    /// The session that is open now, since when.
    pub open_session: Option<UtcTime>,
    /// The next session that a timer will open, if any.
    pub next_session: Option<NextSession>,
    /// Failed sessions since the last good one: RetryCount.
    pub retry_count: u32,
    /// The worker.
    pub worker: WorkerStatus,
    /// Empty while no connection request can come in.
    pub connection_request_url: String,
    /// Why no connection request can come in, if none can.
    pub connection_request_problem: Option<String>,
    /// What a person should know: a store that cannot be written, a file that was set aside.
    pub warnings: Vec<String>,
    /// What is under way and not done, or failed.
    pub waiting: Vec<Waiting>,
}

/// Something that was asked for and is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What.
    pub what: WaitingFor,
    /// What it waits for and what comes then, or why it failed.
    pub why: String,
    /// The end of the wait, where there is one.
    pub until: Option<UtcTime>,
    /// It failed: a person should look at it.
    pub failed: bool,
}

/// `waiting.what`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// The device is to restart.
    Reboot,
    /// The factory values are to come back, or the device's own part of that is to be done.
    FactoryReset,
    /// A change is undone unless it proves good.
    Confirm,
}

impl std::fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reboot => "reboot",
            Self::FactoryReset => "factory reset",
            Self::Confirm => "confirm",
        })
    }
}

/// How things stand with the ACS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcsStatus {
    /// In one word.
    pub state: AcsState,
    /// Where the last session failed, if it did.
    pub stage: Option<Stage>,
    /// What to do about it.
    pub reason: Option<String>,
    /// The URL in force, or empty.
    pub url: String,
    /// Where that comes from.
    pub url_source: Source,
}

/// `acs.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcsState {
    /// cwmp.enable is 0.
    Disabled,
    /// No URL is known.
    NoUrl,
    /// No session has ended yet.
    Never,
    /// The last finished session succeeded.
    Connected,
    /// The last finished session failed.
    Disconnected,
}

/// A session that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSession {
    /// When it was opened.
    pub started: UtcTime,
    /// When it ended.
    pub ended: UtcTime,
    /// The events of its Inform, such as `1 BOOT`.
    pub events: Vec<String>,
    /// `succeeded`, or the stage and the reason.
    pub outcome: String,
}

/// How the worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// In one word.
    pub state: WorkerState,
    /// Its process, while it is connected.
    pub pid: Option<i32>,
    /// How often it was started again since the supervisor started.
    pub restarts: u32,
    /// The revision of the configuration that it uses, 0 for none.
    pub revision: u64,
    /// The revision that it should use.
    pub revision_wanted: u64,
    /// Why it is not running, if it is not.
    pub reason: Option<String>,
}

/// `worker.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Started, or awaited; no Hello yet.
    Starting,
    /// Connected.
    Running,
    /// Died; started again after a wait.
    Waiting,
    /// Speaks another protocol number.
    Incompatible,
}
