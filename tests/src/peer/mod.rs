//! Programs that others wrote, as peers of the device: each in a directory of its own, stopped when dropped.

mod lighttpd;
mod openssl;

pub use lighttpd::{Lighttpd, Served};
pub use openssl::{Certificate, Made, OpensslServer, Pki};

use std::path::Path;
use std::process::Child;

/// False, and said, where a program is not installed.
pub fn has(program: &str) -> bool {
    let found =
        ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
    if !found {
        crate::skipped(&format!("{program} is not installed"));
    }
    found
}

/// A child that is killed when dropped.
#[derive(Debug)]
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
