//! `state.db`: values, events and facts that were promised; synced to disk before the promise.
//!
//! A file that fails its check is renamed to `state.db.damaged` (one is kept, none is deleted unseen) and the
//! backup `state.db.backup` takes its place; without a good backup the device starts as from the factory.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ipc_proto::{
    UtcTime,
    control::Source,
    text::CommandKey,
    worker::{EventCode, EventId},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::{
    CommitError, OpenError, migrate, model,
    record::{Contents, Fact, StoredEvent, Write},
};
use crate::{
    config::{layers::Stored, table},
    test_points,
};

const FILE: &str = "state.db";
const BACKUP: &str = "state.db.backup";
/// Everything that may stand beside the file with values in it.
const COPIES: [&str; 6] = [
    BACKUP,
    "state.db.backup.new",
    "state.db.backup.damaged",
    "state.db.damaged",
    "state.db-wal.damaged",
    "state.db-journal.damaged",
];

/// The open file.
pub struct StateDb {
    db: Connection,
    dir: PathBuf,
    changed_since_backup: bool,
}

impl StateDb {
    /// Opens, checks and loads the file; sets a damaged one aside.
    pub fn open(
        dir: &Path,
        scratch: &Path,
        notices: &mut Vec<String>,
    ) -> Result<(Self, Contents), OpenError> {
        let path = dir.join(FILE);
        let mut opened = open_good(&path, scratch);
        if let Err(Trouble::Damaged(reason)) = &opened {
            notices.push(set_aside(dir, reason)?);
            opened = open_good(&path, scratch);
        }
        if let Err(Trouble::Damaged(reason)) = &opened {
            notices.push(set_backup_aside(dir, reason)?);
            opened = open_good(&path, scratch);
        }
        let (db, contents) = opened.map_err(|trouble| trouble.into_error(&path))?;
        if db.pragma_query_value(None, "query_only", |row| row.get(0)).unwrap_or(false) {
            notices.push(CommitError::ReadOnly.to_string());
        }
        // No backup yet counts as changed.
        let changed_since_backup = !dir.join(BACKUP).exists();
        Ok((Self { db, dir: dir.to_owned(), changed_since_backup }, contents))
    }

    /// Commits all writes or none, and returns when they are on disk.
    pub fn commit(&mut self, writes: &[Write]) -> Result<(), CommitError> {
        test_points::reach("store.before-commit");
        let result = self.try_commit(writes).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CommitError::Full,
            Some(ErrorCode::ReadOnly) => CommitError::ReadOnly,
            _ => CommitError::Other(error.to_string()),
        });
        test_points::reach("store.committed");
        self.changed_since_backup |= result.is_ok();
        result
    }

    /// What a factory reset leaves in other files and in the free pages of this one goes too; what fails is
    /// tried again at the next start.
    pub fn finish_reset(&mut self) {
        test_points::reach("store.reset");
        let finished = self.delete_copies().map_err(|error| error.to_string()).and_then(|()| {
            // The free pages, and the journal, still hold the old values. The mark goes when they are gone.
            let text = "VACUUM; PRAGMA wal_checkpoint(TRUNCATE);
                DELETE FROM fact WHERE name = 'reset_unfinished'; PRAGMA wal_checkpoint(TRUNCATE);";
            self.db.execute_batch(text).map_err(|error| error.to_string())
        });
        if let Err(error) = finished {
            tracing::error!("after the factory reset, old copies of the store could not be deleted: {error}");
        }
    }

    fn delete_copies(&mut self) -> io::Result<()> {
        for name in COPIES {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.changed_since_backup = true;
        fs::File::open(&self.dir)?.sync_all()
    }

    fn try_commit(&mut self, writes: &[Write]) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        for write in writes {
            match write {
                Write::Reset => reset(&transaction)?,
                Write::Startup(name, value) => put(&transaction, "startup", name, value.as_ref())?,
                Write::Unsaved(name, value) => put(&transaction, "unsaved", name, value.as_ref())?,
                Write::AddEvent(event) => transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO event (id, code, command_key) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![sql_id(event.id), event.code.text(), event.command_key.as_str()])
                    .map(drop)?,
                Write::RemoveEvent(id) => transaction
                    .prepare_cached("DELETE FROM event WHERE id = ?1")?
                    .execute(params![sql_id(*id)])
                    .map(drop)?,
                Write::Fact(fact, value) => transaction
                    .prepare_cached("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)")?
                    .execute(params![fact.key(), value])
                    .map(drop)?,
                Write::Value(path, value) => model::value(&transaction, path, value)?,
                Write::AddRow(table, number) => model::add_row(&transaction, table, *number)?,
                Write::Attributes(path, attributes) => {
                    model::set_attributes(&transaction, path, *attributes)?
                }
                Write::Told { path, value, kept: true } => {
                    model::tell(&transaction, path, value.as_deref())?;
                }
                Write::Told { kept: false, .. } => {}
                Write::RemoveRow { table, number, default } => {
                    model::remove_row(&transaction, table, *number, *default)?;
                }
            }
        }
        transaction.commit()
    }

    /// Copies the file if anything changed since the last copy; the old copy stands until the new one is whole.
    pub fn backup(&mut self) -> Result<(), io::Error> {
        if !self.changed_since_backup {
            return Ok(());
        }
        let fresh = self.dir.join("state.db.backup.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // SQLite fills an existing empty file, so that no other mode than 0600 is ever seen.
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let name =
            fresh.to_str().ok_or_else(|| io::Error::other("the state directory's name is not UTF-8"))?;
        self.db.execute("VACUUM INTO ?1", [name]).map_err(io::Error::other)?;
        file.sync_all()?;
        fs::rename(&fresh, self.dir.join(BACKUP))?;
        fs::File::open(&self.dir)?.sync_all()?;
        self.changed_since_backup = false;
        Ok(())
    }
}

