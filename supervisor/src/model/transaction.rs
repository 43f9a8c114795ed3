//! SetParameterValues: every parameter judged, then all written or none (TR-069 A.3.2.1).

use std::collections::HashSet;

use ipc_proto::{
    Fault, FaultCode, ParamType, ParameterFault, UtcTime, Value,
    control::Source,
    worker::{DeclaredType, SetValue},
};

use super::{schema::Backing, tree::Tree};
use crate::{
    config::{layers::Stored, table::Author},
    store::Write,
};

/// The writes that a SetParameterValues asks for, or the fault that names every bad parameter.
pub fn set_values(
    tree: &Tree,
    values: &[SetValue],
    at: UtcTime,
    forbidden: impl Fn(&str, &str) -> Option<String>,
) -> Result<Vec<Write>, Fault> {
    let mut seen = HashSet::new();
    if let Some(twice) = values.iter().find(|value| !seen.insert(value.name.as_str())) {
        let detail = format!("{} is set twice", twice.name);
        return Err(Fault::new(FaultCode::InvalidArguments, &detail));
    }
    let mut writes = Vec::with_capacity(values.len() * 2);
    let mut faults = Vec::new();
    for value in values {
        let judged = judge(tree, value).and_then(|judged| match &judged {
            Judged::Config(name, text) => match forbidden(name, text) {
                Some(why) => Err((FaultCode::InvalidParameterValue, why)),
                None => Ok(judged),
            },
            Judged::Stored(_) => Ok(judged),
        });
        match judged {
            Ok(Judged::Config(name, text)) => {
                writes.push(Write::Startup(name, Some(Stored { text, source: Source::Acs, at })));
                writes.push(Write::Unsaved(name, None));
            }
            Ok(Judged::Stored(text)) => writes.push(Write::Value(value.name.clone(), text)),
            Err((code, detail)) => faults.push(ParameterFault::new(value.name.clone(), code, &detail)),
        }
    }
    if faults.is_empty() { Ok(writes) } else { Err(Fault::bad_parameters(faults)) }
}

/// A value that may be set, as it is kept.
enum Judged {
    /// Of a row of the parameter table.
    Config(&'static str, String),
    /// In the store of the data model.
    Stored(String),
}

fn judge(tree: &Tree, value: &SetValue) -> Result<Judged, (FaultCode, String)> {
    let Some((_, _, parameter)) = tree.parameter(&value.name) else {
        return Err((FaultCode::InvalidParameterName, String::new()));
    };
    let facts = &parameter.facts;
    if !facts.writable {
        return Err((FaultCode::NonWritableParameter, String::new()));
    }
    if !fits(value.declared, facts.param_type) {
        return Err((FaultCode::InvalidParameterType, format!("it is {}", facts.param_type)));
    }
    let bad = |reason: String| (FaultCode::InvalidParameterValue, reason);
    match &facts.backing {
        Backing::Config(row) => {
            let text =
                Value::parse(facts.param_type, &value.text).map_err(|e| bad(e.to_string()))?.to_string();
            Ok(Judged::Config(row.name, row.parse(&text, Author::Acs).map_err(|e| bad(e.expected))?))
        }
        Backing::Stored { limits, .. } => {
            Ok(Judged::Stored(limits.parse(facts.param_type, &value.text).map_err(bad)?))
        }
        _ => Err((FaultCode::NonWritableParameter, String::new())),
    }
}

/// ACSs mix up the integer types, and the value's range is checked anyway; any other difference is 9006.
fn fits(declared: DeclaredType, actual: ParamType) -> bool {
    let integer =
        |t| matches!(t, ParamType::Int | ParamType::UnsignedInt | ParamType::Long | ParamType::UnsignedLong);
    match declared {
        DeclaredType::Absent => true,
        DeclaredType::Known(declared) => declared == actual || integer(declared) && integer(actual),
        DeclaredType::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";
    const URL: &str = "Device.ManagementServer.URL";

    fn value(name: &str, declared: DeclaredType, text: &str) -> SetValue {
        SetValue { name: name.to_owned(), declared, text: text.to_owned() }
    }

    fn known(name: &str, declared: ParamType, text: &str) -> SetValue {
        value(name, DeclaredType::Known(declared), text)
    }

    fn set(values: &[SetValue]) -> Result<Vec<Write>, Fault> {
        set_values(&Tree::default(), values, UtcTime::from_millis(1), |_, _| None)
    }

    #[test]
    fn good_values_become_saved_values_of_the_acs() {
        let writes = set(&[known(INTERVAL, ParamType::UnsignedInt, " 600 ")]).unwrap();
        let stored = Stored { text: "600".to_owned(), source: Source::Acs, at: UtcTime::from_millis(1) };
        let name = "cwmp.periodicinforminterval";
        assert_eq!(writes, [Write::Startup(name, Some(stored)), Write::Unsaved(name, None)]);
    }

    #[test]
    fn every_bad_parameter_is_named_with_its_own_code() {
        let fault = set(&[
            known("Device.Nonsense", ParamType::String, ""),
            known("Device.ManagementServer.", ParamType::String, ""),
            known(INTERVAL, ParamType::String, "600"),
            known(URL, ParamType::String, ""),
            known("Device.DeviceInfo.UpTime", ParamType::UnsignedInt, "1"),
            known("Device.ManagementServer.ConnectionRequestURL", ParamType::String, "http://x/"),
            known("Device.ManagementServer.EnableCWMP", ParamType::Boolean, "1"),
            value("Device.ManagementServer.Username", DeclaredType::Unknown, "x"),
        ])
        .unwrap_err();
        assert_eq!(fault.code, FaultCode::InvalidArguments);
        let inner: Vec<_> = fault.parameters.iter().map(|p| p.code.number()).collect();
        assert_eq!(inner, [9005, 9005, 9006, 9007, 9008, 9008, 9006]);
    }

    #[test]
    fn ranges_are_the_tables() {
        for (text, ok) in
            [("0", false), ("1", true), ("4294967295", true), ("4294967296", false), ("x", false)]
        {
            assert_eq!(set(&[known(INTERVAL, ParamType::Int, text)]).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_missing_type_is_taken_as_the_data_models() {
        assert!(set(&[value("Device.ManagementServer.EnableCWMP", DeclaredType::Absent, "true")]).is_ok());
    }

    #[test]
    fn the_same_parameter_twice_is_9003() {
        let one = known(INTERVAL, ParamType::UnsignedInt, "600");
        let fault = set(&[one.clone(), one]).unwrap_err();
        assert!(fault.code == FaultCode::InvalidArguments && fault.parameters.is_empty());
    }

    #[test]
    fn an_empty_list_is_legal() {
        assert_eq!(set(&[]), Ok(Vec::new()));
    }
}
