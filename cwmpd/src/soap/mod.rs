//! SOAP 1.1 envelopes as CWMP uses them: what is read from the ACS, and how ours are written.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Element, MAX_ENVELOPE, Namespace, XmlError};
pub use writer::{Envelope as EnvelopeWriter, Head, SOAP_PREFIX};

/// A message of the ACS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Header ID; a response repeats it (SOAP-09).
    pub id: Option<String>,
    /// Header HoldRequests; absent is false (SOAP-10).
    pub hold_requests: bool,
    /// A header block that must be understood and is not (SOAP-15).
    pub not_understood: Option<String>,
    /// Header UseCWMPVersion, as the ACS wrote it (SOAP-14).
    pub use_version: Option<String>,
    /// The one element in the Body.
    pub body: Element,
}

/// Why a message is no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoapError {
    /// Not XML within our limits.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Another root, or another SOAP version.
    #[error("expected a SOAP 1.1 Envelope, got <{0}>")]
    NotAnEnvelope(String),
    /// None or several (SOAP-04).
    #[error("the Envelope holds {0} Body elements, expected 1")]
    Bodies(usize),
    /// None or several.
    #[error("the Body holds {0} elements, expected 1")]
    Contents(usize),
    /// A header that is no boolean.
    #[error("HoldRequests is {0:?}, expected 0, 1, false or true")]
    HoldRequests(String),
}

/// Reads a message of the ACS; `lenient` takes prefixes that are not declared for what their names say.
pub fn read(bytes: &[u8], lenient: bool) -> Result<Envelope, SoapError> {
    let root = reader::read(bytes, lenient)?;
    if !root.namespace.is_envelope() || &*root.name != "Envelope" {
        return Err(SoapError::NotAnEnvelope(root.name.into()));
    }
    let mut header = None;
    let mut bodies = Vec::new();
    for child in root.children {
        match (child.namespace.is_envelope(), &*child.name) {
            (true, "Header") => header = header.or(Some(child)),
            (true, "Body") => bodies.push(child),
            _ => {}
        }
    }
    let count = bodies.len();
    let (Some(body), 1) = (bodies.pop(), count) else { return Err(SoapError::Bodies(count)) };
    let mut contents = body.children;
    let count = contents.len();
    let (Some(body), 1) = (contents.pop(), count) else { return Err(SoapError::Contents(count)) };
    let mut envelope =
        Envelope { id: None, hold_requests: false, not_understood: None, use_version: None, body };
    for block in header.into_iter().flat_map(|h| h.children) {
        take_header(&mut envelope, block)?;
    }
    Ok(envelope)
}

fn take_header(envelope: &mut Envelope, block: Element) -> Result<(), SoapError> {
    match (block.namespace.is_cwmp(), &*block.name) {
        (true, "ID") => envelope.id = Some(block.text),
        (true, "HoldRequests") => {
            envelope.hold_requests = boolean(&block.text).ok_or(SoapError::HoldRequests(block.text))?;
        }
        (true, "UseCWMPVersion") => envelope.use_version = Some(block.text),
        // Known and of no consequence; NoMoreRequests is of CWMP 1.0 (DECISIONS 17).
        (true, "NoMoreRequests" | "SessionTimeout" | "SupportedCWMPVersions") => {}
        _ => {
            let must = block.attribute(Namespace::is_envelope, "mustUnderstand");
            if must.and_then(boolean) == Some(true) {
                envelope.not_understood.get_or_insert(block.name.into());
            }
        }
    }
    Ok(())
}

/// An xsd:boolean in any of its four forms (TYPE-01).
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim_matches([' ', '\t', '\r', '\n']) {
        "0" | "false" => Some(false),
        "1" | "true" => Some(true),
        _ => None,
    }
}