/// What went wrong on opening.
enum Trouble {
    /// The file's content cannot be trusted.
    Damaged(String),
    /// Nothing that setting the file aside would mend.
    Fatal(OpenError),
}

impl Trouble {
    fn from_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Fatal(OpenError::InUse(path.to_owned()))
            }
            _ => Self::Fatal(OpenError::Sqlite { path: path.to_owned(), error }),
        }
    }

    fn into_error(self, path: &Path) -> OpenError {
        match self {
            Self::Fatal(error) => error,
            Self::Damaged(reason) => {
                OpenError::Directory { path: path.to_owned(), error: io::Error::other(reason) }
            }
        }
    }
}

fn open_good(path: &Path, scratch: &Path) -> Result<(Connection, Contents), Trouble> {
    let db = connect(path, scratch)?;
    let contents = load(&db)?;
    Ok((db, contents))
}

/// Opens the file. On a read-only file system it is read as it stands, and every commit is refused.
fn connect(path: &Path, scratch: &Path) -> Result<Connection, Trouble> {
    let error = |error| Trouble::from_sqlite(path, error);
    // Made before SQLite does, so that no other mode than 0600 is ever seen.
    let made = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    match made.and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600))) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            return connect_to_read(path, scratch);
        }
        made => {
            made.map_err(|error| Trouble::Fatal(OpenError::Directory { path: path.to_owned(), error }))?
        }
    }
    let mut db = Connection::open(path).map_err(error)?;
    db.busy_timeout(std::time::Duration::ZERO).map_err(error)?;
    // EXCLUSIVE before WAL: no shared memory file, and a second supervisor is stopped here.
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 1048576; PRAGMA wal_autocheckpoint = 256; PRAGMA cache_size = -512;",
    )
    .map_err(error)?;
    if test_points::never_syncs() {
        db.pragma_update(None, "synchronous", "OFF").map_err(error)?;
    }
    let found = migrate::version(&db).map_err(error)?;
    if found > migrate::KNOWN {
        let path = path.to_owned();
        return Err(Trouble::Fatal(OpenError::Newer { path, found, known: migrate::KNOWN }));
    }
    // A factory reset takes the backup along: a file that is empty beside a backup has lost its content.
    if found == 0 && path.with_file_name(BACKUP).exists() {
        return Err(Trouble::Damaged("it is empty".to_owned()));
    }
    let check: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(error)?;
    if check != "ok" {
        // A heading may stand above it; a notice is one line.
        return Err(Trouble::Damaged(check.lines().last().unwrap_or_default().to_owned()));
    }
    migrate::migrate(&mut db).map_err(error)?;
    Ok(db)
}

/// What stands on a read-only file system, or an empty store in memory; neither takes a write.
///
/// SQLite cannot follow a journal that it cannot write, so a file with one is read as a copy in `scratch`.
fn connect_to_read(path: &Path, scratch: &Path) -> Result<Connection, Trouble> {
    let error = |error| Trouble::from_sqlite(path, error);
    let journal = path.with_extension("db-wal");
    let db = if journal.metadata().is_ok_and(|meta| meta.len() > 0) {
        copy_to_read(path, &journal, scratch)
            .map_err(|error| Trouble::Fatal(OpenError::Directory { path: scratch.to_owned(), error }))?
    } else if path.exists() {
        let uri = format!("file:{}?immutable=1", path.display());
        Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
    } else {
        Connection::open_in_memory().and_then(|mut db| migrate::migrate(&mut db).map(|()| db))
    };
    let db = db.map_err(error)?;
    db.pragma_update(None, "query_only", true).map_err(error)?;
    Ok(db)
}

