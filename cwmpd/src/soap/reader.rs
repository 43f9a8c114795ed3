//! Bytes from the ACS to a small tree of elements, within limits, stopping at the first error.

use std::borrow::Cow;

use ipc_proto::{CwmpVersion, value::is_xml_char};
use quick_xml::{
    NsReader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
    name::ResolveResult,
};

/// The largest envelope that is read, in bytes: 4 MiB (SOAP-16 asks for 32 KiB).
pub const MAX_ENVELOPE: usize = 4 * 1024 * 1024;
/// How deep elements may be nested.
pub const MAX_DEPTH: usize = 32;
/// How many elements an envelope may hold.
pub const MAX_ELEMENTS: usize = 100_000;
/// How many attributes an element may have.
pub const MAX_ATTRIBUTES: usize = 64;

/// The namespaces that matter here; all others are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// None: the arguments of an RPC (SOAP-02).
    None,
    /// SOAP 1.1 envelope.
    Envelope,
    /// `urn:dslforum-org:cwmp-1-0` to `cwmp-1-4`, by the version that it says.
    Cwmp(CwmpVersion),
    /// XML Schema instance, 2001.
    SchemaInstance,
    /// Of a prefix that is not declared: whatever its local name says.
    Undeclared,
    /// Any other.
    Other,
}

impl Namespace {
    /// It may name what SOAP defines.
    pub fn is_envelope(self) -> bool {
        matches!(self, Self::Envelope | Self::Undeclared)
    }

    /// It may name what CWMP defines; old ACSs send RPCs without any namespace.
    pub fn is_cwmp(self) -> bool {
        matches!(self, Self::Cwmp(_) | Self::Undeclared | Self::None)
    }

    /// It may name what XML Schema defines for instances.
    pub fn is_schema_instance(self) -> bool {
        matches!(self, Self::SchemaInstance | Self::Undeclared)
    }
}

/// An element with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Of its name.
    pub namespace: Namespace,
    /// Its name without a prefix.
    pub name: Box<str>,
    /// Those that are no namespace declarations.
    pub attributes: Vec<Attribute>,
    /// All text that stands directly in it.
    pub text: String,
    /// The elements in it, in order.
    pub children: Vec<Element>,
}

/// An attribute of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Of its name; none without a prefix.
    pub namespace: Namespace,
    /// Its name without a prefix.
    pub name: Box<str>,
    /// Its value, entities resolved.
    pub value: Box<str>,
}

/// Why bytes are not a document that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Over [`MAX_ENVELOPE`].
    #[error("the message has {0} bytes, at most {MAX_ENVELOPE} are read")]
    TooLarge(usize),
    /// Over [`MAX_DEPTH`].
    #[error("elements are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Over [`MAX_ELEMENTS`].
    #[error("the message holds more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// Over [`MAX_ATTRIBUTES`].
    #[error("<{0}> has more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes(String),
    /// Another encoding, or none at all.
    #[error("the message is not UTF-8")]
    NotUtf8,
    /// A character that XML 1.0 does not allow.
    #[error("the message holds the character U+{0:04X}, which XML does not allow")]
    IllegalCharacter(u32),
    /// A DTD (SOAP-25).
    #[error("the message has a DOCTYPE, which SOAP does not allow")]
    Doctype,
    /// An entity that only a DTD could declare.
    #[error("the message uses the unknown entity &{0};")]
    UnknownEntity(String),
    /// A prefix without a namespace.
    #[error("the prefix of {0} is not declared")]
    UnknownPrefix(String),
    /// Text before or after the root element.
    #[error("there is text outside of the root element")]
    TextOutside,
    /// Two root elements.
    #[error("there is a second root element <{0}>")]
    SecondRoot(String),
    /// It stops in the middle.
    #[error("the message ends inside of <{0}>")]
    Truncated(String),
    /// No element at all.
    #[error("the message holds no XML element")]
    NoRoot,
    /// Anything else that is no XML.
    #[error("the message is not well-formed XML: {0}")]
    Malformed(String),
}

impl Element {
    /// The first child of that local name, in whatever namespace.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| &*c.name == name)
    }

    /// The value of an attribute whose namespace fits.
    pub fn attribute(&self, fits: fn(Namespace) -> bool, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|a| fits(a.namespace) && &*a.name == name)?;
        Some(&found.value)
    }
}

