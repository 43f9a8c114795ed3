//! The test bench tests itself: a device of a few lines plays right and wrong, and the bench must see which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tests::acs::envelope::{envelope, get_parameter_values, get_rpc_methods};
use tests::acs::{BlackHole, Ending, decode, rules};
use tests::{Acs, Plan, Trouble, schema, transcript};

const SOON: Duration = Duration::from_secs(5);
const CWMP: &str = "urn:dslforum-org:cwmp-1-2";

/// A device that says what the test wants it to say.
struct ToyDevice {
    stream: TcpStream,
    port: u16,
    cookies: Vec<String>,
}

impl ToyDevice {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, port, cookies: Vec::new() }
    }

    fn send(&mut self, body: &str) {
        let extra =
            if body.is_empty() { "" } else { "Content-Type: text/xml; charset=utf-8\r\nSOAPAction: \r\n" };
        let cookies = match self.cookies.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", self.cookies.join("; ")),
        };
        let head = format!(
            "POST /cwmp HTTP/1.1\r\nHost: x\r\n{extra}{cookies}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }

    /// One answer up to the end of its body.
    fn receive(&mut self) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        let mut piece = [0; 1];
        loop {
            if self.stream.read(&mut piece)? == 0 {
                break;
            }
            bytes.push(piece[0]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")?.parse().ok());
                let chunked = head.contains("chunked");
                if chunked && body.ends_with("0\r\n\r\n") || !chunked && body.len() == length.unwrap_or(0) {
                    for line in head.lines().filter_map(|l| l.strip_prefix("Set-Cookie: ")) {
                        self.cookies.push(line.split(';').next().unwrap().to_owned());
                    }
                    break;
                }
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn say(&mut self, body: &str) -> String {
        self.send(body);
        self.receive().unwrap()
    }

    fn reconnect(&mut self) {
        let cookies = std::mem::take(&mut self.cookies);
        *self = Self { cookies, ..Self::connect(self.port) };
    }
}

fn inform(retry_count: u32, max_envelopes: u32) -> String {
    let body = format!(
        "<cwmp:Inform><DeviceId><Manufacturer>M</Manufacturer><OUI>00AABB</OUI><ProductClass>P</ProductClass><SerialNumber>S</SerialNumber></DeviceId><Event soapenc:arrayType=\"cwmp:EventStruct[1]\"><EventStruct><EventCode>1 BOOT</EventCode><CommandKey></CommandKey></EventStruct></Event><MaxEnvelopes>{max_envelopes}</MaxEnvelopes><CurrentTime>2026-01-01T00:00:00Z</CurrentTime><RetryCount>{retry_count}</RetryCount><ParameterList soapenc:arrayType=\"cwmp:ParameterValueStruct[1]\"><ParameterValueStruct><Name>Device.RootDataModelVersion</Name><Value xsi:type=\"xsd:string\">2.17</Value></ParameterValueStruct></ParameterList></cwmp:Inform>"
    );
    envelope(CWMP, "7", &body)
}

fn methods(id: &str) -> String {
    let list = "<cwmp:GetRPCMethodsResponse><MethodList soapenc:arrayType=\"xsd:string[1]\"><string>Inform</string></MethodList></cwmp:GetRPCMethodsResponse>";
    envelope(CWMP, id, list)
}

#[test]
fn a_right_session_keeps_every_rule_and_is_recorded_as_it_was() {
    let acs = Acs::start().unjudged();
    acs.plan(Plan::new().send(get_rpc_methods()));
    let mut device = ToyDevice::connect(acs.port());
    assert!(device.say(&inform(0, 1)).contains("InformResponse"));
    assert!(device.say("").contains("GetRPCMethods"));
    assert!(device.say(&methods("acs-1-1")).contains("204 No Content"));
    let sessions = acs.wait_sessions(1, SOON);
    assert_eq!(sessions[0].cpe_kinds(), ["Inform", "empty POST", "GetRPCMethodsResponse"]);
    assert_eq!((sessions[0].connections(), &sessions[0].ending), (1, &Ending::Clean));
    assert_eq!(sessions[0].inform().event_codes(), ["1 BOOT"]);
    assert_eq!(acs.wait_inform(1, SOON).device_id, ["M", "00AABB", "P", "S"]);
    rules::assert_kept(&sessions);
    let told = transcript::lines(&sessions[0]).join("\n");
    assert!(told.contains("Inform") && told.contains("1 BOOT") && told.contains("204 No Content"), "{told}");
}

#[test]
fn broken_rules_are_seen() {
    let acs = Acs::start().unjudged();
    acs.plan(Plan::new().send(get_parameter_values(&["Device."])));
    let mut device = ToyDevice::connect(acs.port());
    device.say(&inform(0, 2).replace("EventStruct[1]", "EventStruct[3]"));
    device.cookies.clear();
    device.say("");
    device.say(&methods("another"));
    let broken = rules::broken(&acs.wait_sessions(1, SOON)[0]).join("\n");
    for expected in ["MaxEnvelopes is 2", "announces Some(3)", "its ID is not the request's", "cookies []"] {
        assert!(broken.contains(expected), "no {expected:?} in {broken}");
    }
    let untyped = inform(0, 1).replace(" xsi:type=\"xsd:string\"", "");
    assert_eq!(decode::beyond_the_schema(&untyped), ["a Value without xsi:type"]);
}

#[test]
fn the_schemas_take_a_right_message_and_refuse_a_wrong_one() {
    let Some(right) = schema::verdict(&[&inform(0, 1)]) else { return };
    assert_eq!(right, Ok(()));
    let wrong_order = inform(0, 1)
        .replace("<MaxEnvelopes>1</MaxEnvelopes>", "")
        .replace("<RetryCount>", "<MaxEnvelopes>1</MaxEnvelopes><RetryCount>");
    assert!(schema::verdict(&[&inform(0, 1), &wrong_order]).unwrap().is_err());
}

#[test]
fn a_session_goes_on_over_connections_that_the_acs_closes() {
    for plan in [Plan::new().closing_each(), Plan::new().http10()] {
        let acs = Acs::start().unjudged();
        acs.plan(plan.send(get_rpc_methods()));
        let mut device = ToyDevice::connect(acs.port());
        assert!(device.say(&inform(0, 1)).contains("Connection: close"));
        device.reconnect();
        device.say("");
        device.reconnect();
        device.say(&methods("acs-1-1"));
        let sessions = acs.wait_sessions(1, SOON);
        assert_eq!((sessions[0].connections(), &sessions[0].ending), (3, &Ending::Clean));
        rules::assert_kept(&sessions);
    }
}

#[test]
fn every_manner_carries_the_same_answer() {
    for plan in [Plan::new().byte_by_byte(), Plan::new().chunked()] {
        let acs = Acs::start().unjudged();
        acs.plan(plan);
        let mut device = ToyDevice::connect(acs.port());
        assert!(device.say(&inform(0, 1)).contains("200 OK"));
        assert!(device.say("").contains("204 No Content"));
        assert_eq!(acs.wait_sessions(1, SOON)[0].ending, Ending::Clean);
    }
}

#[test]
fn every_trouble_is_the_trouble_it_says() {
    type Check = fn(&std::io::Result<String>) -> bool;
    let cases: [(Trouble, Check); 9] = [
        (Trouble::Status(404), |r| r.as_ref().is_ok_and(|t| t.starts_with("HTTP/1.1 404"))),
        (Trouble::Garbage, |r| r.as_ref().is_ok_and(|t| !t.starts_with("HTTP"))),
        (Trouble::Reset, |r| r.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)),
        (Trouble::Close, |r| r.as_ref().is_ok_and(String::is_empty)),
        (Trouble::HugeBody(10_000), |r| r.as_ref().is_ok_and(|t| t.len() > 10_000)),
        (Trouble::HugeChunked(10_000), |r| r.as_ref().is_err()),
        (Trouble::HalfBody, |r| r.as_ref().is_ok_and(|t| t.ends_with("<soap:Env"))),
        (Trouble::TruncatedXml, |r| r.as_ref().is_ok_and(|t| t.ends_with("<cwmp:Inf"))),
        (Trouble::WrongRoot, |r| r.as_ref().is_ok_and(|t| t.ends_with("</note>"))),
    ];
    for (trouble, check) in cases {
        let acs = Acs::start().unjudged();
        acs.plan(Plan::at_inform(trouble.clone()));
        let mut device = ToyDevice::connect(acs.port());
        if matches!(trouble, Trouble::HugeChunked(_)) {
            // It never ends by itself: the toy waits in vain.
            device.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        }
        device.send(&inform(0, 1));
        let got = device.receive();
        assert!(check(&got), "{trouble:?}: {:.200?}", got);
        drop(device);
        assert_eq!(acs.wait_sessions(1, SOON)[0].ending, Ending::Trouble, "{trouble:?}");
    }
}

#[test]
fn silence_lasts_until_the_device_leaves() {
    let acs = Acs::start().unjudged();
    acs.plan(Plan::new().then(Trouble::Silence));
    let mut device = ToyDevice::connect(acs.port());
    device.say(&inform(0, 1));
    device.send("");
    device.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(device.receive().is_err());
    assert_eq!(acs.sessions_so_far(), 0);
    drop(device);
    assert_eq!(acs.wait_sessions(1, SOON)[0].ending, Ending::Trouble);
}

#[test]
fn a_device_that_leaves_in_mid_session_is_seen() {
    let acs = Acs::start().unjudged();
    let mut device = ToyDevice::connect(acs.port());
    device.say(&inform(3, 1));
    drop(device);
    let sessions = acs.wait_sessions(1, SOON);
    assert!(matches!(sessions[0].ending, Ending::Broken(_)), "{:?}", sessions[0].ending);
    assert_eq!(sessions[0].inform().retry_count, 3);
}

#[test]
fn a_black_hole_takes_no_connection() {
    let hole = BlackHole::start();
    let address = hole.url().trim_start_matches("http://").trim_end_matches("/cwmp").parse().unwrap();
    let error = TcpStream::connect_timeout(&address, Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
