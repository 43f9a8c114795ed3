//! Schema versions of `state.db`, in steps that are never changed once released.

use rusqlite::Connection;

/// One step a version: the first makes version 1 out of an empty file.
const STEPS: &[&str] = &["
    CREATE TABLE startup (name TEXT PRIMARY KEY, value TEXT NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
    CREATE TABLE unsaved (name TEXT PRIMARY KEY, value TEXT NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
    CREATE TABLE event (id INTEGER PRIMARY KEY, code TEXT NOT NULL, command_key TEXT NOT NULL) STRICT;
    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
"
    CREATE TABLE next_number (path TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE object_row (path TEXT PRIMARY KEY, present INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE attribute (path TEXT PRIMARY KEY, notification TEXT NOT NULL, subscriber INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE told (path TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE model_value (path TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"];

/// The version that this program writes.
pub const KNOWN: u32 = STEPS.len() as u32;

/// Version of the file's schema; 0 for an empty file.
pub fn version(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the schema to [`KNOWN`], all steps in one transaction; also proves that the file is ours to write.
pub fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let from = version(&transaction)?;
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    if from < KNOWN {
        transaction.pragma_update(None, "user_version", KNOWN)?;
    }
    transaction.commit()
}