/// Reads one document; `lenient` lets prefixes pass that are not declared.
pub fn read(bytes: &[u8], lenient: bool) -> Result<Element, XmlError> {
    if bytes.len() > MAX_ENVELOPE {
        return Err(XmlError::TooLarge(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(bad) = text.chars().find(|c| !is_xml_char(*c)) {
        return Err(XmlError::IllegalCharacter(bad.into()));
    }
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().check_comments = true;
    let mut tree = Tree::default();
    let mut first = true;
    loop {
        match reader.read_event().map_err(|e| tree.broken(&e))? {
            Event::Start(start) => tree.open(element(&reader, &start, lenient)?)?,
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.xml10_content(), Kind::Plain)?,
            Event::CData(text) => tree.text(&text.xml10_content(), Kind::Marked)?,
            Event::GeneralRef(reference) => tree.text(resolve(&reference)?.as_ref(), Kind::Marked)?,
            Event::Decl(declaration) => {
                if !first {
                    return Err(XmlError::Malformed("an XML declaration in the middle".to_owned()));
                }
                let encoding = declaration.encoding().transpose().map_err(malformed)?;
                let utf8 = encoding.is_none_or(|e| e.eq_ignore_ascii_case("utf-8"));
                // ASCII reads the same in whatever the declaration names.
                if !utf8 && !text.is_ascii() {
                    return Err(XmlError::NotUtf8);
                }
            }
            Event::DocType(_) => return Err(XmlError::Doctype),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(start) => {
                tree.open(element(&reader, &start, lenient)?)?;
                tree.close()?;
            }
            Event::Eof => return tree.finish(),
        }
        first = false;
    }
}

/// Whether text may be white space between elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Marked,
}

#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<(), XmlError> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(XmlError::SecondRoot(element.name.into()));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(XmlError::TooManyElements);
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let closed = self.open.pop().ok_or_else(|| XmlError::Malformed("an end tag too many".to_owned()))?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str, kind: Kind) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) if kind == Kind::Plain && text.contains("]]>") => {
                Err(XmlError::Malformed(format!("]]> in the text of <{}>", element.name)))
            }
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
            None if kind == Kind::Plain && text.bytes().all(|b| b.is_ascii_whitespace()) => Ok(()),
            None => Err(XmlError::TextOutside),
        }
    }

    fn finish(self) -> Result<Element, XmlError> {
        match self.open.last() {
            Some(open) => Err(XmlError::Truncated(open.name.clone().into())),
            None => self.root.ok_or(XmlError::NoRoot),
        }
    }

    /// What a broken end of the message is called: inside of an element, it is cut off.
    fn broken(&self, error: &quick_xml::Error) -> XmlError {
        match (error, self.open.last()) {
            (quick_xml::Error::Syntax(_), Some(open)) => XmlError::Truncated(open.name.clone().into()),
            _ => malformed(error),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> XmlError {
    XmlError::Malformed(error.to_string())
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, lenient: bool) -> Result<Element, XmlError> {
    let (found, local) = reader.resolver().resolve_element(start.name());
    let name = checked_name(local.as_ref())?;
    let mut element = Element {
        namespace: namespace(&found, name, lenient)?,
        name: name.into(),
        attributes: Vec::new(),
        text: String::new(),
        children: Vec::new(),
    };
    for (n, attribute) in start.attributes().enumerate() {
        if n >= MAX_ATTRIBUTES {
            return Err(XmlError::TooManyAttributes(element.name.into()));
        }
        let attribute = attribute.map_err(malformed)?;
        if attribute.value.contains('<') {
            return Err(XmlError::Malformed(format!("< in an attribute of <{name}>")));
        }
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (found, local) = reader.resolver().resolve_attribute(attribute.key);
        let local = checked_name(local.as_ref())?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(malformed)?;
        if let Some(bad) = value.chars().find(|c| !is_xml_char(*c)) {
            return Err(XmlError::IllegalCharacter(bad.into()));
        }
        let namespace = namespace(&found, local, lenient)?;
        element.attributes.push(Attribute { namespace, name: local.into(), value: value.into() });
    }
    Ok(element)
}

fn checked_name(name: &str) -> Result<&str, XmlError> {
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let goes_on = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}'));
    if starts && goes_on { Ok(name) } else { Err(XmlError::Malformed(format!("{name:?} is no name"))) }
}

fn namespace(found: &ResolveResult<'_>, name: &str, lenient: bool) -> Result<Namespace, XmlError> {
    match found {
        ResolveResult::Unbound => Ok(Namespace::None),
        ResolveResult::Unknown(_) if lenient => Ok(Namespace::Undeclared),
        ResolveResult::Unknown(prefix) => Err(XmlError::UnknownPrefix(format!("{prefix}:{name}"))),
        ResolveResult::Bound(bound) => Ok(match bound.as_ref() {
            "http://schemas.xmlsoap.org/soap/envelope/" => Namespace::Envelope,
            "http://www.w3.org/2001/XMLSchema-instance" => Namespace::SchemaInstance,
            other => CwmpVersion::of_namespace(other).map_or(Namespace::Other, Namespace::Cwmp),
        }),
    }
}

fn resolve<'a>(reference: &'a BytesRef<'_>) -> Result<Cow<'a, str>, XmlError> {
    if let Some(c) = reference.resolve_char_ref().map_err(malformed)? {
        return if is_xml_char(c) {
            Ok(Cow::Owned(c.to_string()))
        } else {
            Err(XmlError::IllegalCharacter(c.into()))
        };
    }
    let name: &str = reference.as_ref();
    resolve_predefined_entity(name)
        .map(Cow::Borrowed)
        .ok_or_else(|| XmlError::UnknownEntity(name.chars().take(40).collect()))
}
