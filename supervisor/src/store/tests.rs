//! The store against real files: what is committed is found again, and damage loses as little as it can.

use std::{
    fs,
    io::{Seek, SeekFrom, Write as _},
};

use ipc_proto::{
    UtcTime,
    control::{Log, LogEntry, Source},
    text::CommandKey,
    worker::{EventCode, EventId, Failure, Stage},
};

use super::{
    log::{LogQuery, NewLine},
    *,
};
use crate::config::layers::Stored;

fn value(text: &str) -> Option<Stored> {
    Some(Stored { text: text.to_owned(), source: Source::Acs, at: UtcTime::from_millis(7) })
}

fn event(id: u64, code: EventCode) -> Write {
    Write::AddEvent(StoredEvent { id: EventId(id), code, command_key: CommandKey::default() })
}

fn commit(store: &Store, writes: Vec<Write>) -> Result<(), CommitError> {
    store.commit(writes).blocking_recv().unwrap()
}

fn open(dir: &Path) -> (Store, Contents, Vec<String>) {
    Store::open(dir, dir, dir).unwrap()
}

#[test]
fn what_is_committed_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, contents, notices) = open(dir.path());
    assert!(contents.facts.is_empty() && notices.is_empty());
    let writes = vec![
        Write::Startup("cwmp.acs_url", value("http://a/")),
        Write::Unsaved("cwmp.enable", value("0")),
        event(1, EventCode::Bootstrap),
        event(2, EventCode::Boot),
        Write::Fact(Fact::ParameterKey, "key".to_owned()),
    ];
    commit(&store, writes).unwrap();
    commit(&store, vec![Write::RemoveEvent(EventId(1)), Write::Unsaved("cwmp.enable", None)]).unwrap();
    store.close();

    let (_store, contents, _) = open(dir.path());
    assert_eq!(contents.startup.get("cwmp.acs_url"), value("http://a/").as_ref());
    assert!(contents.unsaved.is_empty());
    assert_eq!(contents.events.iter().map(|e| e.code).collect::<Vec<_>>(), [EventCode::Boot]);
    assert_eq!(contents.facts[&Fact::ParameterKey], "key");
}

#[test]
fn the_last_session_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let record = SessionRecord {
        started: UtcTime::from_millis(1),
        ended: UtcTime::from_millis(2),
        events: vec!["1 BOOT".to_owned(), "2 PERIODIC".to_owned()],
        failure: Some(Failure { stage: Stage::Tcp, reason: "refused".to_owned() }),
    };
    let (store, _, _) = open(dir.path());
    store.log_session(record.clone());
    store.close();
    assert_eq!(open(dir.path()).1.last_session, Some(record));
}

#[test]
fn a_second_supervisor_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    assert!(matches!(Store::open(dir.path(), dir.path(), dir.path()), Err(OpenError::InUse(_))));
}

#[test]
fn a_damaged_file_is_set_aside_and_the_backup_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, _) = open(dir.path());
    commit(&store, vec![Write::Startup("cwmp.acs_url", value("http://a/"))]).unwrap();
    store.backup();
    store.close();
    let path = dir.path().join("state.db");
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    file.write_all(&[0xaa; 8000]).unwrap();
    drop(file);
    let damaged = fs::read(&path).unwrap();

    let (_store, contents, notices) = open(dir.path());
    assert_eq!(contents.startup.get("cwmp.acs_url"), value("http://a/").as_ref());
    assert!(notices[0].contains("damaged") && notices[0].contains("backup took its place"), "{notices:?}");
    assert_eq!(fs::read(dir.path().join("state.db.damaged")).unwrap(), damaged);
}

#[test]
fn a_damaged_file_without_backup_leaves_factory_values() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state.db"), vec![0xaa; 9000]).unwrap();
    let (_store, contents, notices) = open(dir.path());
    assert!(contents.startup.is_empty());
    assert!(notices[0].contains("no backup"), "{notices:?}");
}

