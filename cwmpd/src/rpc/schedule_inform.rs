//! ScheduleInform: a session after some time (TR-069 A.4.1.2).

use ipc_proto::{Fault, text::CommandKey};

use crate::soap::Element;

/// The method's name.
pub const NAME: &str = "ScheduleInform";
/// The name of the answer, which is empty.
pub const RESPONSE: &str = "cwmp:ScheduleInformResponse";

/// Reads the arguments: DelaySeconds, from 1, and the CommandKey.
pub fn decode(rpc: &Element) -> Result<(u32, CommandKey), Fault> {
    let delay = super::argument(rpc, "DelaySeconds")?.text.trim().parse().ok();
    let delay = delay.filter(|seconds| *seconds > 0);
    let delay =
        delay.ok_or_else(|| super::invalid("DelaySeconds is no whole number from 1 to 4294967295"))?;
    Ok((delay, super::command_key(rpc)?))
}
