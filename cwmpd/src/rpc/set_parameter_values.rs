//! SetParameterValues: values with the types that the ACS gives them (TR-069 A.3.2.1).

use ipc_proto::{
    Fault, ParamType,
    text::ParameterKey,
    worker::{DeclaredType, SetStatus, SetValue},
};

use crate::soap::{Element, EnvelopeWriter, Head, Namespace};

/// The method's name.
pub const NAME: &str = "SetParameterValues";

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetParameterValues {
    /// In the order of the request; the supervisor judges them.
    pub values: Vec<SetValue>,
    /// Empty when the request has none.
    pub parameter_key: ParameterKey,
}

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<SetParameterValues, Fault> {
    let list = super::argument(rpc, "ParameterList")?;
    let values = list.children.iter().map(value).collect::<Result<_, _>>()?;
    Ok(SetParameterValues { values, parameter_key: super::parameter_key(rpc)? })
}

/// Writes SetParameterValuesResponse.
pub fn encode(head: Head<'_>, status: SetStatus) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("cwmp:SetParameterValuesResponse");
    out.leaf("Status", super::status(status));
    out.close("cwmp:SetParameterValuesResponse");
    out.finish()
}

fn value(item: &Element) -> Result<SetValue, Fault> {
    let missing = |what: &str| super::invalid(&format!("an entry of ParameterList without {what}"));
    let name = item.child("Name").ok_or_else(|| missing("Name"))?;
    let value = item.child("Value").ok_or_else(|| missing("Value"))?;
    if !value.children.is_empty() {
        return Err(super::invalid(&format!("the Value of {} holds elements", name.text)));
    }
    Ok(SetValue {
        name: super::unindented(&name.text).to_owned(),
        declared: declared(value),
        text: value.text.clone(),
    })
}

/// The local name alone counts: ACSs name `xsd`, `soapenc` and others for the same types.
fn declared(value: &Element) -> DeclaredType {
    let Some(name) = value.attribute(Namespace::is_schema_instance, "type") else {
        return DeclaredType::Absent;
    };
    let local = name.rsplit(':').next().unwrap_or_default().trim();
    ParamType::from_xsd_name(local).map_or(DeclaredType::Unknown, DeclaredType::Known)
}
