//! DeleteObject: a row goes with all below it (TR-069 A.3.2.7).

use ipc_proto::{
    Fault,
    worker::{RowChange, SetStatus},
};

use super::ChangeRow;
use crate::soap::{Element, EnvelopeWriter, Head};

/// The method's name.
pub const NAME: &str = "DeleteObject";

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<ChangeRow, Fault> {
    super::change_row(rpc, RowChange::Delete)
}

/// Writes DeleteObjectResponse.
pub fn encode(head: Head<'_>, status: SetStatus) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("cwmp:DeleteObjectResponse");
    out.leaf("Status", super::status(status));
    out.close("cwmp:DeleteObjectResponse");
    out.finish()
}
