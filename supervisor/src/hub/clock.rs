//! Whether the device's clock is right, as far as the system says (DECISIONS 19), and what follows once it is.

use std::path::Path;

use ipc_proto::UtcTime;

use super::Hub;
use crate::settings::ClockSource;

/// systemd-timesyncd makes it while it runs, and the file in it once the clock was set.
const TIMESYNC: &str = "/run/systemd/timesync";

/// True when `source` says so; never for a time before the build.
pub fn is_synchronised(source: &ClockSource, now: UtcTime) -> bool {
    let said = match source {
        ClockSource::Auto => {
            let timesync = Path::new(TIMESYNC);
            !timesync.exists() || timesync.join("synchronized").exists()
        }
        ClockSource::File(file) => file.exists(),
    };
    said && now >= UtcTime::BUILT
}

impl Hub {
    /// A clock that has become right may mend what failed: the next attempt need not wait (DECISIONS 13).
    pub(super) fn look_at_clock(&mut self) {
        self.clock_synchronised = is_synchronised(&self.settings.clock.synchronised, UtcTime::now());
        if self.clock_synchronised {
            tracing::info!("the clock is synchronised");
            self.refresh_config();
            self.mended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_decides_and_a_clock_before_the_build_is_never_right() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let there = ClockSource::File(file.path().to_owned());
        assert!(is_synchronised(&there, UtcTime::BUILT));
        assert!(!is_synchronised(&there, UtcTime::BUILT.plus_millis(-1)));
        assert!(!is_synchronised(&ClockSource::Auto, UtcTime::from_millis(0)));
        let absent = ClockSource::File("/nonexistent/synchronised".into());
        assert!(!is_synchronised(&absent, UtcTime::BUILT));
    }
}
