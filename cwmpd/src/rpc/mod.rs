//! The RPCs of TR-069 annex A: what the ACS asks, and what we answer, each in a file of its own.

pub mod add_object;
pub mod delete_object;
pub mod factory_reset;
pub mod fault;
pub mod get_parameter_attributes;
pub mod get_parameter_names;
pub mod get_parameter_values;
pub mod get_rpc_methods;
pub mod inform;
pub mod list_answer;
pub mod reboot;
pub mod schedule_inform;
pub mod set_parameter_attributes;
pub mod set_parameter_values;
#[cfg(test)]
mod tests;

use ipc_proto::{
    Fault, FaultCode,
    path::MAX_PATH,
    text::{CommandKey, ParameterKey, check_chars},
    worker::{Query, Read, RowChange, SessionId, SetAttributes, SetStatus},
};

use crate::soap::{Element, EnvelopeWriter, Head, Namespace};
use fault::AcsFault;
use set_parameter_values::SetParameterValues;

/// What stands in the Body of a message of the ACS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// An RPC for us.
    Request(Request),
    /// An RPC that we do not have or cannot read: to be answered with this fault (FLT-03).
    Refused(Fault),
    /// The answer to our Inform.
    InformResponse,
    /// The answer to something else, by its name; never to be answered with a fault (SOAP-21).
    Response(String),
    /// A SOAP fault.
    Fault(AcsFault),
}

/// An RPC that the ACS may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// GetRPCMethods
    GetRpcMethods,
    /// GetParameterValues, GetParameterNames or GetParameterAttributes.
    Read(Read),
    /// SetParameterValues
    SetParameterValues(SetParameterValues),
    /// Reboot, with its CommandKey.
    Reboot(CommandKey),
    /// FactoryReset
    FactoryReset,
    /// ScheduleInform: in so many seconds, with its CommandKey.
    ScheduleInform(u32, CommandKey),
    /// AddObject or DeleteObject.
    ChangeRow(ChangeRow),
    /// SetParameterAttributes
    SetParameterAttributes(Vec<SetAttributes>),
}

/// The arguments of AddObject and DeleteObject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Which of the two.
    pub change: RowChange,
    /// The table to add to, or the row to delete; the supervisor judges it.
    pub name: String,
    /// Empty when the request has none.
    pub parameter_key: ParameterKey,
}

impl Message {
    /// Reads the element in the Body.
    pub fn decode(body: &Element) -> Self {
        let refused = |code, detail: &str| Self::Refused(Fault::new(code, detail));
        let name = &*body.name;
        if body.namespace.is_envelope() && name == "Fault" {
            return Self::Fault(fault::decode(body));
        }
        // Without a prefix an RPC may stand in the envelope's own namespace.
        let ours = body.namespace.is_cwmp() || body.namespace == Namespace::Envelope;
        let decoded = match (ours, name) {
            (true, "InformResponse") => return Self::InformResponse,
            (_, name) if name.ends_with("Response") => return Self::Response(name.to_owned()),
            (true, get_rpc_methods::NAME) => Ok(Request::GetRpcMethods),
            (true, get_parameter_names::NAME) => get_parameter_names::decode(body).map(Request::Read),
            (true, get_parameter_values::NAME) => get_parameter_values::decode(body).map(Request::Read),
            (true, set_parameter_values::NAME) => {
                set_parameter_values::decode(body).map(Request::SetParameterValues)
            }
            (true, reboot::NAME) => reboot::decode(body).map(Request::Reboot),
            (true, factory_reset::NAME) => Ok(Request::FactoryReset),
            (true, schedule_inform::NAME) => {
                schedule_inform::decode(body).map(|(delay, key)| Request::ScheduleInform(delay, key))
            }
            (true, add_object::NAME) => add_object::decode(body).map(Request::ChangeRow),
            (true, delete_object::NAME) => delete_object::decode(body).map(Request::ChangeRow),
            (true, set_parameter_attributes::NAME) => {
                set_parameter_attributes::decode(body).map(Request::SetParameterAttributes)
            }
            (true, get_parameter_attributes::NAME) => {
                get_parameter_attributes::decode(body).map(Request::Read)
            }
            (true, name) => return refused(FaultCode::MethodNotSupported, name),
            (_, name) => {
                return refused(FaultCode::MethodNotSupported, &format!("{name} is in no CWMP namespace"));
            }
        };
        decoded.map_or_else(Self::Refused, Self::Request)
    }

