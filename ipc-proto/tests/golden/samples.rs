//! A sample of every variant of every enum that travels; no two fields of a sample are equal.

use ipc_proto::{
    CwmpVersion, Fault, FaultCode, HttpUrl, ParamType, ParameterFault, Secret, Text, UtcTime, Value,
    control::*, listing::Listing, retry::RetryPolicy, value::DateTime, version::Protocol, worker::*,
};

use crate::{Golden, Wire};

/// Names the variants; the match is exhaustive, so a new variant does not compile without a name here.
macro_rules! wire {
    ($($name:ident: $($variant:ident)*;)*) => { $(
        impl Wire for $name {
            const NAME: &'static str = stringify!($name);
            const VARIANTS: &'static [&'static str] = &[$(stringify!($variant)),*];
            fn variant(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),* }
            }
        }
    )* };
}

wire! {
    ToWorker: Heartbeat Push Reply;
    Push: Config Due InformNow EndSession Stop;
    ToSupervisor: Heartbeat Query Report;
    Query: OpenSession InformAcknowledged Prepare Page Set Row Reboot FactoryReset ScheduleInform SetAttributes;
    Notification: Off Passive Active;
    RowChange: Add Delete;
    Why: Events Periodic Retry Asked ConnectionRequest;
    Read: Values Names Attributes;
    DeclaredType: Absent Known Unknown;
    Reply: Done SessionOpened Prepared Page Set Added Fault NoSession Outdated;
    SetStatus: Applied Later;
    CwmpVersion: V1_0 V1_1 V1_2 V1_3 V1_4;
    CpeRequest: GetRpcMethods;
    EventCode: Bootstrap Boot Periodic ConnectionRequest ValueChange Scheduled MReboot MScheduleInform;
    Page: Values Names Attributes;
    Report: InUse Next Listening Log SessionClosed VersionRefused;
    Outcome: Succeeded Failed;
    Stage: Network Dns Tcp Tls Certificate Http Redirect Auth Soap Fault Timeout Worker;
    FaultCode: MethodNotSupported RequestDenied InternalError InvalidArguments ResourcesExceeded
        InvalidParameterName InvalidParameterType InvalidParameterValue NonWritableParameter NotificationRejected;
    ParamType: String Int UnsignedInt Long UnsignedLong Boolean DateTime Base64 HexBinary;
    Value: String Int UnsignedInt Long UnsignedLong Boolean DateTime Base64 HexBinary;
    Request: Set Get ShowParameters ShowChanges Apply Save Revert Status ShowConfig
        ShowLog WatchStatus Inform Restart Confirm Reboot FactoryReset;
    Log: Config Client;
    LogEntry: Change Client;
    Response: Waiting Done Refused Value Parameters Changes Status StatusNow Config
        Log;
    Source: Factory Cli Web File Dhcp Acs Stack;
    AcsState: Disabled NoUrl Never Connected Disconnected;
    WorkerState: Starting Running Waiting Incompatible;
    WaitingFor: Reboot FactoryReset Confirm;
}

