//! Reboot: the device restarts once the session has ended (TR-069 A.3.2.9).

use ipc_proto::{Fault, text::CommandKey};

use crate::soap::Element;

/// The method's name.
pub const NAME: &str = "Reboot";
/// The name of the answer, which is empty.
pub const RESPONSE: &str = "cwmp:RebootResponse";

/// Reads the argument.
pub fn decode(rpc: &Element) -> Result<CommandKey, Fault> {
    super::command_key(rpc)
}