    /// What it is called when it comes out of turn.
    pub fn name(&self) -> String {
        match self {
            Self::Request(Request::GetRpcMethods) => get_rpc_methods::NAME.to_owned(),
            Self::Request(Request::Read(Read::Values(_))) => get_parameter_values::NAME.to_owned(),
            Self::Request(Request::Read(Read::Names { .. })) => get_parameter_names::NAME.to_owned(),
            Self::Request(Request::Read(Read::Attributes(_))) => get_parameter_attributes::NAME.to_owned(),
            Self::Request(Request::SetParameterAttributes(_)) => set_parameter_attributes::NAME.to_owned(),
            Self::Request(Request::SetParameterValues(_)) => set_parameter_values::NAME.to_owned(),
            Self::Request(Request::Reboot(_)) => reboot::NAME.to_owned(),
            Self::Request(Request::FactoryReset) => factory_reset::NAME.to_owned(),
            Self::Request(Request::ScheduleInform(..)) => schedule_inform::NAME.to_owned(),
            Self::Request(Request::ChangeRow(row)) => match row.change {
                RowChange::Add => add_object::NAME.to_owned(),
                RowChange::Delete => delete_object::NAME.to_owned(),
            },
            Self::Refused(_) => "a request".to_owned(),
            Self::InformResponse => "InformResponse".to_owned(),
            Self::Response(name) => name.clone(),
            Self::Fault(_) => "a fault".to_owned(),
        }
    }
}

impl Request {
    /// What to ask the supervisor; none when the answer is known here.
    pub fn query(self, session: SessionId) -> Option<Query> {
        match self {
            Self::GetRpcMethods => None,
            Self::Read(read) => Some(Query::Prepare { session, read }),
            Self::SetParameterValues(set) => {
                Some(Query::Set { session, values: set.values, parameter_key: set.parameter_key })
            }
            Self::Reboot(command_key) => Some(Query::Reboot { session, command_key }),
            Self::FactoryReset => Some(Query::FactoryReset { session }),
            Self::ScheduleInform(delay_seconds, command_key) => {
                Some(Query::ScheduleInform { session, delay_seconds, command_key })
            }
            Self::ChangeRow(ChangeRow { change, name, parameter_key }) => {
                Some(Query::Row { session, change, name, parameter_key })
            }
            Self::SetParameterAttributes(attributes) => Some(Query::SetAttributes { session, attributes }),
        }
    }
}

/// The argument of that name, or fault 9003.
fn argument<'a>(rpc: &'a Element, name: &str) -> Result<&'a Element, Fault> {
    rpc.child(name).ok_or_else(|| invalid(&format!("{} without {name}", rpc.name)))
}

/// The CommandKey; empty when the request has none.
fn command_key(rpc: &Element) -> Result<CommandKey, Fault> {
    let key = rpc.child("CommandKey").map_or("", |key| &key.text);
    CommandKey::new(key).map_err(|e| invalid(&format!("a CommandKey of {e}")))
}

/// Writes a response without arguments, of that name.
pub fn encode_empty(head: Head<'_>, response: &str) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open(response);
    out.close(response);
    out.finish()
}

fn change_row(rpc: &Element, change: RowChange) -> Result<ChangeRow, Fault> {
    let name = path(argument(rpc, "ObjectName")?)?;
    Ok(ChangeRow { change, name, parameter_key: parameter_key(rpc)? })
}

/// The ParameterKey of a request that changes something; empty when there is none.
fn parameter_key(rpc: &Element) -> Result<ParameterKey, Fault> {
    let key = rpc.child("ParameterKey").map_or("", |key| &key.text);
    ParameterKey::new(key).map_err(|e| invalid(&format!("a ParameterKey of {e}")))
}

/// Status as it stands in a response.
fn status(status: SetStatus) -> &'static str {
    match status {
        SetStatus::Applied => "0",
        SetStatus::Later => "1",
    }
}

fn invalid(detail: &str) -> Fault {
    Fault::new(FaultCode::InvalidArguments, detail)
}

/// A name as the ACS sent it, or fault 9005 when no path is that long (TYPE-06).
fn path(element: &Element) -> Result<String, Fault> {
    let name = unindented(&element.text);
    check_chars(name, MAX_PATH)
        .map_err(|e| Fault::new(FaultCode::InvalidParameterName, &format!("a name of {e}")))?;
    Ok(name.to_owned())
}

/// A name without the white space that an indenting ACS puts around it: no name begins or ends with any.
fn unindented(name: &str) -> &str {
    name.trim_matches([' ', '\t', '\r', '\n'])
}
