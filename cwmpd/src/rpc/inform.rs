//! Inform: who we are, what happened, and the forced parameters (TR-069 A.3.3.1).

use ipc_proto::worker::SessionOpened;

use super::get_parameter_values;
use crate::soap::EnvelopeWriter;

/// Writes an Inform; `current_time` is an xsd:dateTime, local time with its offset (INF-04).
pub fn encode(id: &str, opened: &SessionOpened, current_time: &str) -> Vec<u8> {
    let mut out = EnvelopeWriter::begin(Some(id));
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
    out.leaf("CurrentTime", current_time);
    out.display("RetryCount", opened.retry_count);
    out.open_array("ParameterList", get_parameter_values::ITEM, opened.parameters.len());
    for parameter in opened.parameters.iter() {
        get_parameter_values::item(&mut out, parameter);
    }
    out.close("ParameterList");
    out.close("cwmp:Inform");
    out.finish()
}
