//! `log.db`: the sessions that ended and the lines of both logs; bounded, not synced, and never in the way of anything.

use std::{os::unix::fs::DirBuilderExt as _, path::Path};

use ipc_proto::{
    UtcTime,
    worker::{Failure, Stage},
};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use ipc_proto::control::LogLine;

use super::{
    log::{LogQuery, NewLine},
    log_lines,
    record::SessionRecord,
};

/// The newest so many sessions are kept.
const MAX_SESSIONS: i64 = 1000;

/// The open file.
pub struct LogDb {
    db: Connection,
}

impl LogDb {
    /// Opens or makes the file. One that cannot be read is made anew: it holds nothing that was promised.
    pub fn open(dir: &Path, notices: &mut Vec<String>) -> Option<Self> {
        // A directory that cannot be made is told by the file that cannot be.
        let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        let path = dir.join("log.db");
        let db = connect(&path).or_else(|error| {
            let code = error.sqlite_error_code();
            if !matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
                return Err(error);
            }
            notices.push(format!("the log file was unreadable and is made anew: {error}"));
            // What cannot be removed cannot be opened either, and that is said below.
            let _ = std::fs::remove_file(&path);
            connect(&path)
        });
        match db {
            Ok(db) => Some(Self { db }),
            Err(error) => {
                notices.push(format!("no log is kept: {error}"));
                None
            }
        }
    }

    /// Adds sessions and drops the oldest over the limit.
    pub fn add_sessions(&mut self, records: &[SessionRecord]) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        for record in records {
            let failure = record.failure.as_ref();
            transaction
                .prepare_cached(
                    "INSERT INTO session (started, ended, events, stage, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    record.started.millis(),
                    record.ended.millis(),
                    record.events.join("\n"),
                    failure.map(|f| f.stage.to_string()),
                    failure.map(|f| f.reason.as_str()),
                ])?;
        }
        transaction
            .prepare_cached("DELETE FROM session WHERE id <= (SELECT max(id) FROM session) - ?1")?
            .execute([MAX_SESSIONS])?;
        transaction.commit()
    }

    /// A factory-fresh device has had no sessions.
    pub fn forget_sessions(&self) {
        if let Err(error) = self.db.execute("DELETE FROM session", []) {
            tracing::warn!("the sessions before the factory reset are not forgotten: {error}");
        }
    }

    /// Adds lines to both logs and drops the oldest over the limit.
    pub fn add_lines(&mut self, lines: &[NewLine]) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        lines.iter().try_for_each(|line| log_lines::add(&transaction, line))?;
        log_lines::cap(&transaction)?;
        transaction.commit()
    }

    /// A page of lines.
    pub fn read_lines(&self, query: &LogQuery) -> rusqlite::Result<Vec<LogLine>> {
        log_lines::read(&self.db, query)
    }

    /// The largest revision in the config log.
    pub fn last_revision(&self) -> u64 {
        log_lines::last_revision(&self.db)
    }

    /// The newest session, if there is one that can be read.
    pub fn last_session(&self) -> Option<SessionRecord> {
        let query = "SELECT started, ended, events, stage, reason FROM session ORDER BY id DESC LIMIT 1";
        let record = self.db.query_row(query, [], |row| {
            let events: String = row.get(2)?;
            let stage: Option<String> = row.get(3)?;
            let reason: Option<String> = row.get(4)?;
            Ok(SessionRecord {
                started: UtcTime::from_millis(row.get(0)?),
                ended: UtcTime::from_millis(row.get(1)?),
                events: events.lines().map(str::to_owned).collect(),
                failure: stage.map(|stage| Failure {
                    stage: Stage::ALL.into_iter().find(|s| s.to_string() == stage).unwrap_or(Stage::Worker),
                    reason: reason.unwrap_or_default(),
                }),
            })
        });
        record.optional().ok().flatten()
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         PRAGMA journal_size_limit = 262144; PRAGMA cache_size = -128;
         CREATE TABLE IF NOT EXISTS session (id INTEGER PRIMARY KEY, started INTEGER NOT NULL,
             ended INTEGER NOT NULL, events TEXT NOT NULL, stage TEXT, reason TEXT) STRICT;",
    )?;
    db.execute_batch(log_lines::SCHEMA)?;
    // A damaged one would lose every line from here on.
    match db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?.as_str() {
        "ok" => Ok(db),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            None,
        )),
    }
}
