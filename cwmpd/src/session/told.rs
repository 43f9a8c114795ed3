//! The client log's words for an RPC: what the ACS asked and what was done, never a value.

pub use ipc_proto::shown::shown as clean;
use ipc_proto::{
    Fault,
    worker::{Read, Reply, SetStatus},
};

use crate::rpc::{Message, Request};

/// Characters of a line's text at the most.
const MAX_TEXT: usize = 1000;
/// Names of a request that are shown; the rest is counted.
const MAX_NAMES: usize = 8;

/// A line of the client log, before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The RPC.
    pub what: String,
    /// What it asked and what was done.
    pub detail: String,
}

impl Told {
    /// An RPC that was answered with a fault without asking the supervisor.
    pub fn refused(name: &str, fault: &Fault) -> Self {
        Self { what: clean(name, 100), detail: clean(&fault_text(fault), MAX_TEXT) }
    }

    /// An RPC whose answer is known without the supervisor.
    pub fn answered(request: &Request) -> Self {
        Self { what: Message::Request(request.clone()).name(), detail: "answered".to_owned() }
    }

    /// What the RPC asks; [`Self::done`] completes it.
    pub fn asked(request: &Request) -> Self {
        let detail = match request {
            Request::GetRpcMethods => String::new(),
            Request::Read(Read::Values(paths) | Read::Attributes(paths)) => {
                names(paths.iter().map(String::as_str))
            }
            Request::Read(Read::Names { path, next_level }) => {
                let path = if path.is_empty() { "everything" } else { path };
                format!("{path}{}", if *next_level { ", next level" } else { "" })
            }
            Request::ChangeRow(row) => row.name.clone(),
            Request::SetParameterAttributes(set) => names(set.iter().map(|entry| entry.name.as_str())),
            Request::SetParameterValues(set) => names(set.values.iter().map(|value| value.name.as_str())),
            Request::Reboot(key) => format!("CommandKey {key}"),
            Request::FactoryReset => "factory values".to_owned(),
            Request::ScheduleInform(delay, key) => format!("in {delay} s, CommandKey {key}"),
        };
        Self { what: Message::Request(request.clone()).name(), detail: clean(&detail, MAX_TEXT - 200) }
    }

    /// With what the supervisor did about it.
    pub fn done(self, reply: &Reply) -> Self {
        let done = match reply {
            Reply::Prepared { count: 1, .. } => "1 entry".to_owned(),
            Reply::Prepared { count, .. } => format!("{count} entries"),
            Reply::Done => "done".to_owned(),
            Reply::Set(SetStatus::Applied) => "done, status 0".to_owned(),
            Reply::Set(SetStatus::Later) => "done, status 1".to_owned(),
            Reply::Added(number, SetStatus::Applied) => format!("row {number}, status 0"),
            Reply::Added(number, SetStatus::Later) => format!("row {number}, status 1"),
            Reply::Fault(fault) => fault_text(fault),
            _ => "not done".to_owned(),
        };
        Self { detail: clean(&format!("{} -> {done}", self.detail), MAX_TEXT), what: self.what }
    }

    /// With the end of a session in which its answer did not get out.
    pub fn not_delivered(self) -> Self {
        Self { detail: clean(&format!("{}, not delivered", self.detail), MAX_TEXT), what: self.what }
    }
}

fn fault_text(fault: &Fault) -> String {
    let mut text = format!("fault {} ({})", fault.code.number(), fault.text);
    for parameter in fault.parameters.iter().take(MAX_NAMES) {
        text.push_str(&format!(", {}: {}", clean(&parameter.name, 100), parameter.code.number()));
    }
    text
}

fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = all.len();
    let shown: Vec<_> = all.take(MAX_NAMES).map(|name| clean(name, 256)).collect();
    let more = if count > shown.len() { " and others" } else { "" };
    format!("{count}: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_proto::{FaultCode, ParameterFault};

    #[test]
    fn text_of_the_acs_is_bounded_and_has_no_control_characters() {
        let asked = Told::asked(&Request::Read(Read::Values(vec!["\u{1b}[2J\n".repeat(2000); 30])));
        let told = asked.done(&Reply::Fault(Fault::new(FaultCode::InvalidParameterName, "")));
        assert!(told.detail.chars().count() <= MAX_TEXT && !told.detail.chars().any(char::is_control));
        assert!(told.detail.ends_with("fault 9005 (Invalid parameter name)"), "{}", told.detail);
    }

    #[test]
    fn a_fault_names_the_parameters_and_their_codes() {
        let bad = ParameterFault::new("A.B", FaultCode::NonWritableParameter, "");
        let told = Told::refused("SetParameterValues", &Fault::bad_parameters(vec![bad]));
        assert!(told.detail.starts_with("fault 9003") && told.detail.ends_with("A.B: 9008"), "{told:?}");
    }
}