#[test]
fn a_reset_leaves_identity_and_log_lines_and_no_copy_of_an_old_value() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, _) = open(dir.path());
    store.log_line(changed(4));
    let old = vec![
        Write::Startup("cwmp.acs_password", value("canary")),
        Write::Fact(Fact::ConReqPassword, "canary".to_owned()),
        Write::Fact(Fact::SerialNumber, "SN".to_owned()),
        event(1, EventCode::Boot),
        Write::Value("Device.T.1.A".to_owned(), "canary".to_owned()),
        Write::AddRow("Device.T.".to_owned(), 1),
    ];
    commit(&store, old).unwrap();
    store.backup();
    fs::write(dir.path().join("state.db.damaged"), "canary").unwrap();
    commit(&store, vec![Write::Reset, event(2, EventCode::Bootstrap)]).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{:?}", entry.path());
    }
    assert_eq!(read(&store, LogQuery { log: Log::Config, ..ALL }).len(), 1);
    store.close();
    let (_store, contents, _) = open(dir.path());
    assert!(contents.startup.is_empty() && contents.values.is_empty());
    assert!(contents.rows.is_empty() && contents.next_numbers.is_empty());
    assert_eq!(contents.facts.into_iter().collect::<Vec<_>>(), [(Fact::SerialNumber, "SN".to_owned())]);
    assert_eq!(contents.events.iter().map(|e| e.code).collect::<Vec<_>>(), [EventCode::Bootstrap]);
}

#[test]
fn the_mark_of_an_unfinished_reset_goes_after_the_old_values() {
    let dir = tempfile::tempdir().unwrap();
    refuse(dir.path(), "DELETE ON fact WHEN OLD.name = 'reset_unfinished'");
    let (store, _, _) = open(dir.path());
    commit(&store, vec![Write::Startup("cwmp.acs_password", value("canary"))]).unwrap();
    store.close();
    let holds_it = || fs::read(dir.path().join("state.db")).unwrap().windows(6).any(|w| w == b"canary");
    assert!(holds_it());
    let (store, _, _) = open(dir.path());
    commit(&store, vec![Write::Reset]).unwrap();
    // Answered when the reset is finished as far as it gets.
    read(&store, ALL);
    assert!(!holds_it());
    store.close();
    let db = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let marks = "SELECT count(*) FROM fact WHERE name = 'reset_unfinished'";
    assert_eq!(db.query_row(marks, [], |row| row.get::<_, u32>(0)).unwrap(), 1);
}

#[test]
fn rows_and_values_of_the_data_model_read_back_and_go_with_their_row() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, _) = open(dir.path());
    let row = |table: &str, number| Write::AddRow(table.to_owned(), number);
    let value = |path: &str| Write::Value(path.to_owned(), "v".to_owned());
    let gone = |number, default| Write::RemoveRow { table: "T.".to_owned(), number, default };
    let kept = ["T.1.A", "T.13.A", "T.3.A", "TA.1.A"];
    commit(&store, vec![row("T.", 3), row("T.", 12), row("T.12.U.", 1), row("T.", 13), row("T.12.U.", 2)])
        .unwrap();
    commit(&store, kept.into_iter().chain(["T.12.A", "T.12.U.1.B", "T.2.A"]).map(value).collect()).unwrap();
    commit(&store, vec![gone(12, false), gone(2, true)]).unwrap();
    store.close();
    let (_store, mut contents, _) = open(dir.path());
    contents.values.sort();
    assert_eq!(contents.values, kept.map(|path| (path.to_owned(), "v".to_owned())));
    let rows = [("T.13.", true), ("T.2.", false), ("T.3.", true)];
    assert_eq!(contents.rows, rows.map(|(path, present)| (path.to_owned(), present)));
    assert_eq!(contents.next_numbers, [("T.".to_owned(), 14)]);
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    db.pragma_update(None, "user_version", migrate::KNOWN + 1).unwrap();
    drop(db);
    let Err(OpenError::Newer { found, .. }) = Store::open(dir.path(), dir.path(), dir.path()) else {
        panic!("opened")
    };
    assert_eq!(found, migrate::KNOWN + 1);
}

#[test]
fn the_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (store, _, _) = open(&state);
    commit(&store, vec![event(1, EventCode::Boot)]).unwrap();
    store.backup();
    store.close();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("state.db")), 0o600);
    assert_eq!(mode(&state.join("state.db.backup")), 0o600);
}

fn told(n: u32) -> NewLine {
    let (what, detail) = (n.to_string(), String::new());
    let entry = LogEntry::Client { session: Some(n), what, detail, took_ms: None };
    NewLine { at: UtcTime::from_millis(n.into()), entry }
}

fn changed(revision: u64) -> NewLine {
    let (who, name) = ("joe".to_owned(), "cwmp.enable".to_owned());
    let (old, new) = ("1".to_owned(), "0".to_owned());
    let entry = LogEntry::Change { who, source: Source::Cli, name, old, new, revision, in_use: false };
    NewLine { at: UtcTime::from_millis(3), entry }
}