pub fn worker() -> Golden {
    let mut golden = Golden::of(Protocol::Worker);
    golden.add([
        ToWorker::Heartbeat,
        ToWorker::Push(Push::Stop),
        ToWorker::Reply { id: 7, reply: Reply::Done },
    ]);
    golden.add([
        Push::Config(Box::new(config())),
        Push::Config(Box::new(WorkerConfig { acs: None, periodic: None, ..config() })),
        Push::Due(Due { events: true, fresh: false, retry: RetryState { count: 3, since_boot: 2 } }),
        Push::InformNow,
        Push::EndSession(SessionId(9)),
        Push::Stop,
    ]);
    golden.add([
        ToSupervisor::Heartbeat,
        ToSupervisor::Query {
            id: 7,
            query: Query::OpenSession { why: Why::Asked, local: None, peer: None, revision: 1 },
        },
        ToSupervisor::Report(Report::InUse(5)),
    ]);
    golden.add(queries());
    golden.add([Why::Events, Why::Periodic, Why::Retry, Why::Asked, Why::ConnectionRequest]);
    golden.add([
        Read::Values(vec!["Device.".into(), "Device.A".into()]),
        Read::Names { path: "Device.".into(), next_level: true },
        Read::Attributes(vec!["Device.B".into()]),
    ]);
    golden.add([DeclaredType::Absent, DeclaredType::Known(ParamType::UnsignedInt), DeclaredType::Unknown]);
    golden.add(replies());
    golden.add([SetStatus::Applied, SetStatus::Later]);
    golden.add([RowChange::Add, RowChange::Delete]);
    golden.add(Notification::ALL);
    golden.add(EventCode::ALL);
    golden.add(CwmpVersion::ALL);
    golden.add([CpeRequest::GetRpcMethods]);
    golden.add(pages());
    golden.add([
        Report::InUse(u64::MAX),
        Report::Next(Some(NextSession { at: at(1), why: Why::Retry })),
        Report::Next(None),
        Report::Listening(Ok(7547)),
        Report::Listening(Err("in use".into())),
        Report::Log(vec![ClientLine {
            at: at(1),
            session: Some(SessionId(9)),
            what: "Inform".into(),
            detail: "1 BOOT".into(),
            took_ms: Some(12),
        }]),
        Report::SessionClosed { session: SessionId(9), outcome: Outcome::Succeeded },
        Report::VersionRefused { session: SessionId(9), offered: CwmpVersion::V1_4 },
    ]);
    golden
        .add([Outcome::Succeeded, Outcome::Failed(Failure { stage: Stage::Tcp, reason: "refused".into() })]);
    golden.add(Stage::ALL);
    golden.add([
        FaultCode::MethodNotSupported,
        FaultCode::RequestDenied,
        FaultCode::InternalError,
        FaultCode::InvalidArguments,
        FaultCode::ResourcesExceeded,
        FaultCode::InvalidParameterName,
        FaultCode::InvalidParameterType,
        FaultCode::InvalidParameterValue,
        FaultCode::NonWritableParameter,
        FaultCode::NotificationRejected,
    ]);
    golden.add(ParamType::ALL);
    golden.add(values());
    golden
}

pub fn control() -> Golden {
    let mut golden = Golden::of(Protocol::Control);
    golden.add([
        Request::Set { name: "cwmp.acs_password".into(), value: Secret::new("canary") },
        Request::Get { name: "cwmp.enable".into() },
        Request::ShowParameters,
        Request::ShowChanges,
        Request::Apply { force: true, now: false, confirm: None },
        Request::Apply { force: false, now: true, confirm: Some(5) },
        Request::Save,
        Request::Revert,
        Request::Status,
        Request::ShowConfig,
        Request::ShowLog { log: Log::Config, after_id: 5, since: Some(at(0)), limit: 100, follow: true },
        Request::WatchStatus,
        Request::Inform,
        Request::Restart,
        Request::Confirm,
        Request::Reboot { now: true },
        Request::FactoryReset { now: false },
    ]);
    golden.add(responses());
    golden.add([Log::Config, Log::Client]);
    golden.add(log_entries());
    golden.add([
        Source::Factory,
        Source::Cli,
        Source::Web,
        Source::File,
        Source::Dhcp,
        Source::Acs,
        Source::Stack,
    ]);
    golden.add([
        AcsState::Disabled,
        AcsState::NoUrl,
        AcsState::Never,
        AcsState::Connected,
        AcsState::Disconnected,
    ]);
    golden.add([
        WorkerState::Starting,
        WorkerState::Running,
        WorkerState::Waiting,
        WorkerState::Incompatible,
    ]);
    golden.add([WaitingFor::Reboot, WaitingFor::FactoryReset, WaitingFor::Confirm]);
    // These travel in answers too.
    golden.add([Why::Events, Why::Periodic, Why::Retry, Why::Asked, Why::ConnectionRequest]);
    golden.add(Stage::ALL);
    golden.add(values());
    golden
}

