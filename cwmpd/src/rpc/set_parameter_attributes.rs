//! SetParameterAttributes: which changes are to be told, and who may set what (TR-069 A.3.2.4).

use ipc_proto::{
    Fault,
    worker::{Notification, SetAttributes},
};

use crate::soap::{self, Element, EnvelopeWriter, Head};

/// The method's name.
pub const NAME: &str = "SetParameterAttributes";
/// The one entity that an AccessList may hold (ATTR-13).
pub const SUBSCRIBER: &str = "Subscriber";

/// Reads the arguments.
pub fn decode(rpc: &Element) -> Result<Vec<SetAttributes>, Fault> {
    super::argument(rpc, "ParameterList")?.children.iter().map(entry).collect()
}

/// Writes SetParameterAttributesResponse.
pub fn encode(head: Head<'_>) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("cwmp:SetParameterAttributesResponse");
    out.close("cwmp:SetParameterAttributesResponse");
    out.finish()
}

/// What is not to change is not looked at (ATTR-03).
fn entry(item: &Element) -> Result<SetAttributes, Fault> {
    let name = super::path(super::argument(item, "Name")?)?;
    let notification = match changes(item, "NotificationChange")? {
        true => {
            let text = &super::argument(item, "Notification")?.text;
            let unknown = || super::invalid("Notification must be 0, 1 or 2");
            Some(Notification::parse(text).ok_or_else(unknown)?)
        }
        false => None,
    };
    let subscriber = match changes(item, "AccessListChange")? {
        true => Some(subscriber(super::argument(item, "AccessList")?)?),
        false => None,
    };
    Ok(SetAttributes { name, notification, subscriber })
}

fn changes(item: &Element, name: &str) -> Result<bool, Fault> {
    let flag = super::argument(item, name)?;
    soap::boolean(&flag.text).ok_or_else(|| super::invalid(&format!("{name} is no boolean")))
}

fn subscriber(list: &Element) -> Result<bool, Fault> {
    match list.children.iter().any(|entity| entity.text.trim() != SUBSCRIBER) {
        true => Err(super::invalid("AccessList may hold nothing but Subscriber")),
        false => Ok(!list.children.is_empty()),
    }
}