fn read(store: &Store, query: LogQuery) -> Vec<ipc_proto::control::LogLine> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.log_reader().read(query)).unwrap()
}

const ALL: LogQuery = LogQuery { log: Log::Client, after_id: 0, since: None, newest: None, in_use: 4 };

#[test]
fn log_lines_are_read_by_id_before_they_were_due_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, _) = open(dir.path());
    (1..=10).for_each(|n| store.log_line(told(n)));
    let ids = |query| read(&store, query).iter().map(|line| line.id).collect::<Vec<_>>();
    assert_eq!(ids(ALL), (1..=10).collect::<Vec<_>>());
    assert_eq!(ids(LogQuery { after_id: 8, ..ALL }), [9, 10]);
    assert_eq!(ids(LogQuery { newest: Some(3), ..ALL }), [8, 9, 10]);
    assert!(ids(LogQuery { newest: Some(0), ..ALL }).is_empty());
    assert!(ids(LogQuery { after_id: 10, ..ALL }).is_empty());
    // Of a log that is no more.
    assert_eq!(ids(LogQuery { after_id: 11, newest: Some(1), ..ALL }), [10]);
    assert_eq!(ids(LogQuery { since: Some(UtcTime::from_millis(10)), ..ALL }), [10]);
}

#[test]
fn a_log_is_capped_and_its_ids_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, _) = open(dir.path());
    for block in 0..21 {
        (0..1000).for_each(|n| store.log_line(told(block * 1000 + n)));
        // Read, so that the queue is empty again.
        read(&store, ALL);
    }
    assert_eq!(read(&store, ALL)[0].id, 1001);
    assert_eq!(read(&store, LogQuery { newest: Some(1), ..ALL })[0].id, 21_000);
}

/// In KiB, of this process, at its highest since the last look.
fn peak_memory(reset: bool) -> u64 {
    if reset {
        fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "slow"]
fn a_log_of_a_million_lines_is_read_and_cut_within_bounds() {
    const LINES: u64 = 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).0.close();
    log_lines::fill_client_log(&dir.path().join("log.db"), LINES);
    let before = peak_memory(true);
    let started = Instant::now();
    let (store, _, _) = open(dir.path());
    println!("opened after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10), "opened after {:?}", started.elapsed());
    let now = UtcTime::from_millis(i64::try_from(LINES).unwrap());
    let newest = Some(1000);
    for (query, first) in [
        (LogQuery { newest, ..ALL }, LINES - 999),
        (LogQuery { newest: Some(u32::MAX), ..ALL }, 1),
        (LogQuery { after_id: LINES - 5, ..ALL }, LINES - 4),
        (LogQuery { since: Some(now), newest, ..ALL }, LINES),
        (LogQuery { since: Some(now), ..ALL }, LINES),
        (LogQuery { since: Some(UtcTime::from_millis(500_000)), newest, ..ALL }, LINES - 999),
    ] {
        let started = Instant::now();
        let lines = read(&store, query);
        println!("{query:?}: {} lines after {:?}", lines.len(), started.elapsed());
        assert!(lines[0].id == first && lines.len() <= LOG_PAGE, "{query:?}");
        assert!(started.elapsed() < Duration::from_secs(2), "{query:?}: {:?}", started.elapsed());
    }
    // What is over the limit goes in steps, none of which keeps the store's thread.
    let mut steps = 0;
    while read(&store, ALL)[0].id < LINES - 20_000 {
        let started = Instant::now();
        store.log_line(told(1));
        read(&store, LogQuery { newest: Some(1), ..ALL });
        assert!(started.elapsed() < Duration::from_secs(2), "step {steps}: {:?}", started.elapsed());
        steps += 1;
    }
    println!("cut in {steps} steps, {} KiB above the start", peak_memory(false) - before);
    assert!(peak_memory(false) - before < 16 * 1024, "{} KiB more", peak_memory(false) - before);
}

#[test]
fn what_is_in_use_is_known_when_it_is_read_and_revisions_go_on_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, contents, _) = open(dir.path());
    assert_eq!(contents.last_revision, 0);
    store.log_line(changed(4));
    store.log_line(changed(5));
    let used =
        |line: &ipc_proto::control::LogLine| matches!(line.entry, LogEntry::Change { in_use: true, .. });
    let lines = read(&store, LogQuery { log: Log::Config, ..ALL });
    assert_eq!(lines.iter().map(used).collect::<Vec<_>>(), [true, false]);
    store.close();
    assert_eq!(open(dir.path()).1.last_revision, 5);
}