fn config() -> WorkerConfig {
    WorkerConfig {
        revision: 5,
        acs: Some(Acs {
            url: HttpUrl::parse("https://acs.example.org/cwmp").unwrap(),
            response_timeout: 30,
            username: "00D09E-Class-S1".into(),
            password: Secret::new("canary"),
            allow_hosts: vec!["acs.example.org".into()],
            allow_basic_http: true,
            trust: Trust {
                authorities: "-----BEGIN CERTIFICATE-----".into(),
                certificate: String::new(),
                key: Secret::new("-----BEGIN PRIVATE KEY-----"),
                pin: Some([7; 32]),
            },
            max_version: CwmpVersion::V1_1,
            session_timeout: 60,
            lenient: true,
        }),
        connection_request: Some(ConnectionRequest {
            listen: "[::]:7547".parse().unwrap(),
            path: "/x".into(),
            username: "acs".into(),
            password: Secret::new("canary"),
        }),
        periodic: Some(Periodic { interval: 86_400, phase: at(0) }),
        retry: RetryPolicy { min_wait: 6, multiplier: 2000 },
        timing: Timing { second_ms: 1000, heartbeat_ms: 10_000, reply_ms: 25_000, session_max_s: 600 },
        clock_synchronised: true,
    }
}

fn queries() -> Vec<Query> {
    let session = SessionId(9);
    let value =
        |name: &str, declared, text: &str| SetValue { name: name.into(), declared, text: text.into() };
    vec![
        Query::OpenSession {
            why: Why::Events,
            local: Some("192.0.2.1".parse().unwrap()),
            peer: Some("2001:db8::1".parse().unwrap()),
            revision: 300,
        },
        Query::InformAcknowledged { session, events: vec![EventId(1), EventId(300)] },
        Query::Prepare { session, read: Read::Values(vec![String::new()]) },
        Query::Page { session, read: ReadId(4), page: 37 },
        Query::Set {
            session,
            values: vec![
                value("Device.A", DeclaredType::Known(ParamType::Boolean), "1"),
                value("Device.B", DeclaredType::Absent, ""),
            ],
            parameter_key: Text::new("key").unwrap(),
        },
        Query::Row {
            session,
            change: RowChange::Add,
            name: "Device.T.".into(),
            parameter_key: Text::new("k1").unwrap(),
        },
        Query::Row {
            session,
            change: RowChange::Delete,
            name: "Device.T.1.".into(),
            parameter_key: Text::new("k2").unwrap(),
        },
        Query::Reboot { session, command_key: Text::new("k3").unwrap() },
        Query::FactoryReset { session },
        Query::ScheduleInform { session, delay_seconds: 3600, command_key: Text::new("k4").unwrap() },
        Query::SetAttributes {
            session,
            attributes: vec![SetAttributes {
                name: "Device.C".into(),
                notification: Some(Notification::Passive),
                subscriber: Some(false),
            }],
        },
    ]
}

fn replies() -> Vec<Reply> {
    let opened = SessionOpened {
        session: SessionId(9),
        retry_count: 2,
        device: DeviceId {
            manufacturer: "Maker".into(),
            oui: "00D09E".into(),
            product_class: "Class".into(),
            serial_number: "S1".into(),
        },
        events: vec![Event { id: EventId(1), code: EventCode::Boot, command_key: Text::new("ck").unwrap() }],
        parameters: Listing::from_iter([("Device.A", "1", ParamType::UnsignedInt)]),
        requests: vec![CpeRequest::GetRpcMethods],
    };
    let fault = Fault::bad_parameters(vec![ParameterFault::new(
        "Device.B",
        FaultCode::NonWritableParameter,
        "read-only",
    )]);
    vec![
        Reply::Done,
        Reply::SessionOpened(Box::new(opened)),
        Reply::Prepared { read: ReadId(4), count: 251 },
        Reply::Page(Page::Values(Listing::default())),
        Reply::Set(SetStatus::Later),
        Reply::Added(12, SetStatus::Applied),
        Reply::Fault(fault),
        Reply::NoSession,
        Reply::Outdated,
    ]
}

fn pages() -> Vec<Page> {
    vec![
        Page::Values(Listing::from_iter([("Device.A.1.B", "x", ParamType::String)])),
        Page::Names(Listing::from_iter([("Device.A.", "", false), ("Device.A.1.B", "", true)])),
        Page::Attributes(Listing::from_iter([(
            "Device.D",
            "",
            Attributes { notification: Notification::Active, subscriber: true },
        )])),
    ]
}

