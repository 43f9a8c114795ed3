//! The SOAP text that the test ACS sends, written by hand so that it owes nothing to the code under test.

/// One message for the CPE: an RPC that the ACS puts into an envelope of its own, or text that goes out as it is.
#[derive(Clone, Debug)]
pub enum Envelope {
    /// The content of `soap:Body`; header and namespaces come from the session.
    Body(String),
    /// The whole text, sent untouched.
    Raw(String),
}

/// `GetRPCMethods`.
pub fn get_rpc_methods() -> Envelope {
    Envelope::Body("<cwmp:GetRPCMethods/>".into())
}

/// `GetParameterNames` of `path`, one level or all below it.
pub fn get_parameter_names(path: &str, next_level: bool) -> Envelope {
    Envelope::Body(format!(
        "<cwmp:GetParameterNames><ParameterPath>{}</ParameterPath><NextLevel>{next_level}</NextLevel></cwmp:GetParameterNames>",
        escaped(path)
    ))
}

/// `GetParameterValues` of full or partial paths.
pub fn get_parameter_values(names: &[&str]) -> Envelope {
    let items: String = names.iter().map(|name| format!("<string>{}</string>", escaped(name))).collect();
    Envelope::Body(format!(
        "<cwmp:GetParameterValues><ParameterNames soapenc:arrayType=\"xsd:string[{}]\">{items}</ParameterNames></cwmp:GetParameterValues>",
        names.len()
    ))
}

/// `SetParameterValues` of (name, xsi type, text), with its ParameterKey.
pub fn set_parameter_values(values: &[(&str, &str, &str)], parameter_key: &str) -> Envelope {
    let items: String = values
        .iter()
        .map(|(name, kind, text)| {
            format!(
                "<ParameterValueStruct><Name>{}</Name><Value xsi:type=\"{kind}\">{}</Value></ParameterValueStruct>",
                escaped(name),
                escaped(text)
            )
        })
        .collect();
    Envelope::Body(format!(
        "<cwmp:SetParameterValues><ParameterList soapenc:arrayType=\"cwmp:ParameterValueStruct[{}]\">{items}</ParameterList><ParameterKey>{}</ParameterKey></cwmp:SetParameterValues>",
        values.len(),
        escaped(parameter_key)
    ))
}

/// `GetParameterAttributes` of full or partial paths.
pub fn get_parameter_attributes(names: &[&str]) -> Envelope {
    let Envelope::Body(body) = get_parameter_values(names) else { unreachable!("made with a body") };
    Envelope::Body(body.replace("GetParameterValues", "GetParameterAttributes"))
}

/// Name, Notification and AccessList, each of the two only where it is to change.
pub type AttributeEntry<'a> = (&'a str, Option<&'a str>, Option<&'a [&'a str]>);

/// `SetParameterAttributes` of these.
pub fn set_parameter_attributes(entries: &[AttributeEntry<'_>]) -> Envelope {
    let items: String = entries
        .iter()
        .map(|(name, notification, list)| {
            let entities = list.unwrap_or_default();
            let texts: String =
                entities.iter().map(|entity| format!("<string>{}</string>", escaped(entity))).collect();
            format!(
                "<SetParameterAttributesStruct><Name>{}</Name><NotificationChange>{}</NotificationChange><Notification>{}</Notification><AccessListChange>{}</AccessListChange><AccessList soapenc:arrayType=\"xsd:string[{}]\">{texts}</AccessList></SetParameterAttributesStruct>",
                escaped(name),
                notification.is_some(),
                notification.unwrap_or("0"),
                list.is_some(),
                entities.len()
            )
        })
        .collect();
    Envelope::Body(format!(
        "<cwmp:SetParameterAttributes><ParameterList soapenc:arrayType=\"cwmp:SetParameterAttributesStruct[{}]\">{items}</ParameterList></cwmp:SetParameterAttributes>",
        entries.len()
    ))
}

/// `AddObject` of a table or `DeleteObject` of a row.
pub fn change_row(method: &str, name: &str, parameter_key: &str) -> Envelope {
    Envelope::Body(format!(
        "<cwmp:{method}><ObjectName>{}</ObjectName><ParameterKey>{}</ParameterKey></cwmp:{method}>",
        escaped(name),
        escaped(parameter_key)
    ))
}

/// An RPC without arguments, by its name, known to the standard or not.
pub fn rpc(name: &str) -> Envelope {
    Envelope::Body(format!("<cwmp:{name}/>"))
}

/// `Reboot` with its CommandKey.
pub fn reboot(command_key: &str) -> Envelope {
    Envelope::Body(format!("<cwmp:Reboot><CommandKey>{}</CommandKey></cwmp:Reboot>", escaped(command_key)))
}

/// `ScheduleInform` in so many seconds, with its CommandKey.
pub fn schedule_inform(delay_seconds: u32, command_key: &str) -> Envelope {
    Envelope::Body(format!(
        "<cwmp:ScheduleInform><DelaySeconds>{delay_seconds}</DelaySeconds><CommandKey>{}</CommandKey></cwmp:ScheduleInform>",
        escaped(command_key)
    ))
}

/// A CWMP fault of the ACS (8000 to 8006) as the content of a body.
pub fn fault(code: u32, text: &str) -> String {
    format!(
        "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>CWMP fault</faultstring><detail><cwmp:Fault><FaultCode>{code}</FaultCode><FaultString>{}</FaultString></cwmp:Fault></detail></soap:Fault>",
        escaped(text)
    )
}

/// The ACS's answer to a request of the CPE, by the request's name.
pub(super) fn response_to(request: &str) -> String {
    match request {
        "Inform" => "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>".into(),
        "GetRPCMethods" => "<cwmp:GetRPCMethodsResponse><MethodList soapenc:arrayType=\"xsd:string[2]\"><string>Inform</string><string>GetRPCMethods</string></MethodList></cwmp:GetRPCMethodsResponse>".into(),
        other => format!("<cwmp:{other}Response/>"),
    }
}

/// A whole envelope around `body`.
pub fn envelope(namespace: &str, id: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:cwmp=\"{namespace}\"><soap:Header><cwmp:ID soap:mustUnderstand=\"1\">{}</cwmp:ID></soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>",
        escaped(id)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
