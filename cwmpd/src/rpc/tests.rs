//! Each message that we send against its golden file, and requests as ACSs write them.

use ipc_proto::{
    CwmpVersion, ParamType, ParameterFault, Value,
    listing::Listing,
    text::{CommandKey, ParameterKey},
    value::DateTime,
    worker::{
        Attributes, DeclaredType, DeviceId, Event, EventCode, EventId, Notification, Page, SessionOpened,
        SetStatus, SetValue,
    },
};

use super::{
    list_answer::{ListAnswer, ListKind, PageError},
    *,
};
use crate::soap::{self, Head};

fn head(id: &str) -> Head<'_> {
    Head { id: Some(id), ..Head::default() }
}

fn opened(events: &[EventCode]) -> SessionOpened {
    let event = |(n, code): (usize, &EventCode)| Event {
        id: EventId(n as u64),
        code: *code,
        command_key: CommandKey::default(),
    };
    SessionOpened {
        session: SessionId(1),
        retry_count: 3,
        requests: Vec::new(),
        device: DeviceId {
            manufacturer: "Example & Söhne".to_owned(),
            oui: "00AABB".to_owned(),
            product_class: String::new(),
            serial_number: "SN<1>".to_owned(),
        },
        events: events.iter().enumerate().map(event).collect(),
        parameters: Listing::from_iter([
            ("Device.RootDataModelVersion", "2.17", ParamType::String),
            ("Device.ManagementServer.ConnectionRequestURL", "", ParamType::String),
        ]),
    }
}

fn values() -> Vec<(&'static str, Value)> {
    vec![
        ("Device.A.String", Value::String("<&> \"'\r\n\t\u{20ac}\u{1F600}".to_owned())),
        ("Device.A.Int", Value::Int(-1)),
        ("Device.A.UnsignedInt", Value::UnsignedInt(u32::MAX)),
        ("Device.A.Long", Value::Long(i64::MIN)),
        ("Device.A.UnsignedLong", Value::UnsignedLong(u64::MAX)),
        ("Device.A.Boolean", Value::Boolean(true)),
        ("Device.A.DateTime", Value::DateTime(DateTime::parse(DateTime::UNKNOWN).unwrap())),
        ("Device.A.Base64", Value::Base64(vec![1, 2, 3])),
        ("Device.A.HexBinary", Value::HexBinary(vec![0xab, 0xcd])),
    ]
}