fn values() -> Vec<Value> {
    vec![
        Value::String("gr\u{fc}n \u{1F600}".into()),
        Value::Int(i32::MIN),
        Value::UnsignedInt(u32::MAX),
        Value::Long(-2),
        Value::UnsignedLong(u64::MAX),
        Value::Boolean(false),
        Value::Boolean(true),
        Value::DateTime(DateTime::parse("2026-01-31T12:00:00.5+02:00").unwrap()),
        Value::Base64(vec![0, 255]),
        Value::HexBinary(vec![1, 2, 3]),
    ]
}

fn responses() -> Vec<Response> {
    let row = ParameterRow {
        name: "cwmp.enable".into(),
        label: "Enable".into(),
        path: Some("Device.M.E".into()),
        value: "1".into(),
        source: Source::Cli,
        saved: true,
        pending: Some("0".into()),
        help: "what it does".into(),
    };
    let bare = ParameterRow { path: None, pending: None, saved: false, ..row.clone() };
    let change = Change {
        name: "cwmp.enable".into(),
        running: "1".into(),
        new: "0".into(),
        who: "cli".into(),
        at: at(0),
    };
    let bare_status = Status {
        acs: AcsStatus { stage: None, reason: None, ..status().acs },
        last_session: None,
        open_session: None,
        next_session: None,
        worker: WorkerStatus { pid: None, reason: None, ..status().worker },
        ..status()
    };
    let config_row = ConfigRow {
        path: Some("Device.M.E".into()),
        label: "Enable".into(),
        name: "cwmp.enable".into(),
        value: "1".into(),
        pending: None,
    };
    let lines = log_entries().into_iter().map(|entry| LogLine { id: 7, at: at(5), entry }).collect();
    vec![
        Response::Waiting("a session is open".into()),
        Response::Done(vec!["one".into(), "two".into()]),
        Response::Refused("why".into()),
        Response::Value { name: "Device.A".into(), value: Value::Int(-1) },
        Response::Parameters(vec![row, bare]),
        Response::Changes(vec![change]),
        Response::Status(Box::new(status())),
        Response::Status(Box::new(bare_status)),
        Response::StatusNow(Box::new(status())),
        Response::Config(vec![config_row]),
        Response::Log { lines, more: true },
    ]
}

fn log_entries() -> Vec<LogEntry> {
    vec![
        LogEntry::Change {
            who: "joe".into(),
            source: Source::Cli,
            name: "cwmp.enable".into(),
            old: "1".into(),
            new: "0".into(),
            revision: 3,
            in_use: true,
        },
        LogEntry::Client { session: Some(9), what: "Inform".into(), detail: "1 BOOT".into(), took_ms: None },
    ]
}

fn status() -> Status {
    Status {
        acs: AcsStatus {
            state: AcsState::Disconnected,
            stage: Some(Stage::Dns),
            reason: Some("no such name".into()),
            url: "http://acs/".into(),
            url_source: Source::Dhcp,
        },
        last_session: Some(LastSession {
            started: at(1),
            ended: at(2),
            events: vec!["1 BOOT".into()],
            outcome: "dns".into(),
        }),
        open_session: Some(at(3)),
        next_session: Some(NextSession { at: at(4), why: Why::Periodic }),
        retry_count: 8,
        worker: WorkerStatus {
            state: WorkerState::Waiting,
            pid: Some(4321),
            restarts: 6,
            revision: 10,
            revision_wanted: 11,
            reason: Some("died".into()),
        },
        connection_request_url: "http://192.0.2.1:7547/x".into(),
        connection_request_problem: Some("the port is in use".into()),
        warnings: vec!["disk full".into()],
        waiting: vec![Waiting {
            what: WaitingFor::Confirm,
            why: "or it is undone".into(),
            until: Some(at(9)),
            failed: false,
        }],
    }
}

fn at(seconds: i64) -> UtcTime {
    UtcTime::from_millis(1_750_000_000_250 + seconds * 1000)
}
