//! Arbitrary messages, of arbitrary valid parts.

use ipc_proto::{
    CwmpVersion, Fault, FaultCode, HttpUrl, ParamType, ParameterFault, Secret, Text, UtcTime, Value,
    control::*, listing::Listing, retry::RetryPolicy, value::DateTime, worker::*,
};
use proptest::{collection::vec, option, prelude::*, sample::select, string::string_regex};

/// Arbitrary texts, and some of this form.
pub fn text_like(form: &str) -> impl Strategy<Value = String> + use<> {
    prop_oneof![1 => any::<String>(), 9 => string_regex(form).unwrap()]
}

pub fn to_worker() -> impl Strategy<Value = ToWorker> {
    prop_oneof![
        Just(ToWorker::Heartbeat),
        push().prop_map(ToWorker::Push),
        (any::<u32>(), reply()).prop_map(|(id, reply)| ToWorker::Reply { id, reply }),
    ]
}

pub fn to_supervisor() -> impl Strategy<Value = ToSupervisor> {
    prop_oneof![
        Just(ToSupervisor::Heartbeat),
        (any::<u32>(), query()).prop_map(|(id, query)| ToSupervisor::Query { id, query }),
        report().prop_map(ToSupervisor::Report),
    ]
}

pub fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (text(), text()).prop_map(|(name, value)| Request::Set { name, value: Secret::new(value) }),
        text().prop_map(|name| Request::Get { name }),
        any::<(bool, bool, Option<u32>)>().prop_map(|(force, now, confirm)| Request::Apply {
            force,
            now,
            confirm
        }),
        any::<bool>().prop_map(|now| Request::Reboot { now }),
        any::<bool>().prop_map(|now| Request::FactoryReset { now }),
        select(vec![
            Request::ShowParameters,
            Request::ShowChanges,
            Request::Save,
            Request::Revert,
            Request::Status,
            Request::Inform,
            Request::Restart,
            Request::Confirm,
            Request::ShowConfig,
            Request::WatchStatus,
            Request::ShowLog { log: Log::Client, after_id: 1, since: None, limit: 2, follow: false },
        ]),
    ]
}

pub fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        text().prop_map(Response::Waiting),
        vec(text(), 0..4).prop_map(Response::Done),
        text().prop_map(Response::Refused),
        (text(), value()).prop_map(|(name, value)| Response::Value { name, value }),
        vec(parameter_row(), 0..4).prop_map(Response::Parameters),
        vec(change(), 0..4).prop_map(Response::Changes),
        status().prop_map(|status| Response::Status(Box::new(status))),
        status().prop_map(|status| Response::StatusNow(Box::new(status))),
        (vec(log_line(), 0..3), any::<bool>()).prop_map(|(lines, more)| Response::Log { lines, more }),
    ]
}

fn log_line() -> impl Strategy<Value = LogLine> {
    let change = ([text(), text(), text(), text()], source(), any::<(u64, bool)>()).prop_map(
        |([who, name, old, new], source, (revision, in_use))| LogEntry::Change {
            who,
            source,
            name,
            old,
            new,
            revision,
            in_use,
        },
    );
    let client = (any::<(Option<u32>, Option<u32>)>(), text(), text())
        .prop_map(|((session, took_ms), what, detail)| LogEntry::Client { session, what, detail, took_ms });
    (any::<u64>(), time(), prop_oneof![change, client]).prop_map(|(id, at, entry)| LogLine { id, at, entry })
}

fn push() -> impl Strategy<Value = Push> {
    prop_oneof![
        config().prop_map(|config| Push::Config(Box::new(config))),
        any::<(bool, bool, u32, u32)>().prop_map(|(events, fresh, count, since_boot)| {
            Push::Due(Due { events, fresh, retry: RetryState { count, since_boot } })
        }),
        Just(Push::InformNow),
        any::<u32>().prop_map(|session| Push::EndSession(SessionId(session))),
        Just(Push::Stop),
    ]
}