fn page(values: &[(&'static str, Value)]) -> Page {
    let mut page = Listing::default();
    values.iter().for_each(|(name, value)| page.push(name, &value.to_string(), value.param_type()));
    Page::Values(page)
}

fn names(names: &[(&str, bool)]) -> Page {
    Page::Names(names.iter().map(|(name, writable)| (*name, "", *writable)).collect())
}

fn attributes() -> Page {
    let of = |notification, subscriber| Attributes { notification, subscriber };
    Page::Attributes(Listing::from_iter([
        ("Device.A.Int", "", of(Notification::Active, true)),
        ("Device.A.Boolean", "", of(Notification::Off, false)),
    ]))
}

fn answer(kind: ListKind, count: u32, pages: &[Page]) -> Vec<u8> {
    let mut answer = ListAnswer::begin(kind, head("id-1"), count);
    let mut bytes = answer.take();
    for page in pages {
        answer.page(page).unwrap();
        bytes.extend(answer.take());
    }
    assert!(answer.is_complete());
    bytes
}

/// Every message that we send, by the name of its golden file.
fn messages() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    macro_rules! golden {
        ($name:literal, $bytes:expr) => {
            ($name, $bytes, include_str!(concat!("golden/", $name, ".xml")))
        };
    }
    let time = "2026-03-04T05:06:07+01:00";
    let id = head("a&b");
    let offer = |version| inform::Offer { version, session_timeout: 60, current_time: time };
    let newest = offer(CwmpVersion::V1_4);
    let mut pages = values();
    let second = pages.split_off(4);
    let bad = Fault::bad_parameters(vec![
        ParameterFault::new("Device.<x>", FaultCode::InvalidParameterName, ""),
        ParameterFault::new("Device.A.Int", FaultCode::InvalidParameterValue, "at most 7"),
    ]);
    vec![
        golden!("inform", inform::encode("1", &opened(&EventCode::ALL), newest)),
        golden!("inform_without_events", inform::encode("1", &opened(&[]), newest)),
        golden!("inform_1_0", inform::encode("1", &opened(&[EventCode::Boot]), offer(CwmpVersion::V1_0))),
        golden!("inform_1_1", inform::encode("1", &opened(&[EventCode::Boot]), offer(CwmpVersion::V1_1))),
        golden!("inform_1_3", inform::encode("1", &opened(&[EventCode::Boot]), offer(CwmpVersion::V1_3))),
        golden!("get_rpc_methods", get_rpc_methods::encode_request(id)),
        golden!("get_rpc_methods_response", get_rpc_methods::encode(id)),
        golden!(
            "get_parameter_names_response",
            answer(ListKind::Names, 2, &[names(&[("Device.A.", false), ("Device.A.Int", true)])])
        ),
        golden!("get_parameter_values_response", answer(ListKind::Values, 9, &[page(&pages), page(&second)])),
        golden!("get_parameter_values_response_empty", answer(ListKind::Values, 0, &[])),
        golden!("set_parameter_values_response", set_parameter_values::encode(id, SetStatus::Later)),
        golden!("reboot_response", encode_empty(id, reboot::RESPONSE)),
        golden!("factory_reset_response", encode_empty(id, factory_reset::RESPONSE)),
        golden!("schedule_inform_response", encode_empty(id, schedule_inform::RESPONSE)),
        golden!("add_object_response", add_object::encode(id, 4_294_967_294, SetStatus::Applied)),
        golden!("delete_object_response", delete_object::encode(id, SetStatus::Applied)),
        golden!("set_parameter_attributes_response", set_parameter_attributes::encode(id)),
        golden!("get_parameter_attributes_response", answer(ListKind::Attributes, 2, &[attributes()])),
        golden!("fault", fault::encode(Head::default(), &Fault::new(FaultCode::MethodNotSupported, "X_Fly"))),
        golden!("fault_set_parameter_values", fault::encode(id, &bad)),
        golden!("fault_must_understand", fault::encode_must_understand(id, "Foo")),
    ]
}

#[test]
fn every_message_is_its_golden_file() {
    for (name, bytes, golden) in messages() {
        assert_eq!(String::from_utf8(bytes).unwrap(), golden, "{name}");
    }
}

#[test]
fn another_parser_reads_back_what_was_meant() {
    for (name, bytes, _) in messages() {
        let text = String::from_utf8(bytes).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for array in document.descendants() {
            let Some(kind) = array.attributes().find(|a| a.name() == "arrayType") else { continue };
            let count = array.children().filter(roxmltree::Node::is_element).count();
            assert!(kind.value().ends_with(&format!("[{count}]")), "{name}: {}", kind.value());
        }
        if name == "get_parameter_values_response" {
            let read: Vec<_> = document
                .descendants()
                .filter(|n| n.has_tag_name("Value"))
                .map(|n| n.text().unwrap().to_owned())
                .collect();
            assert_eq!(read, values().iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn pages_that_do_not_add_up_are_refused() {
    let one = page(&values().split_off(8));
    let begin = |count| ListAnswer::begin(ListKind::Values, head("x"), count);
    assert_eq!(begin(0).page(&one), Err(PageError::Count));
    assert_eq!(begin(2).page(&page(&[])), Err(PageError::Count), "would never end");
    assert_eq!(begin(1).page(&names(&[("Device.", false)])), Err(PageError::Kind));
    let mut answer = begin(2);
    answer.page(&one).unwrap();
    assert!(!answer.is_complete());
}

fn decode(rpc: &str) -> Message {
    let text = format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/' xmlns:w='urn:dslforum-org:cwmp-1-0' \
         xmlns:xsd='http://www.w3.org/2001/XMLSchema' xmlns:i='http://www.w3.org/2001/XMLSchema-instance'>\
         <e:Body>{rpc}</e:Body></e:Envelope>"
    );
    Message::decode(&soap::read(text.as_bytes(), false).unwrap().body)
}

fn refusal(rpc: &str) -> FaultCode {
    match decode(rpc) {
        Message::Refused(fault) => fault.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn get_parameter_names_is_read() {
    let rpc = "<w:GetParameterNames><ParameterPath>Device.</ParameterPath><NextLevel>true</NextLevel></w:GetParameterNames>";
    let names = Read::Names { path: "Device.".to_owned(), next_level: true };
    assert_eq!(decode(rpc), Message::Request(Request::Read(names)));
    assert_eq!(refusal("<w:GetParameterNames/>"), FaultCode::InvalidArguments);
    assert_eq!(
        refusal("<w:GetParameterNames><ParameterPath/><NextLevel>perhaps</NextLevel></w:GetParameterNames>"),
        FaultCode::InvalidArguments
    );
}

#[test]
fn get_parameter_values_is_read() {
    let rpc = "<w:GetParameterValues><ParameterNames><string>Device.A</string><item> b</item></ParameterNames></w:GetParameterValues>";
    let names = Read::Values(vec!["Device.A".to_owned(), "b".to_owned()]);
    assert_eq!(decode(rpc), Message::Request(Request::Read(names)));
    assert_eq!(
        refusal("<w:GetParameterValues><ParameterNames/></w:GetParameterValues>"),
        FaultCode::InvalidArguments
    );
    let long = "\u{e9}".repeat(257);
    assert_eq!(
        refusal(&format!(
            "<w:GetParameterValues><ParameterNames><string>{long}</string></ParameterNames></w:GetParameterValues>"
        )),
        FaultCode::InvalidParameterName
    );
}

#[test]
fn what_old_acss_send_is_read() {
    // No namespace, no declared prefix, indented, booleans as words or digits, no ParameterKey.
    let decode = |rpc: &str| {
        let text = format!("<soap:Envelope>\n <soap:Body>\n  {rpc}\n </soap:Body>\n</soap:Envelope>\n");
        Message::decode(&soap::read(text.as_bytes(), true).unwrap().body)
    };
    for (word, next_level) in [("true", true), ("1", true), ("false", false), (" 0\n", false)] {
        let rpc = format!(
            "<GetParameterNames>\n <ParameterPath>\n  Device.\n </ParameterPath>\n <NextLevel>{word}</NextLevel>\n</GetParameterNames>"
        );
        let names = Read::Names { path: "Device.".to_owned(), next_level };
        assert_eq!(decode(&rpc), Message::Request(Request::Read(names)), "{word}");
    }
    let rpc = "<cwmp:SetParameterValues>\n<ParameterList soapenc:arrayType='x'>\n<ParameterValueStruct>\n\
        <Name>\n  Device.A\n</Name>\n<Value xsi:type='xsd:boolean'>true</Value>\n</ParameterValueStruct>\n\
        </ParameterList>\n</cwmp:SetParameterValues>";
    let Message::Request(Request::SetParameterValues(set)) = decode(rpc) else { panic!() };
    let declared = DeclaredType::Known(ParamType::Boolean);
    assert_eq!(set.values, [SetValue { name: "Device.A".to_owned(), declared, text: "true".to_owned() }]);
    assert_eq!(set.parameter_key.as_str(), "");
    // The default namespace of the envelope is the RPC's too.
    let text = "<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'><Body><GetRPCMethods/></Body></Envelope>";
    let read = soap::read(text.as_bytes(), false).unwrap();
    assert_eq!(Message::decode(&read.body), Message::Request(Request::GetRpcMethods));
}

#[test]
fn set_parameter_values_is_read_with_its_types() {
    let value = |declared: &str| {
        format!("<ParameterValueStruct><Name>n</Name><Value {declared}>v</Value></ParameterValueStruct>")
    };
    let list: String =
        ["", "i:type='xsd:unsignedInt'", "i:type='base64Binary'", "i:type='xsd:anyURI'"].map(value).concat();
    let rpc = format!(
        "<w:SetParameterValues><ParameterList>{list}</ParameterList><ParameterKey>{}</ParameterKey></w:SetParameterValues>",
        "\u{20ac}".repeat(32)
    );
    let Message::Request(Request::SetParameterValues(set)) = decode(&rpc) else { panic!() };
    let set_value = |declared| SetValue { name: "n".to_owned(), declared, text: "v".to_owned() };
    let declared = [
        DeclaredType::Absent,
        DeclaredType::Known(ParamType::UnsignedInt),
        DeclaredType::Known(ParamType::Base64),
        DeclaredType::Unknown,
    ];
    assert_eq!(set.values, declared.map(set_value));
    assert_eq!(set.parameter_key, ParameterKey::new("\u{20ac}".repeat(32)).unwrap());
}

#[test]
fn set_parameter_values_without_its_parts() {
    let set = |inside: &str| format!("<w:SetParameterValues>{inside}</w:SetParameterValues>");
    let Message::Request(Request::SetParameterValues(empty)) = decode(&set("<ParameterList/>")) else {
        panic!()
    };
    assert_eq!((empty.values.len(), empty.parameter_key.as_str()), (0, ""));
    for bad in [
        String::new(),
        format!("<ParameterList/><ParameterKey>{}</ParameterKey>", "x".repeat(33)),
        "<ParameterList><a><Name>n</Name></a></ParameterList>".to_owned(),
        "<ParameterList><a><Value>n</Value></a></ParameterList>".to_owned(),
        "<ParameterList><a><Name>n</Name><Value><b/></Value></a></ParameterList>".to_owned(),
    ] {
        assert_eq!(refusal(&set(&bad)), FaultCode::InvalidArguments, "{bad}");
    }
}

#[test]
fn reboot_and_schedule_inform_are_read() {
    let key = |key: &str| CommandKey::new(key).unwrap();
    let of = |rpc: &str| match decode(rpc) {
        Message::Request(request) => request,
        other => panic!("{other:?}"),
    };
    let euro = "\u{20ac}".repeat(32);
    let reboot = |key: &str| format!("<w:Reboot><CommandKey>{key}</CommandKey></w:Reboot>");
    assert_eq!(of(&reboot(&euro)), Request::Reboot(key(&euro)));
    assert_eq!(of("<w:Reboot/>"), Request::Reboot(key("")));
    assert_eq!(of("<w:FactoryReset/>"), Request::FactoryReset);
    let schedule = |delay: &str, key: &str| {
        format!("<w:ScheduleInform>{delay}<CommandKey>{key}</CommandKey></w:ScheduleInform>")
    };
    let delay = |text: &str| format!("<DelaySeconds>{text}</DelaySeconds>");
    assert_eq!(of(&schedule(&delay(" 4294967295\n"), "")), Request::ScheduleInform(u32::MAX, key("")));
    for bad in ["0", "-1", "4294967296", "soon", ""] {
        assert_eq!(refusal(&schedule(&delay(bad), "k")), FaultCode::InvalidArguments, "{bad}");
    }
    assert_eq!(refusal(&schedule("", "k")), FaultCode::InvalidArguments);
    let long = "x".repeat(33);
    assert_eq!(refusal(&schedule(&delay("1"), &long)), FaultCode::InvalidArguments);
    assert_eq!(refusal(&reboot(&long)), FaultCode::InvalidArguments);
}

#[test]
fn add_object_and_delete_object_are_read() {
    for (method, change) in [("AddObject", RowChange::Add), ("DeleteObject", RowChange::Delete)] {
        let rpc = |inside: &str| format!("<w:{method}>{inside}</w:{method}>");
        let Message::Request(Request::ChangeRow(row)) =
            decode(&rpc("<ObjectName>\n Device.T.3.\n</ObjectName><ParameterKey>k</ParameterKey>"))
        else {
            panic!()
        };
        assert_eq!((row.change, &*row.name, row.parameter_key.as_str()), (change, "Device.T.3.", "k"));
        let long = format!("<ObjectName>{}.</ObjectName><ParameterKey/>", "x".repeat(256));
        assert_eq!(refusal(&rpc(&long)), FaultCode::InvalidParameterName);
        let key =
            format!("<ObjectName>Device.T.</ObjectName><ParameterKey>{}</ParameterKey>", "x".repeat(33));
        assert_eq!(refusal(&rpc(&key)), FaultCode::InvalidArguments);
        assert_eq!(refusal(&rpc("<ParameterKey/>")), FaultCode::InvalidArguments);
    }
}

#[test]
fn set_parameter_attributes_is_read_and_looks_at_nothing_that_is_not_to_change() {
    let set = |change: &str, notification: &str, access: &str, list: &str| {
        format!(
            "<w:SetParameterAttributes><ParameterList><SetParameterAttributesStruct><Name>Device.A</Name>\
             <NotificationChange>{change}</NotificationChange><Notification>{notification}</Notification>\
             <AccessListChange>{access}</AccessListChange><AccessList>{list}</AccessList>\
             </SetParameterAttributesStruct></ParameterList></w:SetParameterAttributes>"
        )
    };
    let subscriber = "<string>Subscriber</string>";
    for (rpc, notification, access) in [
        (set("1", "2", "true", subscriber), Some(Notification::Active), Some(true)),
        (set("true", "1", "1", ""), Some(Notification::Passive), Some(false)),
        (set("0", "6", "false", "<string>Anyone</string>"), None, None),
    ] {
        let Message::Request(Request::SetParameterAttributes(all)) = decode(&rpc) else { panic!("{rpc}") };
        let name = "Device.A".to_owned();
        assert_eq!(all, [SetAttributes { name, notification, subscriber: access }]);
    }
    for rpc in [
        set("1", "3", "0", ""),
        set("1", "", "0", ""),
        set("perhaps", "1", "0", ""),
        set("0", "0", "1", "<string>Anyone</string>"),
        "<w:SetParameterAttributes/>".to_owned(),
    ] {
        assert_eq!(refusal(&rpc), FaultCode::InvalidArguments, "{rpc}");
    }
}

#[test]
fn what_we_do_not_have_is_9000_and_responses_are_never_refused() {
    let methods = String::from_utf8(get_rpc_methods::encode(head("1"))).unwrap();
    for name in
        ["GetOptions", "SetVouchers", "ScheduleDownload", "ChangeDUState", "GetQueuedTransfers", "X_1"]
    {
        assert_eq!(refusal(&format!("<w:{name}/>")), FaultCode::MethodNotSupported, "{name}");
        assert!(!methods.contains(name), "{name}");
    }
    assert_eq!(refusal("<x:GetRPCMethods xmlns:x='urn:x'/>"), FaultCode::MethodNotSupported);
    assert_eq!(decode("<GetRPCMethods/>"), Message::Request(Request::GetRpcMethods), "no namespace at all");
    assert_eq!(decode("<w:GetRPCMethods/>"), Message::Request(Request::GetRpcMethods));
    assert_eq!(decode("<w:InformResponse/>"), Message::InformResponse);
    assert_eq!(decode("<w:RebootResponse/>"), Message::Response("RebootResponse".to_owned()));
}

#[test]
fn faults_of_the_acs_are_read_with_or_without_detail() {
    let full = "<e:Fault><faultcode>Server</faultcode><faultstring>CWMP fault</faultstring><detail><w:Fault>\
        <FaultCode>8001</FaultCode><FaultString>no</FaultString></w:Fault></detail></e:Fault>";
    let Message::Fault(fault) = decode(full) else { panic!() };
    assert_eq!(fault.to_string(), "fault 8001 (no)");
    let Message::Fault(fault) = decode("<e:Fault><faultstring>boom</faultstring></e:Fault>") else {
        panic!()
    };
    assert_eq!(fault.to_string(), "a SOAP fault (boom)");
    assert!(!fault.misunderstood);
    for code in ["e:VersionMismatch", "MustUnderstand", " x:MustUnderstand\n"] {
        let text = format!("<e:Fault><faultcode>{code}</faultcode><faultstring/></e:Fault>");
        let Message::Fault(fault) = decode(&text) else { panic!() };
        assert!(fault.misunderstood, "{code}");
    }
}
