//! Named places where a test kills a daemon; nothing without the feature `test-points`.

/// Kills the process when `CWMP_KILL_AT` names this point. `NAME@FILE` kills only while FILE exists, and
/// removes it first, so that it happens once.
#[cfg(feature = "test-points")]
pub fn reach(point: &str) {
    let Ok(wanted) = std::env::var("CWMP_KILL_AT") else { return };
    let due = match wanted.split_once('@') {
        Some((name, flag)) => name == point && std::fs::remove_file(flag).is_ok(),
        None => wanted == point,
    };
    if due {
        // The process is gone before this returns.
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Does nothing.
#[cfg(not(feature = "test-points"))]
pub fn reach(_point: &str) {}
