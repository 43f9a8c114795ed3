//! Faults: ours, as the answer to an RPC, and those of the ACS (TR-069 A.5, SOAP-19, SOAP-20).

use ipc_proto::Fault;

use crate::soap::{Element, EnvelopeWriter, Head, SOAP_PREFIX};

/// 8005, "retry request": the one fault of an ACS that asks for the same request again (SESS-04).
pub const RETRY_REQUEST: u32 = 8005;

/// 8006, "CPE and ACS speak no common version" (VER-04).
pub const VERSION_MISMATCH: u32 = 8006;

/// A fault that the ACS sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcsFault {
    /// FaultCode, 8000 to 8999; none when the fault carries no CWMP detail.
    pub code: Option<u32>,
    /// SOAP's faultcode says that the sender speaks another version, or not a header of ours.
    pub misunderstood: bool,
    /// FaultString, else SOAP's own faultstring; at most 200 characters of it.
    pub text: String,
}

impl std::fmt::Display for AcsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "fault {code} ({})", self.text),
            None => write!(f, "a SOAP fault ({})", self.text),
        }
    }
}

/// Reads a fault of the ACS.
pub fn decode(fault: &Element) -> AcsFault {
    let inner = fault.child("detail").and_then(|detail| detail.child("Fault"));
    let code = inner.and_then(|f| f.child("FaultCode")).and_then(|c| c.text.trim().parse().ok());
    let text = inner.and_then(|f| f.child("FaultString")).or_else(|| fault.child("faultstring"));
    let text = text.map_or("", |t| t.text.trim());
    let soap_code = fault.child("faultcode").map_or("", |c| c.text.trim());
    let soap_code = soap_code.rsplit(':').next().unwrap_or_default();
    let misunderstood = matches!(soap_code, "VersionMismatch" | "MustUnderstand");
    AcsFault { code, misunderstood, text: text.chars().take(200).collect() }
}

/// Writes the fault that answers the request of that ID.
pub fn encode(head: Head<'_>, fault: &Fault) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("soap:Fault");
    let blame = if fault.code.blames_client() { "Client" } else { "Server" };
    out.display("faultcode", format_args!("{SOAP_PREFIX}:{blame}"));
    out.leaf("faultstring", "CWMP fault");
    out.open("detail");
    out.open("cwmp:Fault");
    out.display("FaultCode", fault.code.number());
    out.leaf("FaultString", fault.text.as_str());
    for parameter in &fault.parameters {
        out.open("SetParameterValuesFault");
        out.leaf("ParameterName", &parameter.name);
        out.display("FaultCode", parameter.code.number());
        out.leaf("FaultString", parameter.text.as_str());
        out.close("SetParameterValuesFault");
    }
    out.close("cwmp:Fault");
    out.close("detail");
    out.close("soap:Fault");
    out.finish()
}

/// Writes SOAP's own fault for a header that must be understood and is not (SOAP-15).
pub fn encode_must_understand(head: Head<'_>, header: &str) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(head);
    out.open("soap:Fault");
    out.display("faultcode", format_args!("{SOAP_PREFIX}:MustUnderstand"));
    out.display("faultstring", format_args!("the header {header} is not understood"));
    out.close("soap:Fault");
    out.finish()
}
