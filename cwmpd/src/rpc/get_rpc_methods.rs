//! GetRPCMethods: the methods that this CPE has, and those that the ACS has (TR-069 A.3.1.1).

use super::{
    add_object, delete_object, factory_reset, get_parameter_attributes, get_parameter_names,
    get_parameter_values, reboot, schedule_inform, set_parameter_attributes, set_parameter_values,
};
use crate::soap::{EnvelopeWriter, Head};

/// The method's name.
pub const NAME: &str = "GetRPCMethods";

const METHODS: [&str; 11] = [
    NAME,
    set_parameter_values::NAME,
    get_parameter_values::NAME,
    get_parameter_names::NAME,
    set_parameter_attributes::NAME,
    get_parameter_attributes::NAME,
    add_object::NAME,
    delete_object::NAME,
    reboot::NAME,
    factory_reset::NAME,
    schedule_inform::NAME,
];

/// Writes our own request for the methods of the ACS.
pub fn encode_request(head: Head<'_>) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("cwmp:GetRPCMethods");
    out.close("cwmp:GetRPCMethods");
    out.finish()
}

/// Writes GetRPCMethodsResponse.
pub fn encode(head: Head<'_>) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("cwmp:GetRPCMethodsResponse");
    out.open_array("MethodList", "xsd:string", METHODS.len());
    for method in METHODS {
        out.leaf("string", method);
    }
    out.close("MethodList");
    out.close("cwmp:GetRPCMethodsResponse");
    out.finish()
}
