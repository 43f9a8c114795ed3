//! GetParameterValues: values with their types (TR-069 A.3.2.2).

use ipc_proto::{Fault, ParamType, worker::Read};

use crate::soap::{Element, EnvelopeWriter};

/// The method's name.
pub const NAME: &str = "GetParameterValues";
/// The name of the answer.
pub const RESPONSE: &str = "cwmp:GetParameterValuesResponse";
/// The type of an entry of the answer.
pub const ITEM: &str = "cwmp:ParameterValueStruct";

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<Read, Fault> {
    names(rpc).map(Read::Values)
}

/// ParameterNames, which GetParameterAttributes has too. The items of a SOAP array may have any name (SOAP 1.1,
/// 5.4.2).
pub fn names(rpc: &Element) -> Result<Vec<String>, Fault> {
    let names = super::argument(rpc, "ParameterNames")?;
    if names.children.is_empty() {
        // The schema wants one at least (GPV-02).
        return Err(super::invalid("ParameterNames is empty"));
    }
    names.children.iter().map(super::path).collect()
}

/// Writes one entry of the answer, or of an Inform's ParameterList.
pub fn item(out: &mut EnvelopeWriter, (name, value, param_type): (&str, &str, ParamType)) {
    out.open("ParameterValueStruct");
    out.leaf("Name", name);
    out.typed_value(type_name(param_type), value);
    out.close("ParameterValueStruct");
}

/// XML Schema has no `base64`, and validators refuse it: there it is called base64Binary.
fn type_name(of: ParamType) -> &'static str {
    match of {
        ParamType::Base64 => "base64Binary",
        other => other.xsd_name(),
    }
}
