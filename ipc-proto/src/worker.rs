//! The worker protocol: what `cwmp-supervisor` and `cwmpd` say to each other.
//!
//! The supervisor sends [`ToWorker`], the worker [`ToSupervisor`]. Either side counts the link as lost when
//! three heartbeats are missed. A changed byte needs a new number in [`crate::version`].

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    CwmpVersion, Fault, HttpUrl, ParamType, Secret, UtcTime,
    listing::Listing,
    retry::RetryPolicy,
    text::{CommandKey, ParameterKey},
};
pub use crate::{
    attributes::{Attributes, Notification, SetAttributes},
    event::{Event, EventCode, EventId},
    outcome::{Failure, Outcome, Stage},
    retry::RetryState,
    set_values::{DeclaredType, RowChange, SetStatus, SetValue},
};

/// From the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// I am here.
    Heartbeat,
    /// Said without being asked.
    Push(Push),
    /// The answer to the query of that id.
    Reply {
        /// Of the query.
        id: u32,
        /// The answer.
        reply: Reply,
    },
}

/// What the supervisor says without being asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// The whole configuration; the first push after Hello, and whenever it changes.
    Config(Box<WorkerConfig>),
    /// What is waiting: after each `Config` of a new link, after each session, and when an event occurs.
    Due(Due),
    /// Someone asked for a session now (`cwmp inform`).
    InformNow,
    /// End that session as failed.
    EndSession(SessionId),
    /// Leave: exit 0 at once.
    Stop,
}

/// What the worker runs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// Grows with every change.
    pub revision: u64,
    /// The ACS, or none: CWMP is disabled or no URL is known, and no session is opened.
    pub acs: Option<Acs>,
    /// PeriodicInform, or none when it is not enabled.
    pub periodic: Option<Periodic>,
    /// Where the ACS may ask for a session, or none: it may not.
    pub connection_request: Option<ConnectionRequest>,
    /// Waits before retries.
    pub retry: RetryPolicy,
    /// Clocks of the daemon.
    pub timing: Timing,
    /// The system says that its clock is right: dates of certificates count in full, and CurrentTime is known.
    pub clock_synchronised: bool,
}

/// The ACS to talk to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acs {
    /// Where it is.
    pub url: HttpUrl,
    /// How long to wait for each of its answers, in CWMP seconds.
    pub response_timeout: u32,
    /// For its login (TR-069 3.4.4); used only when it asks.
    pub username: String,
    /// For its login.
    pub password: Secret,
    /// Hosts that a redirect may lead to; empty: any.
    pub allow_hosts: Vec<String>,
    /// A Basic challenge over plain http may be answered.
    pub allow_basic_http: bool,
    /// Whom to believe over https.
    pub trust: Trust,
    /// The newest version to offer: what a person pinned, or what this URL fell back to (DECISIONS 14).
    pub max_version: CwmpVersion,
    /// Header SessionTimeout: how many seconds the ACS should wait for us.
    pub session_timeout: u32,
    /// Messages with prefixes that are not declared are read all the same.
    pub lenient: bool,
}

/// Whom to believe over https; PEM texts, never paths (DECISIONS on what the worker may read).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trust {
    /// Certificates of the authorities that may vouch for the ACS, PEM.
    pub authorities: String,
    /// Our own certificate with its chain, PEM; empty: none is shown.
    pub certificate: String,
    /// The key of our certificate, PEM.
    pub key: Secret,
    /// SHA-256 of the one certificate (DER) that is believed, whoever vouches for it.
    pub pin: Option<[u8; 32]>,
}

/// Where the ACS may ask for a session over HTTP (TR-069 3.2.2), and how it proves that it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRequest {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The one path that is served, with its slash.
    pub path: String,
    /// Digest user name; empty: every request gets 401.
    pub username: String,
    /// Digest password; empty: every request gets 401.
    pub password: Secret,
}

