//! The programs under test, built once when a test run has not built them already.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The features that name the kill points.
pub const FEATURES: &str = "supervisor/test-points,cwmpd/test-points";

/// The path of a built program of this workspace, such as `cwmpctl`.
pub fn program(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let directory = beside_this_program();
    // The scripts build first and say so; a plain `cargo test` has not.
    if std::env::var_os("CWMP_BUILT").is_none() {
        BUILT.call_once(|| build(&directory));
    }
    let path = directory.join(name);
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// `target/debug` or `target/release`, whichever this program was built into.
fn beside_this_program() -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let directory = this.parent().expect("a file lies in a directory");
    if directory.ends_with("deps") {
        directory.parent().expect("deps lies in a profile's directory").to_owned()
    } else {
        directory.to_owned()
    }
}

fn build(directory: &Path) {
    let target = directory.parent().expect("the profile's directory lies in the target directory");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::workspace_root());
    cargo.args(["build", "--workspace", "--bins", "--features", FEATURES, "--target-dir"]).arg(target);
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "cargo build: {}", String::from_utf8_lossy(&output.stderr));
}
