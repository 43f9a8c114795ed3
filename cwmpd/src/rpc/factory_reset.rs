//! FactoryReset: the factory values come back once the session has ended (TR-069 A.4.1.6). It has no arguments.

/// The method's name.
pub const NAME: &str = "FactoryReset";
/// The name of the answer, which is empty.
pub const RESPONSE: &str = "cwmp:FactoryResetResponse";
