//! The points of PeriodicInform: the phase, and every interval before and after it.

use std::time::Duration;

use ipc_proto::{UtcTime, worker::Periodic};

use super::Now;

/// The timer, armed for one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The point, on the clock since boot.
    pub at: Duration,
    point: UtcTime,
    phase: UtcTime,
    interval_ms: i64,
}

impl Timer {
    /// Armed for the first point after now.
    pub fn armed(periodic: Periodic, second: Duration, now: Now) -> Self {
        let second_ms = i64::try_from(second.as_millis()).unwrap_or(i64::MAX);
        let interval_ms = i64::from(periodic.interval).saturating_mul(second_ms).max(1);
        Self { at: now.boot, point: now.wall, phase: periodic.phase, interval_ms }.after(now.wall, now)
    }

    /// Armed for the next point once this one has come. The wall clock may lag a little behind the clock since
    /// boot, and the same point must not come twice; a clock that was set back further is followed.
    pub fn fired(self, now: Now) -> Self {
        let lag = self.point.millis().saturating_sub(now.wall.millis());
        let from = if lag < self.interval_ms / 2 { self.point.max(now.wall) } else { now.wall };
        self.after(from, now)
    }

    /// The first point strictly after `from`.
    fn after(self, from: UtcTime, now: Now) -> Self {
        let since_phase = i128::from(from.millis()) - i128::from(self.phase.millis());
        let intervals = since_phase.div_euclid(self.interval_ms.into()) + 1;
        let point = i128::from(self.phase.millis()) + intervals * i128::from(self.interval_ms);
        let point = UtcTime::from_millis(i64::try_from(point).unwrap_or(i64::MAX));
        let wait = point.millis().saturating_sub(now.wall.millis());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        Self { at: now.boot.saturating_add(wait), point, ..self }
    }
}