fn config() -> impl Strategy<Value = WorkerConfig> {
    let trust = (text(), text(), text(), any::<Option<[u8; 32]>>()).prop_map(
        |(authorities, certificate, key, pin)| Trust { authorities, certificate, key: Secret::new(key), pin },
    );
    let numbers = any::<(u32, bool, u32, bool)>();
    let acs = (url(), numbers, cwmp_version(), text(), text(), trust, vec(text(), 0..3)).prop_map(
        |(url, numbers, max_version, username, password, trust, allow_hosts)| Acs {
            url,
            response_timeout: numbers.0,
            username,
            password: Secret::new(password),
            allow_hosts,
            allow_basic_http: numbers.1,
            trust,
            max_version,
            session_timeout: numbers.2,
            lenient: numbers.3,
        },
    );
    let connection_request =
        (any::<(std::net::IpAddr, u16)>().prop_map(std::net::SocketAddr::from), text(), text(), text())
            .prop_map(|(listen, path, username, password)| ConnectionRequest {
                listen,
                path,
                username,
                password: Secret::new(password),
            });
    let periodic = (any::<u32>(), time()).prop_map(|(interval, phase)| Periodic { interval, phase });
    let retry = any::<(u32, u32)>().prop_map(|(min_wait, multiplier)| RetryPolicy { min_wait, multiplier });
    let timing = any::<[u32; 4]>().prop_map(|[second_ms, heartbeat_ms, reply_ms, session_max_s]| Timing {
        second_ms,
        heartbeat_ms,
        reply_ms,
        session_max_s,
    });
    let flags = (any::<u64>(), any::<bool>());
    (flags, option::of(acs), option::of(periodic), option::of(connection_request), retry, timing).prop_map(
        |((revision, clock_synchronised), acs, periodic, connection_request, retry, timing)| WorkerConfig {
            revision,
            acs,
            periodic,
            connection_request,
            retry,
            timing,
            clock_synchronised,
        },
    )
}

fn cwmp_version() -> impl Strategy<Value = CwmpVersion> {
    select(&CwmpVersion::ALL[..])
}

fn query() -> impl Strategy<Value = Query> {
    let session = || any::<u32>().prop_map(SessionId);
    let read = prop_oneof![
        vec(text(), 0..4).prop_map(Read::Values),
        (text(), any::<bool>()).prop_map(|(path, next_level)| Read::Names { path, next_level }),
        vec(text(), 0..4).prop_map(Read::Attributes),
    ];
    prop_oneof![
        (why(), any::<Option<std::net::IpAddr>>(), any::<Option<std::net::IpAddr>>(), any::<u64>())
            .prop_map(|(why, local, peer, revision)| Query::OpenSession { why, local, peer, revision }),
        (session(), vec(any::<u64>().prop_map(EventId), 0..4))
            .prop_map(|(session, events)| Query::InformAcknowledged { session, events }),
        (session(), read).prop_map(|(session, read)| Query::Prepare { session, read }),
        (session(), any::<u32>(), any::<u32>()).prop_map(|(session, read, page)| Query::Page {
            session,
            read: ReadId(read),
            page
        }),
        (session(), vec(set_value(), 0..4), short_text())
            .prop_map(|(session, values, parameter_key)| Query::Set { session, values, parameter_key }),
        (session(), select(vec![RowChange::Add, RowChange::Delete]), text(), short_text()).prop_map(
            |(session, change, name, parameter_key)| Query::Row { session, change, name, parameter_key }
        ),
        (session(), short_text()).prop_map(|(session, command_key)| Query::Reboot { session, command_key }),
        session().prop_map(|session| Query::FactoryReset { session }),
        (session(), any::<u32>(), short_text()).prop_map(|(session, delay_seconds, command_key)| {
            Query::ScheduleInform { session, delay_seconds, command_key }
        }),
        (session(), vec(set_attributes(), 0..4))
            .prop_map(|(session, attributes)| Query::SetAttributes { session, attributes }),
    ]
}

fn set_attributes() -> impl Strategy<Value = SetAttributes> {
    (text(), option::of(select(&Notification::ALL[..])), any::<Option<bool>>())
        .prop_map(|(name, notification, subscriber)| SetAttributes { name, notification, subscriber })
}

fn attributes() -> impl Strategy<Value = Attributes> + Clone {
    (select(&Notification::ALL[..]), any::<bool>())
        .prop_map(|(notification, subscriber)| Attributes { notification, subscriber })
}

