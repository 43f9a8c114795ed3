//! Named places where a test kills the process, and what else a test may break; nothing without the feature `test-points`.

pub use ipc_proto::test_points::reach;

/// True when `CWMP_TEST_SYNCHRONOUS` is `off`, so that a test sees its own check fail.
#[cfg(feature = "test-points")]
pub fn never_syncs() -> bool {
    std::env::var("CWMP_TEST_SYNCHRONOUS").is_ok_and(|value| value == "off")
}

/// Never.
#[cfg(not(feature = "test-points"))]
pub fn never_syncs() -> bool {
    false
}
