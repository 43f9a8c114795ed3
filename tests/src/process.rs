//! Processes as the kernel shows them, signals to those that a test started, and waiting for what is not an event.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::device::PATIENCE;

/// Looks again and again until it holds; panics after [`PATIENCE`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a process of the device under test.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("a process id fits");
    assert!(pid > 1, "{pid} is no process of a test");
    kill(Pid::from_raw(pid), signal).expect("the process is ours to signal");
}

/// True while it runs; a zombie does not.
pub fn runs(pid: u32) -> bool {
    field(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}

/// What `/proc/PID/status` says in this line, white space trimmed.
pub fn field(pid: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// Stops it and waits until the kernel says so.
pub fn freeze(pid: u32) {
    signal(pid, Signal::SIGSTOP);
    wait_until("the process to stop", || field(pid, "State:").is_some_and(|state| state.starts_with('T')));
}

/// A field of /proc/PID/status that is an amount of memory, such as `VmHWM:`, in KiB.
pub fn memory_kib(pid: u32, name: &str) -> u64 {
    let text = field(pid, name).expect("the process runs");
    text.trim_end_matches(" kB").trim().parse().expect("an amount of memory")
}

/// Time on a processor, over all threads.
pub fn cpu(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process is ours to read");
    let nanoseconds = threads.flatten().map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanoseconds.sum())
}