fn set_value() -> impl Strategy<Value = SetValue> {
    let declared = prop_oneof![
        Just(DeclaredType::Absent),
        select(&ParamType::ALL[..]).prop_map(DeclaredType::Known),
        Just(DeclaredType::Unknown),
    ];
    (text(), declared, text()).prop_map(|(name, declared, text)| SetValue { name, declared, text })
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        session_opened().prop_map(|opened| Reply::SessionOpened(Box::new(opened))),
        any::<(u32, u32)>().prop_map(|(read, count)| Reply::Prepared { read: ReadId(read), count }),
        values().prop_map(|values| Reply::Page(Page::Values(values))),
        listing(any::<bool>()).prop_map(|names| Reply::Page(Page::Names(names))),
        listing(attributes()).prop_map(|all| Reply::Page(Page::Attributes(all))),
        select(vec![SetStatus::Applied, SetStatus::Later]).prop_map(Reply::Set),
        (any::<u32>(), select(vec![SetStatus::Applied, SetStatus::Later]))
            .prop_map(|(n, status)| Reply::Added(n, status)),
        fault().prop_map(Reply::Fault),
        Just(Reply::NoSession),
        Just(Reply::Outdated),
    ]
}

fn session_opened() -> impl Strategy<Value = SessionOpened> {
    let device =
        (text(), text(), text(), text()).prop_map(|(manufacturer, oui, product_class, serial_number)| {
            DeviceId { manufacturer, oui, product_class, serial_number }
        });
    let event = (any::<u64>(), select(&EventCode::ALL[..]), short_text())
        .prop_map(|(id, code, command_key)| Event { id: EventId(id), code, command_key });
    (any::<u32>(), any::<u32>(), device, vec(event, 0..4), values()).prop_map(
        |(session, retry_count, device, events, parameters)| SessionOpened {
            session: SessionId(session),
            retry_count,
            device,
            events,
            parameters,
            requests: vec![CpeRequest::GetRpcMethods],
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    let code = || {
        select(vec![
            FaultCode::MethodNotSupported,
            FaultCode::InternalError,
            FaultCode::InvalidArguments,
            FaultCode::NonWritableParameter,
        ])
    };
    let fault_text = || text().prop_map(|text| Text::truncated(&text));
    let inner =
        (text(), code(), fault_text()).prop_map(|(name, code, text)| ParameterFault { name, code, text });
    (code(), fault_text(), vec(inner, 0..4)).prop_map(|(code, text, parameters)| Fault {
        code,
        text,
        parameters,
    })
}

fn report() -> impl Strategy<Value = Report> {
    let outcome = prop_oneof![
        Just(Outcome::Succeeded),
        (select(&Stage::ALL[..]), text())
            .prop_map(|(stage, reason)| Outcome::Failed(Failure { stage, reason })),
    ];
    prop_oneof![
        any::<u64>().prop_map(Report::InUse),
        option::of(next_session()).prop_map(Report::Next),
        any::<u16>().prop_map(|port| Report::Listening(Ok(port))),
        text().prop_map(|why| Report::Listening(Err(why))),
        vec(client_line(), 0..3).prop_map(Report::Log),
        (any::<u32>(), outcome)
            .prop_map(|(session, outcome)| Report::SessionClosed { session: SessionId(session), outcome }),
        (any::<u32>(), cwmp_version())
            .prop_map(|(session, offered)| Report::VersionRefused { session: SessionId(session), offered }),
    ]
}

fn client_line() -> impl Strategy<Value = ClientLine> {
    (time(), any::<(Option<u32>, Option<u32>)>(), text(), text()).prop_map(
        |(at, (session, took_ms), what, detail)| ClientLine {
            at,
            session: session.map(SessionId),
            what,
            detail,
            took_ms,
        },
    )
}

fn next_session() -> impl Strategy<Value = NextSession> {
    (time(), why()).prop_map(|(at, why)| NextSession { at, why })
}

fn why() -> impl Strategy<Value = Why> {
    select(vec![Why::Events, Why::Periodic, Why::Retry, Why::Asked, Why::ConnectionRequest])
}

fn source() -> impl Strategy<Value = Source> {
    select(vec![
        Source::Factory,
        Source::Cli,
        Source::Web,
        Source::File,
        Source::Dhcp,
        Source::Acs,
        Source::Stack,
    ])
}

fn parameter_row() -> impl Strategy<Value = ParameterRow> {
    let texts = [text(), text(), text(), text()];
    (texts, option::of(text()), source(), any::<bool>(), option::of(text())).prop_map(
        |([name, label, value, help], path, source, saved, pending)| ParameterRow {
            name,
            label,
            path,
            value,
            source,
            saved,
            pending,
            help,
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    ([text(), text(), text(), text()], time()).prop_map(|([name, running, new, who], at)| Change {
        name,
        running,
        new,
        who,
        at,
    })
}

fn status() -> impl Strategy<Value = Status> {
    let last = (time(), time(), vec(text(), 0..3), text())
        .prop_map(|(started, ended, events, outcome)| LastSession { started, ended, events, outcome });
    let sessions = (option::of(last), option::of(time()), option::of(next_session()), any::<u32>());
    (acs_status(), sessions, worker_status(), text(), vec(text(), 0..3)).prop_map(
        |(acs, (last_session, open_session, next_session, retry_count), worker, url, warnings)| Status {
            acs,
            last_session,
            open_session,
            next_session,
            retry_count,
            worker,
            connection_request_url: url,
            connection_request_problem: None,
            waiting: waiting(&warnings),
            warnings,
        },
    )
}

fn waiting(texts: &[String]) -> Vec<Waiting> {
    let all = [WaitingFor::Reboot, WaitingFor::FactoryReset, WaitingFor::Confirm];
    let one = |(what, why): (WaitingFor, &String)| {
        let (until, failed) = (Some(UtcTime::from_millis(5)), what == WaitingFor::Reboot);
        Waiting { what, why: why.clone(), until, failed }
    };
    all.into_iter().zip(texts).map(one).collect()
}

fn acs_status() -> impl Strategy<Value = AcsStatus> {
    let state = select(vec![AcsState::Disabled, AcsState::NoUrl, AcsState::Never, AcsState::Disconnected]);
    let stage = option::of(select(&Stage::ALL[..]));
    (state, stage, option::of(text()), text(), source()).prop_map(
        |(state, stage, reason, url, url_source)| AcsStatus { state, stage, reason, url, url_source },
    )
}

fn worker_status() -> impl Strategy<Value = WorkerStatus> {
    let state = select(vec![WorkerState::Starting, WorkerState::Running, WorkerState::Incompatible]);
    let numbers = any::<(Option<i32>, u32, u64, u64)>();
    (state, numbers, option::of(text())).prop_map(
        |(state, (pid, restarts, revision, revision_wanted), reason)| WorkerStatus {
            state,
            pid,
            restarts,
            revision,
            revision_wanted,
            reason,
        },
    )
}

fn values() -> impl Strategy<Value = Listing<ParamType>> {
    listing(select(&ParamType::ALL[..]))
}

fn listing<M: Copy + std::fmt::Debug>(about: impl Strategy<Value = M>) -> impl Strategy<Value = Listing<M>> {
    vec((text(), text(), about), 0..4)
        .prop_map(|entries| entries.iter().map(|(name, value, about)| (&**name, &**value, *about)).collect())
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        any::<i32>().prop_map(Value::Int),
        any::<u32>().prop_map(Value::UnsignedInt),
        any::<i64>().prop_map(Value::Long),
        any::<u64>().prop_map(Value::UnsignedLong),
        any::<bool>().prop_map(Value::Boolean),
        date_time().prop_map(Value::DateTime),
        vec(any::<u8>(), 0..20).prop_map(Value::Base64),
        vec(any::<u8>(), 0..20).prop_map(Value::HexBinary),
    ]
}

fn date_time() -> impl Strategy<Value = DateTime> {
    "[0-9]{3}[1-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?"
        .prop_map(|text| DateTime::parse(&text).expect(&text))
}

fn url() -> impl Strategy<Value = HttpUrl> {
    "https?://([a-z][a-z0-9-]{0,8}(\\.[a-z]{1,5})?|192\\.0\\.2\\.[1-9]|\\[2001:db8::[0-9a-f]{1,4}\\])(:[1-9][0-9]{0,3})?(/[a-z0-9/._~-]{0,20}(\\?[a-z0-9=&]{0,10})?)?"
        .prop_map(|text| HttpUrl::parse(&text).expect(&text))
}

fn time() -> impl Strategy<Value = UtcTime> {
    any::<i64>().prop_map(UtcTime::from_millis)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,12}", any::<String>()]
}

fn short_text() -> impl Strategy<Value = Text<32>> {
    ".{0,32}".prop_map(|text| Text::new(text).unwrap())
}
