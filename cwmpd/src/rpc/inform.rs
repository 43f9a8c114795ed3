//! Inform: who we are, what happened, and the forced parameters (TR-069 A.3.3.1).

use ipc_proto::{CwmpVersion, worker::SessionOpened};

use super::get_parameter_values;
use crate::soap::{EnvelopeWriter, Head};

/// What an Inform says of the session beside what the supervisor gave for it.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The newest version that we speak with this ACS.
    pub version: CwmpVersion,
    /// How many seconds the ACS should wait for us (SESS-14).
    pub session_timeout: u32,
    /// CurrentTime, an xsd:dateTime: local time with its offset (INF-04).
    pub current_time: &'a str,
}

/// Writes an Inform.
pub fn encode(id: &str, opened: &SessionOpened, offer: Offer<'_>) -> Vec<u8> {
    let timeout = offer.session_timeout.to_string();
    let spoken = CwmpVersion::ALL.into_iter().filter(|version| *version <= offer.version);
    let spoken = spoken.map(CwmpVersion::text).collect::<Vec<_>>().join(",");
    let mut more = Vec::new();
    // Nowhere else (SOAP-12, SOAP-13), and not to those whose version has no such header.
    if offer.version >= CwmpVersion::V1_3 {
        more.push(("SessionTimeout", &*timeout));
    }
    if offer.version >= CwmpVersion::V1_4 {
        more.push(("SupportedCWMPVersions", &*spoken));
    }
    let mut out = EnvelopeWriter::begin(Head { version: offer.version, id: Some(id), more: &more });
    out.open("cwmp:Inform");
    out.open("DeviceId");
    out.leaf("Manufacturer", &opened.device.manufacturer);
    out.leaf("OUI", &opened.device.oui);
    out.leaf("ProductClass", &opened.device.product_class);
    out.leaf("SerialNumber", &opened.device.serial_number);
    out.close("DeviceId");
    out.open_array("Event", "cwmp:EventStruct", opened.events.len());
    for event in &opened.events {
        out.open("EventStruct");
        out.leaf("EventCode", event.code.text());
        out.leaf("CommandKey", event.command_key.as_str());
        out.close("EventStruct");
    }
    out.close("Event");
    // One envelope an HTTP message, whatever the ACS offers (INF-03, HTTP-03).
    out.leaf("MaxEnvelopes", "1");
    out.leaf("CurrentTime", offer.current_time);
    out.display("RetryCount", opened.retry_count);
    out.open_array("ParameterList", get_parameter_values::ITEM, opened.parameters.len());
    for parameter in opened.parameters.iter() {
        get_parameter_values::item(&mut out, parameter);
    }
    out.close("ParameterList");
    out.close("cwmp:Inform");
    out.finish()
}