/// PeriodicInform: at `phase` and every `interval` before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periodic {
    /// CWMP seconds, from 1.
    pub interval: u32,
    /// PeriodicInformTime, or this device's own random phase where that is unknown.
    pub phase: UtcTime,
}

/// Clocks of the daemon, in milliseconds unless named otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// How long a CWMP second lasts: 1000, less in tests.
    pub second_ms: u32,
    /// Between two heartbeats.
    pub heartbeat_ms: u32,
    /// The worker's wait for a reply; longer than the supervisor's own limit for a query.
    pub reply_ms: u32,
    /// The longest session, in seconds.
    pub session_max_s: u32,
}

/// What waits to be told to the ACS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Undelivered events are stored.
    pub events: bool,
    /// Something happened since the last attempt that brings a retry forward, once: an event, or a new URL.
    pub fresh: bool,
    /// Failed sessions since the last good one.
    pub retry: RetryState,
}

/// Of an open session; a query with another one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u32);

/// Of a prepared read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadId(pub u32);

/// From the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// I am here.
    Heartbeat,
    /// A question; its `Reply` carries the same id.
    Query {
        /// Counts up; chosen by the worker.
        id: u32,
        /// The question.
        query: Query,
    },
    /// Said without wanting an answer.
    Report(Report),
}

/// What the worker asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Open a session: from now on only its queries change anything. Answer: `SessionOpened`.
    OpenSession {
        /// What for.
        why: Why,
        /// Our address on the connection to the ACS, once there is one: the host of ConnectionRequestURL.
        local: Option<IpAddr>,
        /// The ACS's, by which the supervisor notices that ours on the way to it has changed.
        peer: Option<IpAddr>,
        /// Of the configuration that the connection was made with. `Outdated` where the ACS is another one by now.
        revision: u64,
    },
    /// The ACS has answered the Inform that carried these events. Committed, then `Done`.
    InformAcknowledged {
        /// The open session.
        session: SessionId,
        /// The events that stood in the Inform.
        events: Vec<EventId>,
    },
    /// Resolve names and capture what is read. Answer: `Prepared` or `Fault`.
    Prepare {
        /// The open session.
        session: SessionId,
        /// What to read.
        read: Read,
    },
    /// Page `page` (from 0) of a prepared read. Answer: `Page`.
    Page {
        /// The open session.
        session: SessionId,
        /// The prepared read.
        read: ReadId,
        /// Counts from 0; may be asked again.
        page: u32,
    },
    /// SetParameterValues, all or nothing. Committed, then `Set`, or `Fault`.
    Set {
        /// The open session.
        session: SessionId,
        /// In the order of the request.
        values: Vec<SetValue>,
        /// Stored when all of it succeeds.
        parameter_key: ParameterKey,
    },
    /// AddObject or DeleteObject. Committed, then `Added` or `Set`, or `Fault`.
    Row {
        /// The open session.
        session: SessionId,
        /// What is to happen.
        change: RowChange,
        /// Path of the table for `Add`, of the row for `Delete`, as the ACS sent it.
        name: String,
        /// Stored when it succeeds.
        parameter_key: ParameterKey,
    },
    /// Reboot: done once the session has ended. Committed, then `Done`, or `Fault`.
    Reboot {
        /// The open session.
        session: SessionId,
        /// Of its M Reboot.
        command_key: CommandKey,
    },
    /// FactoryReset: done once the session has ended. Committed, then `Done`, or `Fault`.
    FactoryReset {
        /// The open session.
        session: SessionId,
    },
    /// ScheduleInform. Committed, then `Done`, or `Fault`.
    ScheduleInform {
        /// The open session.
        session: SessionId,
        /// CWMP seconds from now on, from 1.
        delay_seconds: u32,
        /// Of its M ScheduleInform.
        command_key: CommandKey,
    },
    /// SetParameterAttributes, all or nothing. Committed, then `Done`, or `Fault`.
    SetAttributes {
        /// The open session.
        session: SessionId,
        /// In the order of the request: a later one counts over an earlier one.
        attributes: Vec<SetAttributes>,
    },
}

