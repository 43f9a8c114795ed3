//! A scripted ACS: it answers as chance says, and holds the device to its turn (TR-069 3.7.1).

use ipc_proto::worker::SessionOpened;

use super::choice::Choices;
use crate::session::{Post, Response};

/// What the ACS does with a POST.
#[derive(Debug)]
pub enum Turn {
    Answer(Response),
    /// No answer: the connection breaks.
    Broken,
}

/// The ACS in one session.
#[derive(Debug)]
pub struct Acs {
    codes: Vec<&'static str>,
    /// The device's request that has no answer so far.
    asked: Option<&'static str>,
    /// Its last request is wanted again (8005).
    again: bool,
    /// Our request, which the device must answer next.
    sent: Option<&'static str>,
    hold: bool,
    informed: bool,
    turns: u32,
    /// It has answered the Inform well; taken by whoever keeps the event table.
    pub took_events: bool,
}

const REQUESTS: [(&str, &str); 6] = [
    ("GetRPCMethods", "<c:GetRPCMethods/>"),
    (
        "GetParameterValues",
        "<c:GetParameterValues><ParameterNames><string>Device.</string></ParameterNames></c:GetParameterValues>",
    ),
    (
        "GetParameterNames",
        "<c:GetParameterNames><ParameterPath>Device.</ParameterPath><NextLevel>0</NextLevel></c:GetParameterNames>",
    ),
    (
        "SetParameterValues",
        "<c:SetParameterValues><ParameterList><ParameterValueStruct><Name>Device.A</Name><Value>1</Value></ParameterValueStruct></ParameterList><ParameterKey/></c:SetParameterValues>",
    ),
    ("Nonsense", "<c:Nonsense/>"),
    ("GetParameterNames", "<c:GetParameterNames/>"),
];

impl Acs {
    pub fn new(opened: &SessionOpened) -> Self {
        let codes = opened.events.iter().map(|event| event.code.text()).collect();
        Self {
            codes,
            asked: None,
            again: false,
            sent: None,
            hold: false,
            informed: false,
            turns: 0,
            took_events: false,
        }
    }

    /// Takes a POST, judges whether it was the device's turn, and answers.
    pub fn hear(&mut self, post: &Post, choices: &mut Choices) -> Turn {
        self.turns += 1;
        assert!(self.turns < 20_000, "the session has no end");
        let again = std::mem::take(&mut self.again);
        match post {
            Post::Inform(bytes) => {
                assert!(!self.informed && self.sent.is_none(), "an Inform in the middle");
                assert!(self.asked.is_none() || again, "two Informs are out");
                let text = std::str::from_utf8(bytes).unwrap();
                let codes = text.split("<EventCode>").skip(1).map(|rest| rest.split('<').next().unwrap());
                assert_eq!(codes.collect::<Vec<_>>(), self.codes, "the Inform carries other events");
                self.asked = Some("Inform");
                return self.at_inform(choices);
            }
            Post::Request(bytes) => {
                assert!(self.informed && !self.hold, "a request of the device while requests are held");
                assert!(self.asked.is_none() || again, "two requests of the device are out");
                assert!(self.sent.is_none(), "a request of the device while it owes an answer");
                assert!(std::str::from_utf8(bytes).unwrap().contains("cwmp:GetRPCMethods"));
                self.asked = Some("GetRPCMethods");
            }
            Post::Response(bytes) => {
                let of = self.sent.take().expect("the device answers what was not asked");
                let text = std::str::from_utf8(bytes).unwrap();
                assert!(
                    text.contains(&format!("cwmp:{of}Response")) || text.contains("soap:Fault"),
                    "{of} is answered with {text}"
                );
                assert!(text.ends_with("</soap:Envelope>\n"), "half an answer");
                assert!(text.contains(&format!(">acs-{}<", self.turns - 1)), "the ID of another request");
            }
            Post::Empty => {
                assert!(
                    self.informed && self.sent.is_none(),
                    "an empty POST while the device owes an answer"
                );
                assert!(self.asked.is_none(), "an empty POST while a request of the device is out");
            }
        }
        self.go_on(choices)
    }

    fn at_inform(&mut self, choices: &mut Choices) -> Turn {
        if choices.chance(700) || self.turns > 50 {
            match choices.pick(6) {
                0 | 1 => {}
                2 => return self.fault(8005),
                3 => return self.fault(8000),
                _ => return self.trouble(choices),
            }
        }
        self.hold = choices.chance(200);
        self.informed = true;
        self.took_events = true;
        self.asked = None;
        self.envelope("<c:InformResponse><MaxEnvelopes>1</MaxEnvelopes></c:InformResponse>")
    }

    /// Its turn after the Inform.
    fn go_on(&mut self, choices: &mut Choices) -> Turn {
        if self.asked.is_some() && !choices.chance(100) {
            self.hold &= !choices.chance(500);
            if choices.chance(200) {
                return self.fault(8005);
            }
            self.asked = None;
            return self.envelope(
                "<c:GetRPCMethodsResponse><MethodList><string>Inform</string></MethodList></c:GetRPCMethodsResponse>",
            );
        }
        if choices.chance(60) {
            return self.trouble(choices);
        }
        if self.hold || choices.chance(400) {
            self.hold = self.hold && choices.chance(600);
            let (name, body) = REQUESTS[usize::from(choices.pick(6))];
            self.sent = Some(name);
            // A request of ours while one of the device's is out breaks the turn: the device ends it or answers.
            return self.envelope(body);
        }
        Turn::Answer(Response { status: 204, ..Response::default() })
    }

    fn fault(&mut self, code: u32) -> Turn {
        self.again = code == 8005;
        self.envelope(&format!(
            "<s:Fault><faultcode>s:Client</faultcode><faultstring>CWMP fault</faultstring><detail><c:Fault><FaultCode>{code}</FaultCode><FaultString>planned</FaultString></c:Fault></detail></s:Fault>"
        ))
    }

    fn trouble(&mut self, choices: &mut Choices) -> Turn {
        let status = |status| Turn::Answer(Response { status, ..Response::default() });
        match choices.pick(7) {
            0 => Turn::Broken,
            1 => status(204),
            2 => status(404),
            3 => status(500),
            4 => Turn::Answer(Response { status: 200, body: "<broken".into(), ..Response::default() }),
            5 if self.informed => {
                self.envelope("<c:InformResponse><MaxEnvelopes>1</MaxEnvelopes></c:InformResponse>")
            }
            _ => self.envelope("<c:TransferCompleteResponse/>"),
        }
    }

    fn envelope(&self, body: &str) -> Turn {
        let (turn, hold) = (self.turns, u8::from(self.hold));
        let text = format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:c='urn:dslforum-org:cwmp-1-2'>\
             <s:Header><c:ID s:mustUnderstand='1'>acs-{turn}</c:ID>\
             <c:HoldRequests s:mustUnderstand='1'>{hold}</c:HoldRequests></s:Header><s:Body>{body}</s:Body></s:Envelope>"
        );
        Turn::Answer(Response { status: 200, body: text.into(), ..Response::default() })
    }
}
