//! Values that are read from the running system when someone asks.

use std::fs;

use ipc_proto::Value;

/// A value of the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Live {
    /// DeviceInfo.UpTime, seconds.
    UpTime,
    /// MemoryStatus.Total, KiB.
    MemoryTotal,
    /// MemoryStatus.Free, KiB: what new programs could use.
    MemoryFree,
}

impl Live {
    /// The present value; 0 where the system does not say.
    pub fn read(self) -> Value {
        Value::UnsignedInt(match self {
            Self::UpTime => uptime(&read("/proc/uptime")),
            Self::MemoryTotal => meminfo(&read("/proc/meminfo"), "MemTotal:"),
            Self::MemoryFree => meminfo(&read("/proc/meminfo"), "MemAvailable:"),
        })
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn uptime(text: &str) -> u32 {
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

fn meminfo(text: &str, field: &str) -> u32 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_system_has_an_uptime_and_memory() {
        for live in [Live::UpTime, Live::MemoryTotal, Live::MemoryFree] {
            assert!(matches!(live.read(), Value::UnsignedInt(n) if n > 0), "{live:?}");
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let text = "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\n";
        assert_eq!((meminfo(text, "MemTotal:"), meminfo(text, "MemAvailable:")), (2048, 1024));
        assert_eq!(uptime("123.45 99.0\n"), 123);
    }
}