/// Copies file and journal, opens the copy, and takes its names away again: it lives as long as it is open.
fn copy_to_read(path: &Path, journal: &Path, scratch: &Path) -> io::Result<rusqlite::Result<Connection>> {
    let copy = scratch.join("state.db.copy");
    let journal_copy = scratch.join("state.db.copy-wal");
    for (from, to) in [(path, &copy), (journal, &journal_copy)] {
        fs::copy(from, to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
    }
    let opened = Connection::open(&copy).and_then(|db| {
        db.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; SELECT * FROM fact;")
            .map(|()| db)
    });
    fs::remove_file(&copy)?;
    fs::remove_file(&journal_copy)?;
    Ok(opened)
}

/// Moves a damaged file and its journal aside and the backup into its place; the notice says what was done.
fn set_aside(dir: &Path, reason: &str) -> Result<String, OpenError> {
    let path = dir.join(FILE);
    let aside = dir.join("state.db.damaged");
    let error = |error| OpenError::Directory { path: path.clone(), error };
    fs::rename(&path, &aside).map_err(error)?;
    for journal in ["state.db-wal", "state.db-journal"] {
        let from = dir.join(journal);
        if from.exists() {
            fs::rename(&from, dir.join(format!("{journal}.damaged"))).map_err(error)?;
        }
    }
    let backup = dir.join(BACKUP);
    let instead = if backup.exists() {
        fs::copy(&backup, &path).map_err(error)?;
        "the last backup took its place"
    } else {
        "there is no backup: the device starts with factory values"
    };
    Ok(format!("the store was damaged ({reason}): set aside as {}; {instead}", aside.display()))
}

/// The backup that was taken is no better: moves it out of the way, and its copy goes.
fn set_backup_aside(dir: &Path, reason: &str) -> Result<String, OpenError> {
    let path = dir.join(FILE);
    let aside = dir.join("state.db.backup.damaged");
    let error = |error| OpenError::Directory { path: path.clone(), error };
    fs::rename(dir.join(BACKUP), &aside).map_err(error)?;
    fs::remove_file(&path).map_err(error)?;
    let aside = aside.display();
    Ok(format!(
        "the backup is damaged too ({reason}): set aside as {aside}; the device starts with factory values"
    ))
}

fn load(db: &Connection) -> Result<Contents, Trouble> {
    let read = || -> rusqlite::Result<Contents> {
        Ok(Contents {
            startup: values(db, "startup")?,
            unsaved: values(db, "unsaved")?,
            events: events(db)?,
            facts: facts(db)?,
            next_numbers: model::next_numbers(db)?,
            rows: model::rows(db)?,
            values: model::values(db)?,
            attributes: model::attributes(db)?,
            told: model::told(db)?,
            last_session: None,
            last_revision: 0,
        })
    };
    read().map_err(|error| Trouble::Damaged(error.to_string()))
}

type Values = std::collections::BTreeMap<&'static str, Stored>;

fn values(db: &Connection, layer: &str) -> rusqlite::Result<Values> {
    let mut statement = db.prepare(&format!("SELECT name, value, source, at FROM {layer}"))?;
    let mut rows = statement.query([])?;
    let mut values = Values::new();
    while let Some(row) = rows.next()? {
        let (name, text, source): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // A parameter that this version does not know stays on disk and out of the way.
        let Ok(known) = table::row(&name) else { continue };
        let stored = Stored { text, source: source_of(&source), at: UtcTime::from_millis(row.get(3)?) };
        values.insert(known.name, stored);
    }
    Ok(values)
}

fn events(db: &Connection) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut statement = db.prepare("SELECT id, code, command_key FROM event ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, code, key): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(code) = EventCode::ALL.into_iter().find(|known| known.text() == code) else { continue };
        let id = EventId(u64::try_from(id).unwrap_or_default());
        events.push(StoredEvent { id, code, command_key: CommandKey::truncated(&key) });
    }
    Ok(events)
}

fn facts(db: &Connection) -> rusqlite::Result<std::collections::BTreeMap<Fact, String>> {
    let mut statement = db.prepare("SELECT name, value FROM fact")?;
    let pairs = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let known = pairs.filter_map(|pair| match pair {
        Ok((name, value)) => Fact::from_key(&name).map(|fact| Ok((fact, value))),
        Err(error) => Some(Err(error)),
    });
    known.collect()
}

fn put(db: &Connection, layer: &str, name: &str, value: Option<&Stored>) -> rusqlite::Result<()> {
    match value {
        Some(stored) => db
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO {layer} (name, value, source, at) VALUES (?1, ?2, ?3, ?4)"
            ))?
            .execute(params![name, stored.text, stored.source.to_string(), stored.at.millis()]),
        None => db.prepare_cached(&format!("DELETE FROM {layer} WHERE name = ?1"))?.execute(params![name]),
    }
    .map(drop)
}

fn reset(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("DELETE FROM startup; DELETE FROM unsaved; DELETE FROM event;")?;
    model::reset(db)?;
    let [a, b, c, d] = Fact::IDENTITY.map(Fact::key);
    db.execute("DELETE FROM fact WHERE name NOT IN (?1, ?2, ?3, ?4)", params![a, b, c, d])?;
    db.execute("INSERT INTO fact (name, value) VALUES (?1, '1')", [Fact::ResetUnfinished.key()]).map(drop)
}

fn source_of(text: &str) -> Source {
    [Source::Cli, Source::Web, Source::File, Source::Dhcp, Source::Acs, Source::Stack]
        .into_iter()
        .find(|source| source.to_string() == text)
        .unwrap_or(Source::Factory)
}

fn sql_id(id: EventId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}
