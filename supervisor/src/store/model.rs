//! Rows and stored values of the data model in `state.db`, by path.

use ipc_proto::worker::{Attributes, Notification};
use rusqlite::{Connection, Result, params};

/// Sets a stored value.
pub fn value(db: &Connection, path: &str, value: &str) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO model_value (path, value) VALUES (?1, ?2)")?
        .execute(params![path, value])
        .map(drop)
}

/// Adds a row, and remembers that its number is used up.
pub fn add_row(db: &Connection, table: &str, number: u32) -> Result<()> {
    put_row(db, table, number, true)?;
    use_up(db, table, number)
}

/// Takes a row away with all below it. One that was there from the start is remembered as gone.
pub fn remove_row(db: &Connection, table: &str, number: u32, default: bool) -> Result<()> {
    let path = format!("{table}{number}.");
    // All paths below end before the one that a slash, the character after the dot, would begin.
    let end = format!("{table}{number}/");
    for stored in ["model_value", "object_row", "next_number", "attribute", "told"] {
        db.prepare_cached(&format!("DELETE FROM {stored} WHERE path >= ?1 AND path < ?2"))?
            .execute(params![path, end])?;
    }
    if default {
        put_row(db, table, number, false)?;
    }
    use_up(db, table, number)
}

/// Sets the attributes of a parameter.
pub fn set_attributes(db: &Connection, path: &str, attributes: Attributes) -> Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO attribute (path, notification, subscriber) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![path, attributes.notification.text(), attributes.subscriber])
    .map(drop)
}

/// Sets or forgets what the ACS knows of a parameter.
pub fn tell(db: &Connection, path: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => db
            .prepare_cached("INSERT OR REPLACE INTO told (path, value) VALUES (?1, ?2)")?
            .execute(params![path, value]),
        None => db.prepare_cached("DELETE FROM told WHERE path = ?1")?.execute([path]),
    }
    .map(drop)
}

/// Attributes that are not the default.
pub fn attributes(db: &Connection) -> Result<Vec<(String, Attributes)>> {
    let mut statement = db.prepare("SELECT path, notification, subscriber FROM attribute")?;
    let all = statement.query_map([], |row| {
        let notification = Notification::parse(&row.get::<_, String>(1)?).unwrap_or_default();
        Ok((row.get(0)?, Attributes { notification, subscriber: row.get(2)? }))
    })?;
    all.collect()
}

/// What the ACS knows of watched parameters.
pub fn told(db: &Connection) -> Result<Vec<(String, String)>> {
    pairs(db, "SELECT path, value FROM told")
}

/// Forgets all of it.
pub fn reset(db: &Connection) -> Result<()> {
    db.execute_batch("DELETE FROM attribute; DELETE FROM told; DELETE FROM model_value; DELETE FROM object_row; DELETE FROM next_number;")
}

fn put_row(db: &Connection, table: &str, number: u32, present: bool) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO object_row (path, present) VALUES (?1, ?2)")?
        .execute(params![format!("{table}{number}."), present])
        .map(drop)
}

fn use_up(db: &Connection, table: &str, number: u32) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO next_number (path, next) VALUES (?1, ?2)
         ON CONFLICT (path) DO UPDATE SET next = max(next, excluded.next)",
    )?
    .execute(params![table, number.saturating_add(1)])
    .map(drop)
}

/// The next number of each table that ever had one added or taken away.
pub fn next_numbers(db: &Connection) -> Result<Vec<(String, u32)>> {
    pairs(db, "SELECT path, next FROM next_number ORDER BY path")
}

/// Rows that were added or taken away, each after the row that it lies in.
pub fn rows(db: &Connection) -> Result<Vec<(String, bool)>> {
    pairs(db, "SELECT path, present FROM object_row ORDER BY path")
}

/// Stored values.
pub fn values(db: &Connection) -> Result<Vec<(String, String)>> {
    pairs(db, "SELECT path, value FROM model_value")
}

fn pairs<T: rusqlite::types::FromSql>(db: &Connection, query: &str) -> Result<Vec<(String, T)>> {
    let mut statement = db.prepare(query)?;
    let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    pairs.collect()
}
