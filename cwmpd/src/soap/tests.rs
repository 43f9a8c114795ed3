//! Envelopes as ACSs send them, and as they should not.

use ipc_proto::CwmpVersion;

use super::*;
use reader::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS};

const NS: &str = r#"xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:c="urn:dslforum-org:cwmp-1-0""#;

fn envelope(header: &str, body: &str) -> String {
    format!("<s:Envelope {NS}><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>")
}

fn xml_error(text: &str) -> XmlError {
    match read(text.as_bytes(), false) {
        Err(SoapError::Xml(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn id_hold_requests_and_body_are_read() {
    let text = envelope(
        r#"<c:ID s:mustUnderstand="1">a&amp;b</c:ID><c:HoldRequests s:mustUnderstand="1"> 1 </c:HoldRequests>"#,
        "<!-- x --><c:GetRPCMethods/>",
    );
    let read = read(text.as_bytes(), false).unwrap();
    assert_eq!((read.id.as_deref(), read.hold_requests, read.not_understood), (Some("a&b"), true, None));
    assert_eq!(
        (&*read.body.name, read.body.namespace),
        ("GetRPCMethods", Namespace::Cwmp(CwmpVersion::V1_0))
    );
}

#[test]
fn any_prefix_any_place_and_a_byte_order_mark() {
    let text = "\u{feff}<?xml version='1.0' encoding='utf-8'?>\r\n<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'>\
        <Body><q:X xmlns:q='urn:dslforum-org:cwmp-1-4'><A xmlns=''>1</A></q:X></Body></Envelope>\n";
    let read = read(text.as_bytes(), false).unwrap();
    assert_eq!(read.body.namespace, Namespace::Cwmp(CwmpVersion::V1_3));
    let argument = read.body.child("A").unwrap();
    assert_eq!((argument.namespace, argument.text.as_str()), (Namespace::None, "1"));
}

#[test]
fn text_keeps_entities_cdata_and_white_space() {
    let text = envelope("", "<c:X> a&lt;&#x20AC;&#233;<![CDATA[<&]]>\r\nb </c:X>");
    assert_eq!(read(text.as_bytes(), false).unwrap().body.text, " a<\u{20ac}\u{e9}<&\nb ");
}

#[test]
fn a_header_that_must_be_understood_is_named() {
    let unknown = envelope(r#"<c:Foo s:mustUnderstand="1"/><c:Bar/>"#, "<c:X/>");
    assert_eq!(read(unknown.as_bytes(), false).unwrap().not_understood.as_deref(), Some("Foo"));
    let known = envelope(r#"<c:NoMoreRequests s:mustUnderstand="1">0</c:NoMoreRequests>"#, "<c:X/>");
    assert_eq!(read(known.as_bytes(), false).unwrap().not_understood, None);
}

#[test]
fn prefixes_that_nobody_declared_are_read_where_that_is_allowed() {
    let text = "<soap:Envelope soap:encodingStyle='x' encodingStyle:y='z'><soap:Header>\
        <cwmp:ID soap:mustUnderstand='1'>7</cwmp:ID><cwmp:HoldRequests>true</cwmp:HoldRequests>\
        <cwmp:Odd soap:mustUnderstand='true'/></soap:Header>\
        <soap:Body><cwmp:GetRPCMethods/></soap:Body></soap:Envelope>";
    let read_it = |lenient| read(text.as_bytes(), lenient);
    assert_eq!(read_it(false), Err(XmlError::UnknownPrefix("soap:Envelope".to_owned()).into()));
    let read = read_it(true).unwrap();
    assert_eq!((read.id.as_deref(), read.hold_requests), (Some("7"), true));
    assert_eq!(read.not_understood.as_deref(), Some("Odd"));
    assert!(&*read.body.name == "GetRPCMethods" && read.body.namespace.is_cwmp());
    // What is declared to be something else stays that.
    let other = "<s:Envelope xmlns:s='urn:x'><s:Body><a/></s:Body></s:Envelope>";
    assert!(matches!(super::read(other.as_bytes(), true), Err(SoapError::NotAnEnvelope(_))));
}

#[test]
fn the_version_that_the_acs_wants_is_read() {
    let text = envelope("<c:UseCWMPVersion s:mustUnderstand='1'>1.2</c:UseCWMPVersion>", "<c:X/>");
    let read = read(text.as_bytes(), false).unwrap();
    assert_eq!((read.use_version.as_deref(), read.not_understood), (Some("1.2"), None));
}

#[test]
fn what_is_no_envelope_is_said_exactly() {
    let error = |text: &str| read(text.as_bytes(), false).unwrap_err().to_string();
    assert_eq!(error("<note/>"), "expected a SOAP 1.1 Envelope, got <note>");
    assert_eq!(
        error("<Envelope xmlns='http://www.w3.org/2003/05/soap-envelope'/>"),
        "expected a SOAP 1.1 Envelope, got <Envelope>"
    );
    assert_eq!(error(&format!("<s:Envelope {NS}/>")), "the Envelope holds 0 Body elements, expected 1");
    assert_eq!(error(&envelope("", "")), "the Body holds 0 elements, expected 1");
    assert_eq!(error(&envelope("", "<c:A/><c:B/>")), "the Body holds 2 elements, expected 1");
    assert_eq!(
        error(&envelope("<c:HoldRequests>maybe</c:HoldRequests>", "<c:A/>")),
        "HoldRequests is \"maybe\", expected 0, 1, false or true"
    );
}

#[test]
fn two_hundred_thousand_nested_tags_stop_at_the_limit() {
    assert_eq!(xml_error(&"<a>".repeat(200_000)), XmlError::TooDeep);
    let fits = format!("{}{}", "<a>".repeat(MAX_DEPTH), "</a>".repeat(MAX_DEPTH));
    assert!(matches!(read(fits.as_bytes(), false), Err(SoapError::NotAnEnvelope(_))));
}

#[test]
fn sizes_have_limits() {
    assert_eq!(xml_error(&format!("<a>{}</a>", "x".repeat(30 << 20))), XmlError::TooLarge((30 << 20) + 7));
    assert_eq!(xml_error(&format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS))), XmlError::TooManyElements);
    let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(xml_error(&format!("<a{attributes}/>")), XmlError::TooManyAttributes("a".to_owned()));
    let prefixes: String = (0..1000).map(|n| format!(" xmlns:a{n}='u'")).collect();
    assert!(read(format!("<a{prefixes}/>").as_bytes(), false).is_err());
}

#[test]
fn a_request_of_a_million_bytes_is_read() {
    let body = format!("<c:X>{}</c:X>", "<Name>Device.DeviceInfo.UpTime</Name>".repeat(30_000));
    let text = envelope("", &body);
    assert!(text.len() > 1_000_000);
    assert_eq!(read(text.as_bytes(), false).unwrap().body.children.len(), 30_000);
}

#[test]
fn entities_of_a_dtd_are_refused() {
    assert_eq!(xml_error("<!DOCTYPE a [<!ENTITY b 'bbb'>]><a>&b;</a>"), XmlError::Doctype);
    assert_eq!(xml_error("<a>&b;</a>"), XmlError::UnknownEntity("b".to_owned()));
    assert!(matches!(xml_error("<a x='&b;'/>"), XmlError::Malformed(_)));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    assert_eq!(xml_error("<a/><b/>"), XmlError::SecondRoot("b".to_owned()));
    assert_eq!(xml_error("<a/>x"), XmlError::TextOutside);
    assert_eq!(xml_error("x<a/>"), XmlError::TextOutside);
    assert_eq!(xml_error("<a/>&#32;"), XmlError::TextOutside);
    assert_eq!(xml_error("<a><b></b>"), XmlError::Truncated("a".to_owned()));
    assert_eq!(xml_error("<a><b"), XmlError::Truncated("a".to_owned()));
    assert_eq!(xml_error(""), XmlError::NoRoot);
    assert_eq!(xml_error("<p:a/>"), XmlError::UnknownPrefix("p:a".to_owned()));
    assert_eq!(xml_error("<a p:b=''/>"), XmlError::UnknownPrefix("p:b".to_owned()));
    assert_eq!(xml_error("<a>\u{1}</a>"), XmlError::IllegalCharacter(1));
    assert_eq!(xml_error("<a>&#1;</a>"), XmlError::IllegalCharacter(1));
    assert_eq!(xml_error("<a b='&#xFFFE;'/>"), XmlError::IllegalCharacter(0xfffe));
    for bad in [
        "<a></b>",
        "</a>",
        "<a b='1' b='2'/>",
        "<a b=1/>",
        "<>",
        "<1/>",
        "<a>]]></a>",
        "<a b='<'/>",
        "<a>&</a>",
    ] {
        assert!(read(bad.as_bytes(), false).is_err(), "{bad}");
        assert!(!matches!(read(bad.as_bytes(), false), Err(SoapError::NotAnEnvelope(_))), "{bad}");
    }
    assert!(matches!(xml_error("<a/><?xml version='1.0'?>"), XmlError::Malformed(_)));
    assert_eq!(read(b"<a>\xff</a>", false), Err(XmlError::NotUtf8.into()));
    assert_eq!(xml_error("<?xml version='1.0' encoding='ISO-8859-1'?><a>\u{e9}</a>"), XmlError::NotUtf8);
}

#[test]
fn what_is_written_is_read_back_by_another_parser() {
    let mut envelope = EnvelopeWriter::begin(Head { id: Some("1<2"), ..Head::default() });
    let text = "a<b>&\"' \t\r\n\u{20ac}\u{1F600}";
    envelope.leaf("x", text);
    envelope.leaf("y", "\u{0}");
    let bytes = envelope.finish();
    let document = roxmltree::Document::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
    let text_of = |name| document.descendants().find(|n| n.tag_name().name() == name).unwrap().text();
    assert_eq!(text_of("x"), Some(text));
    assert_eq!(text_of("y"), Some("\u{fffd}"));
    assert_eq!(text_of("ID"), Some("1<2"));
}
