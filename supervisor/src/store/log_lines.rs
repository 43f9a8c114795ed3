//! The two tables of log lines in `log.db`: added together, capped, read by id.

use ipc_proto::{
    UtcTime,
    control::{Log, LogEntry, LogLine, Source},
};
use rusqlite::{Connection, Row, Transaction, params};

use super::log::{LogQuery, NewLine};

/// The newest so many lines of each log are kept.
const MAX_LINES: i64 = 20_000;
/// At the most so many are dropped at once: the store's thread has promises to keep meanwhile.
const MAX_DROPPED: i64 = 5000;
/// Lines of one page: with 1000 characters each they fit into a frame.
pub const LOG_PAGE: usize = 500;

/// Makes the tables.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS config_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL,
        source TEXT NOT NULL, name TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
        revision INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS client_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, session INTEGER,
        what TEXT NOT NULL, detail TEXT NOT NULL, took_ms INTEGER) STRICT;";

const SOURCES: [Source; 7] =
    [Source::Factory, Source::Cli, Source::Web, Source::File, Source::Dhcp, Source::Acs, Source::Stack];

/// Adds a line.
pub fn add(transaction: &Transaction<'_>, line: &NewLine) -> rusqlite::Result<()> {
    let at = line.at.millis();
    match &line.entry {
        LogEntry::Change { who, source, name, old, new, revision, in_use: _ } => transaction
            .prepare_cached(
                "INSERT INTO config_log (at, who, source, name, old, new, revision)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![at, who, source.to_string(), name, old, new, signed(*revision)])?,
        LogEntry::Client { session, what, detail, took_ms } => transaction
            .prepare_cached(
                "INSERT INTO client_log (at, session, what, detail, took_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![at, session, what, detail, took_ms])?,
    };
    Ok(())
}

/// Drops the oldest lines over the limit, a bounded number each time.
pub fn cap(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in ["config_log", "client_log"] {
        let drop = format!(
            "DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?1
                AND id < (SELECT min(id) FROM {table}) + ?2"
        );
        transaction.prepare_cached(&drop)?.execute([MAX_LINES, MAX_DROPPED])?;
    }
    Ok(())
}

/// A page of lines, oldest first.
pub fn read(db: &Connection, query: &LogQuery) -> rusqlite::Result<Vec<LogLine>> {
    let (table, columns) = match query.log {
        Log::Config => ("config_log", "who, source, name, old, new, revision"),
        Log::Client => ("client_log", "session, what, detail, took_ms"),
    };
    let since = query.since.map_or(i64::MIN, UtcTime::millis);
    let mut after = signed(query.after_id);
    let last = format!("SELECT max(id) FROM {table}");
    let last: Option<i64> = db.prepare_cached(&last)?.query_row([], |row| row.get(0))?;
    if after > last.unwrap_or(0) {
        // The log was made anew, and its ids with it.
        after = 0;
    }
    if let Some(newest) = query.newest {
        let first = format!(
            "SELECT min(id) FROM (SELECT id FROM {table} WHERE id > ?1 AND at >= ?2 ORDER BY id DESC LIMIT ?3)"
        );
        let first: Option<i64> =
            db.prepare_cached(&first)?.query_row(params![after, since, newest], |row| row.get(0))?;
        let Some(first) = first else { return Ok(Vec::new()) };
        after = first - 1;
    }
    let page =
        format!("SELECT id, at, {columns} FROM {table} WHERE id > ?1 AND at >= ?2 ORDER BY id LIMIT ?3");
    let mut statement = db.prepare_cached(&page)?;
    let limit = i64::try_from(LOG_PAGE).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, since, limit], |row| line(row, query))?;
    rows.collect()
}

/// The largest revision in the log: those of a new start come after it.
pub fn last_revision(db: &Connection) -> u64 {
    let largest =
        db.query_row("SELECT max(revision) FROM config_log", [], |row| row.get::<_, Option<i64>>(0));
    largest.ok().flatten().and_then(|revision| u64::try_from(revision).ok()).unwrap_or(0)
}

fn line(row: &Row<'_>, query: &LogQuery) -> rusqlite::Result<LogLine> {
    let entry = match query.log {
        Log::Config => {
            let source: String = row.get(3)?;
            let revision = u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0);
            LogEntry::Change {
                who: row.get(2)?,
                source: SOURCES.into_iter().find(|s| s.to_string() == source).unwrap_or(Source::Stack),
                name: row.get(4)?,
                old: row.get(5)?,
                new: row.get(6)?,
                revision,
                in_use: revision <= query.in_use,
            }
        }
        Log::Client => LogEntry::Client {
            session: row.get(2)?,
            what: row.get(3)?,
            detail: row.get(4)?,
            took_ms: row.get(5)?,
        },
    };
    let id = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
    Ok(LogLine { id, at: UtcTime::from_millis(row.get(1)?), entry })
}

/// SQLite's integers have a sign.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Writes so many lines straight into a file.
#[cfg(test)]
pub fn fill_client_log(path: &std::path::Path, count: u64) {
    let db = Connection::open(path).unwrap();
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO client_log (id, at, session, what, detail, took_ms)
         SELECT i, i, 1, 'GetParameterValues', '1: Device.ManagementServer.PeriodicInformInterval -> 1 entry', 3 FROM n",
        [signed(count)],
    )
    .unwrap();
}