/// Why a session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Undelivered events.
    Events,
    /// The PeriodicInform timer.
    Periodic,
    /// The last session failed.
    Retry,
    /// Someone asked for it.
    Asked,
    /// The ACS asked for it.
    ConnectionRequest,
}

/// What a prepared read is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Read {
    /// GetParameterValues: names as the ACS sent them.
    Values(Vec<String>),
    /// GetParameterNames: the path as the ACS sent it.
    Names {
        /// Full, partial or empty.
        path: String,
        /// Children only.
        next_level: bool,
    },
    /// GetParameterAttributes: names as the ACS sent them.
    Attributes(Vec<String>),
}

/// The supervisor's answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done and, where it changed anything, on disk.
    Done,
    /// The session is open.
    SessionOpened(Box<SessionOpened>),
    /// The read is captured.
    Prepared {
        /// Its id, good until the session ends or the next `Prepare`.
        read: ReadId,
        /// How many entries all pages have together.
        count: u32,
    },
    /// A page.
    Page(Page),
    /// The values are set, or the row is deleted.
    Set(SetStatus),
    /// The row is there, with this number.
    Added(u32, SetStatus),
    /// Refused with a CWMP fault for the ACS.
    Fault(Fault),
    /// Refused: that session is not open (any more).
    NoSession,
    /// Refused, and no failure: a newer configuration of the ACS was pushed before this.
    Outdated,
}

/// What an Inform is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Names it in every query.
    pub session: SessionId,
    /// RetryCount of the Inform.
    pub retry_count: u32,
    /// DeviceIdStruct.
    pub device: DeviceId,
    /// At most 64, oldest first.
    pub events: Vec<Event>,
    /// The forced parameters, and those that changed.
    pub parameters: Listing<ParamType>,
    /// What we ask of the ACS in this session, in order.
    pub requests: Vec<CpeRequest>,
}

/// An RPC that the CPE calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CpeRequest {
    /// Which methods has the ACS?
    GetRpcMethods,
}

/// DeviceIdStruct (TR-069 A.3.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceId {
    /// Up to 64 characters.
    pub manufacturer: String,
    /// Six upper-case hexadecimal digits.
    pub oui: String,
    /// Up to 64 characters; may be empty.
    pub product_class: String,
    /// Up to 64 characters.
    pub serial_number: String,
}

/// Some entries of a prepared read, of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Page {
    /// Of `Read::Values`: each value as it stands in a SOAP message, with its type.
    Values(Listing<ParamType>),
    /// Of `Read::Names`: no values; whether it can be set, or takes AddObject or DeleteObject.
    Names(Listing<bool>),
    /// Of `Read::Attributes`: no values.
    Attributes(Listing<Attributes>),
}

/// What the worker says without wanting an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// That revision of the configuration is in use.
    InUse(u64),
    /// When the next session is due and why, or none; the latest counts.
    Next(Option<NextSession>),
    /// The port that connection requests come in by, or why there is none.
    Listening(Result<u16, String>),
    /// Lines of the client log.
    Log(Vec<ClientLine>),
    /// The session is over.
    SessionClosed {
        /// Which.
        session: SessionId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The ACS does not take an Inform of the version that was offered; the session fails.
    VersionRefused {
        /// The open session.
        session: SessionId,
        /// The version.
        offered: CwmpVersion,
    },
}

/// What the worker tells of its talk with the ACS, as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLine {
    /// When.
    pub at: UtcTime,
    /// In which session, if in one.
    pub session: Option<SessionId>,
    /// In a word or two: the RPC's name, `session opened`, `connection request`.
    pub what: String,
    /// What it was about and what was done; at most 1000 characters, no secrets.
    pub detail: String,
    /// How long it took, in milliseconds, where that means something.
    pub took_ms: Option<u32>,
}

/// The next session that a timer will open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextSession {
    /// When.
    pub at: UtcTime,
    /// Why.
    pub why: Why,
}
