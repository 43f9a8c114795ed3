//! CWMP fault codes of a CPE and the fault that carries them (TR-069 A.5.1).

use serde::{Deserialize, Serialize};

use crate::Text;

/// Fault codes that this CPE sends; the discriminant is the number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultCode {
    /// 9000: no such RPC here.
    MethodNotSupported = 9000,
    /// 9001: refused, no reason given.
    RequestDenied = 9001,
    /// 9002: something broke on our side.
    InternalError = 9002,
    /// 9003: the arguments are wrong.
    InvalidArguments = 9003,
    /// 9004: too much was asked for.
    ResourcesExceeded = 9004,
    /// 9005: no such parameter or object.
    InvalidParameterName = 9005,
    /// 9006: the value's type does not fit.
    InvalidParameterType = 9006,
    /// 9007: the value is out of range.
    InvalidParameterValue = 9007,
    /// 9008: the parameter cannot be written.
    NonWritableParameter = 9008,
    /// 9009: changes of that parameter cannot be told at once.
    NotificationRejected = 9009,
}

impl FaultCode {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The standard's name of the code.
    pub const fn text(self) -> &'static str {
        match self {
            Self::MethodNotSupported => "Method not supported",
            Self::RequestDenied => "Request denied",
            Self::InternalError => "Internal error",
            Self::InvalidArguments => "Invalid arguments",
            Self::ResourcesExceeded => "Resources exceeded",
            Self::InvalidParameterName => "Invalid parameter name",
            Self::InvalidParameterType => "Invalid parameter type",
            Self::InvalidParameterValue => "Invalid parameter value",
            Self::NonWritableParameter => "Attempt to set a non-writable parameter",
            Self::NotificationRejected => "Notification request rejected",
        }
    }

    /// True when the ACS is to blame: SOAP faultcode Client, else Server (TR-069 A.5.1).
    pub const fn blames_client(self) -> bool {
        matches!(
            self,
            Self::InvalidArguments
                | Self::InvalidParameterName
                | Self::InvalidParameterType
                | Self::InvalidParameterValue
                | Self::NonWritableParameter
        )
    }
}

/// FaultString of a fault: at most 256 characters.
pub type FaultString = Text<256>;

/// The answer to an RPC that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The outer code.
    pub code: FaultCode,
    /// What a person at the ACS should read.
    pub text: FaultString,
    /// One entry for each bad parameter of a SetParameterValues, else empty.
    pub parameters: Vec<ParameterFault>,
}

/// SetParameterValuesFault: why one parameter was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterFault {
    /// The name as the ACS sent it.
    pub name: String,
    /// The inner code.
    pub code: FaultCode,
    /// What was wrong with it.
    pub text: FaultString,
}

impl Fault {
    /// A fault without parameter faults: the code's name, then the detail.
    pub fn new(code: FaultCode, detail: &str) -> Self {
        Self { code, text: fault_string(code, detail), parameters: Vec::new() }
    }

    /// The fault of a SetParameterValues with bad parameters: 9003 outside, each reason inside.
    pub fn bad_parameters(parameters: Vec<ParameterFault>) -> Self {
        Self { parameters, ..Self::new(FaultCode::InvalidArguments, "") }
    }
}

impl ParameterFault {
    /// The fault of one parameter.
    pub fn new(name: impl Into<String>, code: FaultCode, detail: &str) -> Self {
        Self { name: name.into(), code, text: fault_string(code, detail) }
    }
}

fn fault_string(code: FaultCode, detail: &str) -> FaultString {
    if detail.is_empty() {
        Text::truncated(code.text())
    } else {
        Text::truncated(&format!("{}: {detail}", code.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_standards() {
        assert_eq!(FaultCode::MethodNotSupported.number(), 9000);
        assert_eq!(FaultCode::NonWritableParameter.number(), 9008);
    }

    #[test]
    fn a_fault_string_never_exceeds_its_place_in_the_schema() {
        let fault = Fault::new(FaultCode::InvalidArguments, &"x".repeat(1000));
        assert_eq!(fault.text.as_str().chars().count(), 256);
    }

    #[test]
    fn blame_follows_the_table_of_a_5_1() {
        assert!(FaultCode::InvalidArguments.blames_client());
        assert!(!FaultCode::MethodNotSupported.blames_client());
        assert!(!FaultCode::ResourcesExceeded.blames_client());
    }
}
