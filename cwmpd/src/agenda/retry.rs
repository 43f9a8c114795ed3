//! The wait after failed sessions (TR-069 3.2.1.1).

use std::time::Duration;

use ipc_proto::{
    retry::RetryPolicy,
    worker::{RetryState, Why},
};

use super::Now;

/// A drawn wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Its end, on the clock since boot.
    pub at: Duration,
    /// What the session is then opened for.
    pub why: Why,
}

impl Wait {
    /// Draws the wait for these failures; none when there are none. After a reboot the range begins again at
    /// the first, while RetryCount goes on (RETRY-04, RETRY-05).
    pub fn drawn(failures: RetryState, policy: RetryPolicy, second: Duration, now: Now) -> Option<Self> {
        if !failures.is_waiting() {
            return None;
        }
        let wait = policy.wait(failures.since_boot.max(1), now.random, second);
        Some(Self { at: now.boot.saturating_add(wait), why: Why::Retry })
    }
}
