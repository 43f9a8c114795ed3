//! Reads the device's messages with roxmltree, a parser that the daemons do not use.

use roxmltree::{Document, Node};

/// The namespace of SOAP 1.1 envelopes.
pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const CWMP_PREFIX: &str = "urn:dslforum-org:cwmp-1-";

/// One value with its name and the text of its xsi:type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Full path.
    pub name: String,
    /// Such as `xsd:string`.
    pub kind: String,
    /// The text as sent.
    pub value: String,
}

/// An Inform.
#[derive(Clone, Debug)]
pub struct Inform {
    /// The header's ID.
    pub id: String,
    /// Manufacturer, OUI, ProductClass, SerialNumber.
    pub device_id: [String; 4],
    /// Event code and CommandKey, in order.
    pub events: Vec<(String, String)>,
    /// MaxEnvelopes.
    pub max_envelopes: String,
    /// CurrentTime.
    pub current_time: String,
    /// RetryCount.
    pub retry_count: u32,
    /// The ParameterList.
    pub parameters: Vec<Parameter>,
}

impl Inform {
    /// The event codes without their CommandKeys.
    pub fn event_codes(&self) -> Vec<&str> {
        self.events.iter().map(|(code, _)| code.as_str()).collect()
    }

    /// The value of one parameter of the list.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|p| p.name == name).map(|p| p.value.as_str())
    }
}

/// A CWMP fault of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `Client` or `Server`, without prefix.
    pub soap_code: String,
    /// The SOAP faultstring.
    pub soap_text: String,
    /// Such as 9003.
    pub code: u32,
    /// FaultString.
    pub text: String,
    /// One (ParameterName, FaultCode, FaultString) for each SetParameterValuesFault.
    pub parameters: Vec<(String, u32, String)>,
}

/// Decodes an Inform; panics, naming what is missing.
pub fn inform(text: &str) -> Inform {
    let document = parse(text);
    let element = body_child(&document, "Inform");
    let device = child(element, "DeviceId");
    Inform {
        id: header_id(text).expect("the Inform has a header ID"),
        device_id: ["Manufacturer", "OUI", "ProductClass", "SerialNumber"].map(|name| text_of(device, name)),
        events: items(child(element, "Event"), "EventStruct")
            .map(|event| (text_of(event, "EventCode"), text_of(event, "CommandKey")))
            .collect(),
        max_envelopes: text_of(element, "MaxEnvelopes"),
        current_time: text_of(element, "CurrentTime"),
        retry_count: text_of(element, "RetryCount").parse().expect("RetryCount is a number"),
        parameters: parameters(element),
    }
}

/// Decodes a GetParameterValuesResponse.
pub fn values(text: &str) -> Vec<Parameter> {
    parameters(body_child(&parse(text), "GetParameterValuesResponse"))
}

/// Decodes a GetParameterNamesResponse into (name, writable).
pub fn names(text: &str) -> Vec<(String, bool)> {
    let document = parse(text);
    let list = child(body_child(&document, "GetParameterNamesResponse"), "ParameterList");
    items(list, "ParameterInfoStruct")
        .map(|info| (text_of(info, "Name"), matches!(text_of(info, "Writable").as_str(), "1" | "true")))
        .collect()
}

/// Decodes a GetRPCMethodsResponse.
pub fn methods(text: &str) -> Vec<String> {
    let document = parse(text);
    let list = child(body_child(&document, "GetRPCMethodsResponse"), "MethodList");
    items(list, "string").map(node_text).collect()
}

/// Decodes the Status of a SetParameterValuesResponse.
pub fn set_status(text: &str) -> u32 {
    let document = parse(text);
    text_of(body_child(&document, "SetParameterValuesResponse"), "Status")
        .parse()
        .expect("Status is a number")
}

/// Decodes a GetParameterAttributesResponse into (name, Notification, AccessList).
pub fn attributes(text: &str) -> Vec<(String, u32, Vec<String>)> {
    let document = parse(text);
    let list = child(body_child(&document, "GetParameterAttributesResponse"), "ParameterList");
    items(list, "ParameterAttributeStruct")
        .map(|of| {
            let notification = text_of(of, "Notification").parse().expect("Notification is a number");
            (
                text_of(of, "Name"),
                notification,
                items(child(of, "AccessList"), "string").map(node_text).collect(),
            )
        })
        .collect()
}

/// Decodes the InstanceNumber of an AddObjectResponse whose Status is 0.
pub fn added(text: &str) -> u32 {
    let document = parse(text);
    let response = body_child(&document, "AddObjectResponse");
    assert_eq!(text_of(response, "Status"), "0");
    text_of(response, "InstanceNumber").parse().expect("InstanceNumber is a number")
}

/// Decodes a fault.
pub fn fault(text: &str) -> Fault {
    let document = parse(text);
    let element = body_child(&document, "Fault");
    let detail = child(element, "detail");
    let inner = items(detail, "Fault").next().expect("the detail holds a cwmp:Fault");
    let code = |node| text_of(node, "FaultCode").parse().expect("FaultCode is a number");
    Fault {
        soap_code: text_of(element, "faultcode").rsplit(':').next().unwrap_or_default().to_owned(),
        soap_text: text_of(element, "faultstring"),
        code: code(inner),
        text: text_of(inner, "FaultString"),
        parameters: items(inner, "SetParameterValuesFault")
            .map(|one| (text_of(one, "ParameterName"), code(one), text_of(one, "FaultString")))
            .collect(),
    }
}

