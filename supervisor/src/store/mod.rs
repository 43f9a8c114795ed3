//! Everything on disk: the only place with SQLite, on a thread of its own.
//!
//! `state.db` holds what was promised to an ACS or a person and is synced before the promise; `log.db` holds
//! what may be lost. See [`state_db`] for how a damaged file is set aside.

pub mod log;
mod log_db;
mod log_lines;
mod migrate;
mod model;
pub mod record;
mod state_db;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

pub use log_lines::LOG_PAGE;
pub use record::{Contents, Fact, SessionRecord, StoredEvent, Write};

use ipc_proto::control::LogLine;
use log::{LogQuery, LogReader, LogWriter, NewLine};
use log_db::LogDb;
use state_db::StateDb;

/// How long a line of the log may wait to be written with others.
const LOG_DELAY: Duration = Duration::from_secs(5);
/// How many lines may wait.
const MAX_UNLOGGED: usize = 64;

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
    /// A line, and the count of those that wait.
    Line(NewLine, Arc<AtomicUsize>),
    ReadLog(LogQuery, oneshot::Sender<Result<Vec<LogLine>, String>>),
    Backup,
    Stop,
}

/// Handle of the store's thread; the thread ends when it is closed, or the last reader of the logs is gone too.
pub struct Store {
    jobs: mpsc::Sender<Job>,
    log: LogWriter,
    thread: thread::JoinHandle<()>,
}

impl Store {
    /// Opens or makes the store in `dir`, its log in `log_dir`; `scratch` serves when `dir` is read-only. The
    /// notices are for the log and the status.
    pub fn open(
        dir: &Path,
        log_dir: &Path,
        scratch: &Path,
    ) -> Result<(Self, Contents, Vec<String>), OpenError> {
        let mut notices = Vec::new();
        match make_private(dir) {
            Err(OpenError::Directory { error, .. }) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
            made => made?,
        }
        let (mut state, mut contents) = StateDb::open(dir, scratch, &mut notices)?;
        let log = LogDb::open(log_dir, &mut notices);
        if contents.facts.remove(&Fact::ResetUnfinished).is_some() {
            log.iter().for_each(LogDb::forget_sessions);
            state.finish_reset();
        }
        contents.last_session = log.as_ref().and_then(LogDb::last_session);
        contents.last_revision = log.as_ref().map_or(0, LogDb::last_revision);
        let (jobs, queue) = mpsc::channel();
        let work = move || Worker { state, log, queue, unlogged: Unlogged::default() }.run();
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)
            .map_err(|error| OpenError::Directory { path: dir.to_owned(), error })?;
        Ok((Self { jobs, log: LogWriter::default(), thread }, contents, notices))
    }

    /// Starts to commit; the answer comes when the writes are on disk, or none of them is.
    pub fn commit(&self, writes: Vec<Write>) -> oneshot::Receiver<Result<(), CommitError>> {
        let (done, answer) = oneshot::channel();
        // A store thread that is gone drops `done`, and the hub sees that.
        let _ = self.jobs.send(Job::Commit(writes, done));
        answer
    }

    /// Adds a line to the session log, a little later; may be lost.
    pub fn log_session(&self, record: SessionRecord) {
        let _ = self.jobs.send(Job::Session(record));
    }

    /// Adds a line to its log, a little later; may be lost.
    pub fn log_line(&self, line: NewLine) {
        self.log.add(&self.jobs, line);
    }

    /// Reads both logs, for front ends.
    pub fn log_reader(&self) -> LogReader {
        self.log.reader(&self.jobs)
    }

    /// Makes a backup if anything changed since the last one.
    pub fn backup(&self) {
        let _ = self.jobs.send(Job::Backup);
    }

    /// Finishes what was begun and closes the files.
    pub fn close(self) {
        // Readers of the logs may still be there: the thread is told.
        let _ = self.jobs.send(Job::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the store's thread ended badly");
        }
    }
}

/// The thread's side.
struct Worker {
    state: StateDb,
    log: Option<LogDb>,
    queue: mpsc::Receiver<Job>,
    /// Written together, a little later: a session must not wake the disk.
    unlogged: Unlogged,
}

#[derive(Default)]
struct Unlogged {
    sessions: Vec<SessionRecord>,
    lines: Vec<NewLine>,
}

impl Unlogged {
    fn len(&self) -> usize {
        self.sessions.len() + self.lines.len()
    }
}

impl Worker {
    fn run(mut self) {
        let mut flush_at = Instant::now();
        loop {
            let job = if self.unlogged.len() == 0 {
                self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.queue.recv_timeout(flush_at.saturating_duration_since(Instant::now()))
            };
            match job {
                Ok(Job::Session(record)) => {
                    self.before_logged(&mut flush_at);
                    self.unlogged.sessions.push(record);
                }
                Ok(Job::Line(line, queued)) => {
                    queued.fetch_sub(1, Ordering::Relaxed);
                    self.before_logged(&mut flush_at);
                    self.unlogged.lines.push(line);
                }
                Ok(Job::ReadLog(query, answer)) => {
                    self.flush_log();
                    let lines = self.log.as_ref().map_or(Ok(Vec::new()), |log| log.read_lines(&query));
                    // A client that left does not wait for its lines.
                    let _ = answer.send(lines.map_err(|error| format!("the log cannot be read: {error}")));
                }
                Ok(Job::Commit(writes, done)) => {
                    let result = self.state.commit(&writes);
                    if result.is_ok() && writes.contains(&Write::Reset) {
                        self.unlogged.sessions.clear();
                        self.log.iter().for_each(LogDb::forget_sessions);
                        self.state.finish_reset();
                    }
                    // The hub is gone: nobody waits.
                    let _ = done.send(result);
                }
                Ok(Job::Backup) => {
                    if let Err(error) = self.state.backup() {
                        tracing::warn!("no backup of the store was made: {error}");
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.flush_log(),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return self.flush_log(),
            }
        }
    }

    fn flush_log(&mut self) {
        let Unlogged { sessions, lines } = std::mem::take(&mut self.unlogged);
        let Some(log) = &mut self.log else { return };
        if !sessions.is_empty()
            && let Err(error) = log.add_sessions(&sessions)
        {
            tracing::warn!("{} lines of the session log are lost: {error}", sessions.len());
        }
        if !lines.is_empty()
            && let Err(error) = log.add_lines(&lines)
        {
            tracing::warn!("{} lines of the logs are lost: {error}", lines.len());
        }
    }

    /// Makes room for another record and sets the time of the first one.
    fn before_logged(&mut self, flush_at: &mut Instant) {
        if self.unlogged.len() >= MAX_UNLOGGED {
            self.flush_log();
        }
        if self.unlogged.len() == 0 {
            *flush_at = Instant::now() + LOG_DELAY;
        }
    }
}

fn make_private(dir: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let error = |error| OpenError::Directory { path: dir.to_owned(), error };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(error)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(error)
}

/// Makes a store whose commits fail at this, such as `DELETE ON unsaved`.
#[cfg(test)]
pub fn refuse(dir: &Path, what: &str) {
    Store::open(dir, dir, dir).unwrap().0.close();
    let db = rusqlite::Connection::open(dir.join("state.db")).unwrap();
    let refusal = "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    db.execute_batch(&format!("CREATE TRIGGER refusal BEFORE {what} {refusal}")).unwrap();
}
