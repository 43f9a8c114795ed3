//! GetParameterNames: what there is, and what of it may be written (TR-069 A.3.2.3).

use ipc_proto::{Fault, worker::Read};

use crate::soap::{self, Element, EnvelopeWriter};

/// The method's name.
pub const NAME: &str = "GetParameterNames";
/// The name of the answer.
pub const RESPONSE: &str = "cwmp:GetParameterNamesResponse";
/// The type of an entry of the answer.
pub const ITEM: &str = "cwmp:ParameterInfoStruct";

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<Read, Fault> {
    let path = super::path(super::argument(rpc, "ParameterPath")?)?;
    let next_level = super::argument(rpc, "NextLevel")?;
    let next_level =
        soap::boolean(&next_level.text).ok_or_else(|| super::invalid("NextLevel is no boolean"))?;
    Ok(Read::Names { path, next_level })
}

/// Writes one entry of the answer.
pub fn item(out: &mut EnvelopeWriter, name: &str, writable: bool) {
    out.open("ParameterInfoStruct");
    out.leaf("Name", name);
    out.leaf("Writable", if writable { "1" } else { "0" });
    out.close("ParameterInfoStruct");
}