/// The local name of the one element in the SOAP body, if this is an envelope.
pub fn body_element(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let body = envelope_part(&document, "Body")?;
    body.children().find(Node::is_element).map(|n| n.tag_name().name().to_owned())
}

/// The header's cwmp:ID.
pub fn header_id(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let header = envelope_part(&document, "Header")?;
    header.children().find(|n| is_cwmp(n) && n.tag_name().name() == "ID").map(node_text)
}

/// The CWMP namespace that the message uses.
pub fn cwmp_namespace(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let found = document.descendants().find(is_cwmp)?;
    found.tag_name().namespace().map(str::to_owned)
}

/// What the schemas do not catch in one envelope of the device; empty when all is well.
pub fn beyond_the_schema(text: &str) -> Vec<String> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => return vec![format!("not well-formed: {error}")],
    };
    let mut wrong = Vec::new();
    let root = document.root_element();
    let bodies = root.children().filter(|n| is_soap(n, "Body")).count();
    if !is_soap(&root, "Envelope") || bodies != 1 {
        wrong.push(format!("{bodies} bodies in {}", root.tag_name().name()));
    }
    let contents =
        envelope_part(&document, "Body").map_or(0, |b| b.children().filter(Node::is_element).count());
    if contents != 1 {
        wrong.push(format!("{contents} elements in the body"));
    }
    if header_id(text).is_none_or(|id| id.is_empty()) {
        wrong.push("no cwmp:ID in the header".into());
    }
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        if let Some(announced) = array_count(&node) {
            let there = node.children().filter(Node::is_element).count();
            if announced != Some(there) {
                wrong.push(format!("{name} announces {announced:?} items and holds {there}"));
            }
        }
        match name {
            "MaxEnvelopes" if node_text(node) != "1" => {
                wrong.push(format!("MaxEnvelopes is {}", node_text(node)));
            }
            "Value" if node.attribute((XSI, "type")).is_none() => {
                wrong.push("a Value without xsi:type".into())
            }
            "SessionTimeout" | "SupportedCWMPVersions" if body_element(text).as_deref() != Some("Inform") => {
                wrong.push(format!("{} beside no Inform", node.tag_name().name()));
            }
            "HoldRequests" => wrong.push("HoldRequests from the device".into()),
            "Fault" if is_cwmp(&node) && !node.children().any(|n| n.has_tag_name("FaultString")) => {
                wrong.push("a cwmp:Fault without FaultString".into());
            }
            _ => {}
        }
    }
    wrong
}

/// `None` when it is no array, `Some(None)` when its count cannot be read.
fn array_count(node: &Node<'_, '_>) -> Option<Option<usize>> {
    let kind = node.attributes().find(|a| a.name() == "arrayType")?.value();
    Some(kind.rsplit_once('[').and_then(|(_, rest)| rest.trim_end_matches(']').parse().ok()))
}

fn parse(text: &str) -> Document<'_> {
    Document::parse(text).unwrap_or_else(|error| panic!("not well-formed: {error}\n{text}"))
}

fn is_soap(node: &Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name && node.tag_name().namespace() == Some(SOAP)
}

fn is_cwmp(node: &Node<'_, '_>) -> bool {
    node.tag_name().namespace().is_some_and(|ns| ns.starts_with(CWMP_PREFIX))
}

fn envelope_part<'a, 'i>(document: &'a Document<'i>, name: &str) -> Option<Node<'a, 'i>> {
    document.root_element().children().find(|n| is_soap(n, name))
}

fn body_child<'a, 'i>(document: &'a Document<'i>, name: &str) -> Node<'a, 'i> {
    let found = envelope_part(document, "Body").and_then(|b| b.children().find(Node::is_element));
    let found = found.expect("an envelope with something in its body");
    assert_eq!(found.tag_name().name(), name, "the body of {}", document.input_text());
    found
}

fn child<'a, 'i>(parent: Node<'a, 'i>, name: &str) -> Node<'a, 'i> {
    items(parent, name).next().unwrap_or_else(|| panic!("no {name} in {}", parent.tag_name().name()))
}

fn items<'a, 'i>(parent: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    parent.children().filter(move |n| n.is_element() && n.tag_name().name() == name)
}

fn node_text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|n| n.text()).collect()
}

fn text_of(parent: Node<'_, '_>, name: &str) -> String {
    node_text(child(parent, name))
}

fn parameters(parent: Node<'_, '_>) -> Vec<Parameter> {
    items(child(parent, "ParameterList"), "ParameterValueStruct")
        .map(|item| {
            let value = child(item, "Value");
            Parameter {
                name: text_of(item, "Name"),
                kind: value.attribute((XSI, "type")).unwrap_or_default().to_owned(),
                value: node_text(value),
            }
        })
        .collect()
}
