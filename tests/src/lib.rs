//! The environment of the end-to-end tests: a scripted ACS, both daemons in a directory of their own, and the oracles.
// All of this crate is test code: a broken expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod acs;
pub mod binaries;
pub mod device;
pub mod follower;
pub mod peer;
pub mod peers;
pub mod process;
pub mod schema;
mod settings;
pub mod trace;
pub mod transcript;

use std::path::{Path, PathBuf};

pub use acs::{Acs, Plan, Trouble};
pub use device::Device;

/// The top of the source tree.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the workspace")
}

/// Says on stdout that something could not be checked here; in CI that is a failure.
pub fn skipped(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "in CI nothing may be skipped: {what}");
    // Written past the capture of the test runner, so that `./test` can count it.
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "\nSKIPPED: {what}");
}

/// False, and said, where a test cannot have what it needs: root and mount namespaces of its own.
pub fn may_unshare() -> bool {
    let unshared =
        std::process::Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).output();
    let may = nix::unistd::geteuid().is_root() && unshared.is_ok_and(|output| output.status.success());
    if !may {
        skipped("it needs root and mount namespaces");
    }
    may
}

/// Where the schemas and the requirements lie: `CWMP_SPEC`, or beside the source tree.
pub fn spec_directory() -> PathBuf {
    std::env::var_os("CWMP_SPEC").map_or_else(|| workspace_root().join("../shared/spec"), PathBuf::from)
}
