//! The store against real files: what is committed is found again, and damage loses as little as it can.

use std::{
    fs,
    io::{Seek, SeekFrom, Write as _},
};

use ipc_proto::{
    UtcTime,
    control::Source,
    text::CommandKey,
    worker::{EventCode, EventId, Failure, Stage},
};

use super::*;
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
