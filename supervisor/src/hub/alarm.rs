//! A stored point in time that a timer waits for, however the clock is set meanwhile.

use std::time::Duration;

use ipc_proto::UtcTime;
use tokio::time::Instant;

/// Rings once for each point in time that it is given.
#[derive(Debug, Default)]
pub struct Alarm {
    of: Option<UtcTime>,
    at: Option<Instant>,
}

impl Alarm {
    /// Waits for this point, or for none. A clock that was wrong when it was stored, or is now, makes the wait
    /// `longest` at the most.
    pub fn set(&mut self, of: Option<UtcTime>, longest: Duration) {
        if self.of == of {
            return;
        }
        self.of = of;
        self.at = of.map(|of| {
            let left = of.millis().saturating_sub(UtcTime::now().millis());
            Instant::now() + longest.min(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
        });
    }

    /// When it rings next.
    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// True once for each point that has come.
    pub fn rings(&mut self) -> bool {
        self.at.take_if(|at| *at <= Instant::now()).is_some()
    }

    /// The point has come.
    pub fn is_over(&self) -> bool {
        self.of.is_some() && self.at.is_none_or(|at| at <= Instant::now())
    }
}
