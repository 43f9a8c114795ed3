//! The lines of the client log that wait for the link: a bounded ring that counts what it drops.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, PoisonError},
};

use ipc_proto::{UtcTime, worker::ClientLine};
use tokio::sync::Notify;

/// Lines that may wait; of more, the oldest are dropped.
const MAX_WAITING: usize = 256;
/// Lines of one report.
const MAX_REPORT: usize = 32;

/// The ring; filled by whoever has something to tell, emptied by the link when nothing else waits.
#[derive(Default)]
pub struct Lines {
    ring: Mutex<Ring>,
    filled: Notify,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<ClientLine>,
    dropped: u64,
}

impl Lines {
    /// Adds a line, in the place of the oldest when the ring is full.
    pub fn push(&self, line: ClientLine) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.lines.len() >= MAX_WAITING {
            ring.lines.pop_front();
            ring.dropped += 1;
        }
        ring.lines.push_back(line);
        drop(ring);
        self.filled.notify_one();
    }

    /// The next lines for a report; waits for the first. Nothing is lost when it is cancelled.
    pub async fn take(&self) -> Vec<ClientLine> {
        loop {
            let lines = self.next();
            if !lines.is_empty() {
                return lines;
            }
            self.filled.notified().await;
        }
    }

    fn next(&self) -> Vec<ClientLine> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        let dropped = mem::take(&mut ring.dropped);
        if dropped > 0 {
            let detail = format!("{dropped} older lines were dropped: too much at once");
            let what = "log".to_owned();
            lines.push(ClientLine { at: UtcTime::now(), session: None, what, detail, took_ms: None });
        }
        let count = ring.lines.len().min(MAX_REPORT - lines.len());
        lines.extend(ring.lines.drain(..count));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> ClientLine {
        let (what, detail) = (n.to_string(), String::new());
        ClientLine { at: UtcTime::from_millis(0), session: None, what, detail, took_ms: None }
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_says_how_many() {
        let lines = Lines::default();
        (0..MAX_WAITING + 5).for_each(|n| lines.push(line(n)));
        let first = lines.next();
        assert_eq!(first.len(), MAX_REPORT);
        assert!(first[0].detail.starts_with("5 older lines"), "{first:?}");
        assert_eq!(first[1].what, "5");
        while !lines.next().is_empty() {}
    }
}
