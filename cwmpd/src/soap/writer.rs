//! Writes our envelopes, whole or in pieces, into a buffer that the caller may empty between pieces.

use std::fmt::{self, Write as _};

use ipc_proto::{CwmpVersion, value::is_xml_char};

/// The prefix of SOAP's own names in what we send.
pub const SOAP_PREFIX: &str = "soap";

const START: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"",
    " xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\"",
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
    " xmlns:cwmp=\"",
);

/// What the head of an envelope says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// Names the namespace (VER-03).
    pub version: CwmpVersion,
    /// Header ID, where there is one.
    pub id: Option<&'a str>,
    /// Further headers, which need not be understood.
    pub more: &'a [(&'static str, &'a str)],
}

/// An envelope while it is written.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    out: String,
}

impl Envelope {
    /// Begins an envelope, up to the Body's start tag.
    pub fn begin(head: Head<'_>) -> Self {
        let mut envelope = Self { out: String::with_capacity(1024) };
        envelope.out.push_str(START);
        envelope.out.push_str(head.version.namespace());
        envelope.out.push_str("\">");
        let blocks = head.id.map(|id| ("ID", id, '1'));
        let blocks = blocks.into_iter().chain(head.more.iter().map(|(name, text)| (*name, *text, '0')));
        let mut blocks = blocks.peekable();
        if blocks.peek().is_some() {
            envelope.open("soap:Header");
            for (name, text, must) in blocks {
                let _ = write!(envelope.out, "<cwmp:{name} soap:mustUnderstand=\"{must}\">");
                envelope.text(text);
                let _ = write!(envelope.out, "</cwmp:{name}>");
            }
            envelope.close("soap:Header");
        }
        envelope.out.push_str("<soap:Body>");
        envelope
    }

    /// `<name>`; the name is ours and needs no escape.
    pub fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    /// `</name>`
    pub fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// `<name>text</name>`
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text(text);
        self.close(name);
    }

    /// `<name>value</name>` of something that displays itself.
    pub fn display(&mut self, name: &str, value: impl fmt::Display) {
        self.open(name);
        self.text_of(value);
        self.close(name);
    }

    /// `<name soapenc:arrayType="item[count]">` (SOAP-05), without xsi:type (SOAP-06).
    pub fn open_array(&mut self, name: &str, item: &str, count: usize) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "<{name} soapenc:arrayType=\"{item}[{count}]\">");
    }

    /// `<Value xsi:type="xsd:kind">value</Value>` (SOAP-08).
    pub fn typed_value(&mut self, kind: &str, value: &str) {
        for part in ["<Value xsi:type=\"xsd:", kind, "\">"] {
            self.out.push_str(part);
        }
        self.text(value);
        self.out.push_str("</Value>");
    }

    /// Ends Body and envelope.
    pub fn end(&mut self) {
        self.out.push_str("</soap:Body></soap:Envelope>\n");
    }

    /// How many bytes wait to be taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes what was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out).into_bytes()
    }

    /// Ends the envelope and takes it.
    pub fn finish(mut self) -> Vec<u8> {
        self.end();
        self.out.into_bytes()
    }

    fn text(&mut self, text: &str) {
        let _ = Escaped(&mut self.out).write_str(text);
    }

    fn text_of(&mut self, value: impl fmt::Display) {
        let _ = write!(Escaped(&mut self.out), "{value}");
    }
}

/// Escapes what is written through it for element content (SOAP-23).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |b: u8| (b' '..0x7f).contains(&b) && !matches!(b, b'<' | b'>' | b'&');
        if text.bytes().all(plain) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                // A bare one would be read as a line feed (XML 1.0, 2.11).
                '\r' => self.0.push_str("&#13;"),
                // No spelling of it is legal in XML 1.0; values were checked, so this is a slip of ours.
                c if !is_xml_char(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}
