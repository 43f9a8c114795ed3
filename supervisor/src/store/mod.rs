//! Everything on disk: the only place with SQLite, on a thread of its own.
//!
//! `state.db` holds what was promised to an ACS or a person and is synced before the promise; `log.db` holds
//! what may be lost. See [`state_db`] for how a damaged file is set aside.

mod log_db;
mod migrate;
pub mod record;
mod state_db;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    thread,
};

use tokio::sync::{mpsc, oneshot};

pub use record::{Contents, Fact, SessionRecord, StoredEvent, Write};

use log_db::LogDb;
use state_db::StateDb;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("{0} is in use by another cwmp-supervisor: stop that one first")]
    InUse(PathBuf),
    /// Written by a later version.
    #[error(
        "{path} has schema version {found}, this program knows up to {known}: install the newer version again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The directory cannot be made or used.
    #[error("cannot use {path}: {error}")]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// SQLite said no.
    #[error("cannot open {path}: {error}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rusqlite::Error,
    },
}

/// A commit that did not happen: what is on disk stands as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// No space.
    #[error("the disk is full: nothing was changed; free some space in the state directory")]
    Full,
    /// Not writable.
    #[error("the state directory is read-only: nothing was changed; mount it writable")]
    ReadOnly,
    /// Anything else.
    #[error("the store cannot be written, nothing was changed: {0}")]
    Other(String),
}

enum Job {
    Commit(Vec<Write>, oneshot::Sender<Result<(), CommitError>>),
    Session(SessionRecord),
    Backup,
}

/// Handle of the store's thread; the thread ends when the handle is dropped.
pub struct Store {
    jobs: mpsc::UnboundedSender<Job>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Store {
    /// Opens or makes the store in `dir`. The notices are for the log and the status.
    pub fn open(dir: &Path) -> Result<(Self, Contents, Vec<String>), OpenError> {
        make_private(dir)?;
        let mut notices = Vec::new();
        let (mut state, mut contents) = StateDb::open(dir, &mut notices)?;
        let mut log = LogDb::open(dir, &mut notices);
        contents.last_session = log.as_ref().and_then(LogDb::last_session);
        let (jobs, mut queue) = mpsc::unbounded_channel();
        let work = move || {
            while let Some(job) = queue.blocking_recv() {
                match job {
                    Job::Commit(writes, done) => {
                        let result = state.commit(&writes);
                        // The hub is gone: nobody waits.
                        let _ = done.send(result);
                    }
                    Job::Session(record) => {
                        if let Some(Err(error)) = log.as_mut().map(|log| log.add_session(&record)) {
                            tracing::warn!("a line of the session log is lost: {error}");
                        }
                    }
                    Job::Backup => {
                        if let Err(error) = state.backup() {
                            tracing::warn!("no backup of the store was made: {error}");
                        }
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)
            .map_err(|error| OpenError::Directory { path: dir.to_owned(), error })?;
        Ok((Self { jobs, thread: Some(thread) }, contents, notices))
    }

    /// Starts to commit; the answer comes when the writes are on disk, or none of them is.
    pub fn commit(&self, writes: Vec<Write>) -> oneshot::Receiver<Result<(), CommitError>> {
        let (done, answer) = oneshot::channel();
        // A store thread that is gone drops `done`, and the hub sees that.
        let _ = self.jobs.send(Job::Commit(writes, done));
        answer
    }

    /// Adds a line to the session log; may be lost.
    pub fn log_session(&self, record: SessionRecord) {
        let _ = self.jobs.send(Job::Session(record));
    }

    /// Makes a backup if anything changed since the last one.
    pub fn backup(&self) {
        let _ = self.jobs.send(Job::Backup);
    }

    /// Finishes what was begun and closes the files.
    pub fn close(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(Err(_)) = thread.map(thread::JoinHandle::join) {
            tracing::error!("the store's thread ended badly");
        }
    }
}

fn make_private(dir: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let error = |error| OpenError::Directory { path: dir.to_owned(), error };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(error)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(error)
}
