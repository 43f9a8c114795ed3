//! Refusals on their way from the sockets to the driver: counted meanwhile, told when it is time.

use std::{
    mem,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use tokio::{sync::Notify, time::timeout};

use super::refusals::Refusals;

/// Lines that wait for a link to the supervisor at the most.
const MAX_WAITING: usize = 64;

/// Filled by the connections, emptied by the driver.
pub struct Record {
    kept: Mutex<Kept>,
    /// There is a line, or something to count.
    woken: Notify,
}

struct Kept {
    refusals: Refusals,
    lines: Vec<String>,
}

impl Record {
    pub fn new() -> Self {
        Self { kept: Mutex::new(Kept { refusals: Refusals::new(), lines: Vec::new() }), woken: Notify::new() }
    }

    /// A request was refused.
    pub fn refused(&self, from: Option<IpAddr>, why: &'static str) {
        self.with(|kept| {
            let was_due = kept.refusals.due();
            let line = kept.refusals.refused(now(), from, why);
            if line.is_some() || kept.refusals.due() != was_due {
                self.woken.notify_one();
            }
            kept.keep(line);
        });
    }

    /// A request was accepted.
    pub fn accepted(&self, from: IpAddr) {
        self.with(|kept| kept.refusals.accepted(from));
    }

    /// The next lines for the client log; waits for the first. Nothing is lost when it is cancelled.
    pub async fn told(&self) -> Vec<String> {
        loop {
            let (lines, due) = self.with(|kept| {
                let report = kept.refusals.report(now());
                kept.keep(report);
                (mem::take(&mut kept.lines), kept.refusals.due())
            });
            if !lines.is_empty() {
                return lines;
            }
            match due {
                None => self.woken.notified().await,
                // A timer stands still while the device sleeps; then the lines come later.
                Some(due) => drop(timeout(due.saturating_sub(now()), self.woken.notified()).await),
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn keep(&mut self, lines: impl IntoIterator<Item = String>) {
        let room = MAX_WAITING.saturating_sub(self.lines.len());
        self.lines.extend(lines.into_iter().take(room));
    }
}

fn now() -> Duration {
    // The clock since boot cannot fail.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}
