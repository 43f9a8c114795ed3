//! GetParameterAttributes: which changes are told, and who may set what (TR-069 A.3.2.5).

use ipc_proto::{
    Fault,
    worker::{Attributes, Read},
};

use super::{get_parameter_values, set_parameter_attributes::SUBSCRIBER};
use crate::soap::{Element, EnvelopeWriter};

/// The method's name.
pub const NAME: &str = "GetParameterAttributes";
/// The name of the answer.
pub const RESPONSE: &str = "cwmp:GetParameterAttributesResponse";
/// The type of an entry of the answer.
pub const ITEM: &str = "cwmp:ParameterAttributeStruct";

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<Read, Fault> {
    get_parameter_values::names(rpc).map(Read::Attributes)
}

/// Writes one entry of the answer.
pub fn item(out: &mut EnvelopeWriter, name: &str, attributes: Attributes) {
    out.open("ParameterAttributeStruct");
    out.leaf("Name", name);
    out.leaf("Notification", attributes.notification.text());
    out.open_array("AccessList", "xsd:string", usize::from(attributes.subscriber));
    if attributes.subscriber {
        out.leaf("string", SUBSCRIBER);
    }
    out.close("AccessList");
    out.close("ParameterAttributeStruct");
}
