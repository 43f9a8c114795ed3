//! The session retry policy: how long to wait before retry n (TR-069 3.2.1.1).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// From this retry on the range stays the same (RETRY-03).
const LAST_RANGE: u32 = 10;

/// CWMPRetryMinimumWaitInterval and CWMPRetryIntervalMultiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// m: seconds, 1 to 65535.
    pub min_wait: u32,
    /// k in thousandths: 1000 to 65535.
    pub multiplier: u32,
}

impl RetryPolicy {
    /// The wait before retry `n` (from 1), in CWMP seconds, both ends included: m*k^(n-1) to m*k^n.
    pub fn range(self, n: u32) -> (f64, f64) {
        let step = i32::try_from(n.clamp(1, LAST_RANGE)).unwrap_or(1);
        let m = f64::from(self.min_wait);
        let k = f64::from(self.multiplier) / 1000.0;
        (m * k.powi(step - 1), m * k.powi(step))
    }

    /// A wait in the range of retry `n`: `random` (all of u32, evenly) says where in it; `second` is how
    /// long a CWMP second lasts.
    pub fn wait(self, n: u32, random: u32, second: Duration) -> Duration {
        let (from, to) = self.range(n);
        let seconds = from + (to - from) * (f64::from(random) / f64::from(u32::MAX));
        // 65535 * 65.535^10 seconds do not fit a Duration: longer than 100 years is never.
        second.mul_f64(seconds.min(3.2e9))
    }
}

/// Counts of failed sessions; both are 0 after a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetryState {
    /// RetryCount of the next Inform; survives a reboot (RETRY-05).
    pub count: u32,
    /// Failures since the boot: picks the range of the wait (RETRY-04).
    pub since_boot: u32,
}

impl RetryState {
    /// The last session failed, be it counted or not: the next waits for its turn.
    pub fn is_waiting(self) -> bool {
        self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: RetryPolicy = RetryPolicy { min_wait: 5, multiplier: 2000 };

    #[test]
    fn ranges_are_the_table_of_3_2_1_1() {
        let table: Vec<_> = (1..=11).map(|n| DEFAULT.range(n)).collect();
        let mut expected: Vec<_> =
            (0..10).map(|n| (5.0 * f64::from(1 << n), 10.0 * f64::from(1 << n))).collect();
        expected.push((2560.0, 5120.0));
        assert_eq!(table, expected);
    }

    #[test]
    fn the_wait_spans_the_whole_range() {
        let second = Duration::from_secs(1);
        assert_eq!(DEFAULT.wait(3, 0, second), Duration::from_secs(20));
        assert_eq!(DEFAULT.wait(3, u32::MAX, second), Duration::from_secs(40));
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let policy = RetryPolicy { min_wait: 65535, multiplier: 65535 };
        assert!(policy.wait(u32::MAX, u32::MAX, Duration::from_secs(1)) > Duration::from_secs(3_000_000_000));
    }
}
