//! The config log and the client log: lines go in from the hub, and are read by id, from the store's thread.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use ipc_proto::{
    UtcTime,
    control::{Log, LogEntry, LogLine},
};
use tokio::sync::{oneshot, watch};

use super::Job;

/// Lines that may wait for the store's thread; more are dropped.
const MAX_QUEUED: usize = 2048;

/// A line before it has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// When.
    pub at: UtcTime,
    /// What; `in_use` is not stored.
    pub entry: LogEntry,
}

/// Which lines to read.
#[derive(Clone, Copy, Debug)]
pub struct LogQuery {
    /// Which log.
    pub log: Log,
    /// Only larger ids.
    pub after_id: u64,
    /// Only from then on.
    pub since: Option<UtcTime>,
    /// Begin so many lines before the end.
    pub newest: Option<u32>,
    /// The revision that the worker uses.
    pub in_use: u64,
}

/// How many lines were added to each log since the start; followers watch it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    config: u64,
    client: u64,
}

impl Added {
    /// To that log.
    pub fn to(self, log: Log) -> u64 {
        match log {
            Log::Config => self.config,
            Log::Client => self.client,
        }
    }
}

/// The hub's end.
pub(super) struct LogWriter {
    added: watch::Sender<Added>,
    queued: Arc<AtomicUsize>,
}

impl Default for LogWriter {
    fn default() -> Self {
        Self { added: watch::Sender::new(Added::default()), queued: Arc::default() }
    }
}

impl LogWriter {
    /// Queues a line, if there is room.
    pub(super) fn add(&self, jobs: &mpsc::Sender<Job>, line: NewLine) {
        if self.queued.fetch_add(1, Ordering::Relaxed) >= MAX_QUEUED {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("a line of a log is dropped: the disk is too slow");
            return;
        }
        let config = matches!(line.entry, LogEntry::Change { .. });
        if jobs.send(Job::Line(line, Arc::clone(&self.queued))).is_err() {
            return;
        }
        self.added.send_modify(|added| if config { added.config += 1 } else { added.client += 1 });
    }

    /// A reader of the same store.
    pub(super) fn reader(&self, jobs: &mpsc::Sender<Job>) -> LogReader {
        LogReader { jobs: jobs.clone(), added: self.added.subscribe() }
    }
}

/// A front end's end.
#[derive(Clone)]
pub struct LogReader {
    jobs: mpsc::Sender<Job>,
    added: watch::Receiver<Added>,
}

impl LogReader {
    /// A page of lines, oldest first; shorter than [`super::LOG_PAGE`] at the end of the log. What waits to be
    /// written is among them.
    pub async fn read(&self, query: LogQuery) -> Result<Vec<LogLine>, String> {
        let (answer, lines) = oneshot::channel();
        let gone = || "the store's thread is gone".to_owned();
        self.jobs.send(Job::ReadLog(query, answer)).map_err(|_| gone())?;
        lines.await.map_err(|_| gone())?
    }

    /// So far.
    pub fn added(&mut self, log: Log) -> u64 {
        self.added.borrow_and_update().to(log)
    }

    /// Waits until there are more lines than that in the log; false when there will never be.
    pub async fn more_than(&mut self, log: Log, seen: u64) -> bool {
        self.added.wait_for(|added| added.to(log) > seen).await.is_ok()
    }
}
