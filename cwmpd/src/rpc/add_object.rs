//! AddObject: a new row of a table (TR-069 A.3.2.6).

use ipc_proto::{
    Fault,
    worker::{RowChange, SetStatus},
};

use super::ChangeRow;
use crate::soap::{Element, EnvelopeWriter, Head};

/// The method's name.
pub const NAME: &str = "AddObject";

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<ChangeRow, Fault> {
    super::change_row(rpc, RowChange::Add)
}

/// Writes AddObjectResponse with the number of the new row.
pub fn encode(head: Head<'_>, number: u32, status: SetStatus) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("cwmp:AddObjectResponse");
    out.display("InstanceNumber", number);
    out.leaf("Status", super::status(status));
    out.close("cwmp:AddObjectResponse");
    out.finish()
}
