//! Whole sessions against a scripted ACS and a fake supervisor: bytes in, bytes out.

use ipc_proto::{
    Fault, FaultCode, ParamType,
    listing::Listing,
    text::CommandKey,
    worker::{DeviceId, Event, EventCode, Page, SetStatus},
};

use super::*;

const ID: SessionId = SessionId(7);

fn cx() -> Cx {
    Cx { current_time: "2026-03-04T05:06:07+01:00".to_owned(), target: "/cwmp".to_owned() }
}

fn opened() -> SessionOpened {
    let event = |id, code| Event { id: EventId(id), code, command_key: CommandKey::default() };
    SessionOpened {
        session: ID,
        retry_count: 0,
        device: DeviceId::default(),
        events: vec![event(4, EventCode::Bootstrap), event(9, EventCode::Boot)],
        parameters: Listing::default(),
    }
}

fn envelope(id: &str, header: &str, body: &str) -> Response {
    let text = format!(
        "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:c='urn:dslforum-org:cwmp-1-2'>\
         <s:Header><c:ID s:mustUnderstand='1'>{id}</c:ID>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    );
    Response { status: 200, body: text.into(), ..Response::default() }
}

fn inform_response() -> Response {
    envelope("1", "", "<c:InformResponse><MaxEnvelopes>1</MaxEnvelopes></c:InformResponse>")
}

fn hold(value: &str) -> String {
    format!("<c:HoldRequests s:mustUnderstand='1'>{value}</c:HoldRequests>")
}

fn status(status: u16) -> Response {
    Response { status, ..Response::default() }
}

/// A session and what it wants done.
struct Talk {
    session: Session,
    action: Option<Action>,
}

impl Talk {
    fn start() -> Self {
        Self::from(Session::start(&opened(), &cx()))
    }

    /// After the InformResponse and the acknowledgement: the empty POST is out.
    fn informed(response: Response) -> Self {
        let talk = Self::start().hears(response);
        talk.gets(Reply::Done)
    }

    fn from((session, mut actions): Step) -> Self {
        actions.retain(|action| !matches!(action, Action::Tell(_)));
        assert!(actions.len() <= 1);
        Self { session, action: actions.pop() }
    }

    fn hears(self, response: Response) -> Self {
        Self::from(self.session.step(&cx(), Input::Response(response)))
    }

    fn gets(self, reply: Reply) -> Self {
        Self::from(self.session.step(&cx(), Input::Reply(reply)))
    }

    fn query(&self) -> &Query {
        match &self.action {
            Some(Action::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    fn post(&self) -> &Post {
        match &self.action {
            Some(Action::Post(post)) => post,
            other => panic!("{other:?}"),
        }
    }

    /// The response that is posted: its header ID, the element in its body, its text.
    fn posted(&self) -> (Option<String>, String, String) {
        let Post::Response(bytes) = self.post() else { panic!("{:?}", self.action) };
        parts(bytes)
    }

    fn outcome(&self) -> &Outcome {
        match &self.action {
            Some(Action::Close(outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn failure(&self) -> (Stage, &str) {
        match self.outcome() {
            Outcome::Failed(failure) => (failure.stage, &failure.reason),
            Outcome::Succeeded => panic!("it succeeded"),
        }
    }
}

fn parts(bytes: &[u8]) -> (Option<String>, String, String) {
    let text = std::str::from_utf8(bytes).unwrap();
    let document = roxmltree::Document::parse(text).unwrap();
    let find = |name: &str| document.descendants().find(|n| n.tag_name().name() == name);
    let id = find("ID").map(|n| n.text().unwrap().to_owned());
    let body = find("Body").unwrap().first_element_child().unwrap();
    let texts: String = body.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect();
    (id, body.tag_name().name().to_owned(), texts)
}

#[test]
fn a_bare_session_informs_acknowledges_and_ends() {
    let talk = Talk::start();
    let Post::Inform(bytes) = talk.post() else { panic!() };
    let (id, name, text) = parts(bytes);
    assert_eq!((id.as_deref(), name.as_str()), (Some("1"), "Inform"));
    assert!(text.contains("0 BOOTSTRAP1 BOOT"), "{text}");
    let talk = talk.hears(inform_response());
    let acknowledged = Query::InformAcknowledged { session: ID, events: vec![EventId(4), EventId(9)] };
    assert_eq!(talk.query(), &acknowledged);
    let talk = talk.gets(Reply::Done);
    assert_eq!(talk.post(), &Post::Empty);
    let talk = talk.hears(status(204));
    assert_eq!(talk.outcome(), &Outcome::Succeeded);
    let (session, actions) = talk.session.step(&cx(), Input::Response(status(204)));
    assert!(matches!(session, Session::Closed) && actions.is_empty());
}

#[test]
fn a_200_without_a_body_ends_the_session_too() {
    assert_eq!(Talk::informed(inform_response()).hears(status(200)).outcome(), &Outcome::Succeeded);
}

#[test]
fn get_rpc_methods_lists_what_is_built() {
    let talk = Talk::informed(inform_response()).hears(envelope("x1", "", "<c:GetRPCMethods/>"));
    let (id, name, text) = talk.posted();
    assert_eq!((id.as_deref(), name.as_str()), (Some("x1"), "GetRPCMethodsResponse"));
    assert_eq!(text, "GetRPCMethodsSetParameterValuesGetParameterValuesGetParameterNames");
    assert_eq!(talk.hears(status(204)).outcome(), &Outcome::Succeeded);
}

#[test]
fn a_read_is_prepared_and_answered_by_pages() {
    let rpc = "<c:GetParameterValues><ParameterNames><string>Device.</string></ParameterNames></c:GetParameterValues>";
    let talk = Talk::informed(inform_response()).hears(envelope("x2", "", rpc));
    let read = Read::Values(vec!["Device.".to_owned()]);
    assert_eq!(talk.query(), &Query::Prepare { session: ID, read });
    let talk = talk.gets(Reply::Prepared { read: ReadId(3), count: 1 });
    let Some(Action::Answer(mut answer)) = talk.action else { panic!() };
    assert_eq!(answer.read, ReadId(3));
    let page = Page::Values(Listing::from_iter([("Device.X", "5", ParamType::Int)]));
    answer.writer.page(&page).unwrap();
    let (id, name, text) = parts(&answer.writer.take());
    assert_eq!((id.as_deref(), &*name, &*text), (Some("x2"), "GetParameterValuesResponse", "Device.X5"));
    let talk = Talk { session: talk.session, action: None }.hears(status(204));
    assert_eq!(talk.outcome(), &Outcome::Succeeded);
}

#[test]
fn a_write_is_asked_for_and_its_status_answered() {
    let rpc = "<c:SetParameterValues><ParameterList/><ParameterKey>k</ParameterKey></c:SetParameterValues>";
    let talk = Talk::informed(inform_response()).hears(envelope("x3", "", rpc));
    assert!(matches!(talk.query(), Query::Set { session: ID, values, parameter_key }
        if values.is_empty() && parameter_key.as_str() == "k"));
    let (id, name, text) = talk.gets(Reply::Set(SetStatus::Applied)).posted();
    assert_eq!((id.as_deref(), &*name, &*text), (Some("x3"), "SetParameterValuesResponse", "0"));
}

#[test]
fn the_supervisors_faults_go_to_the_acs() {
    let rpc = "<c:GetParameterNames><ParameterPath>X.</ParameterPath><NextLevel>0</NextLevel></c:GetParameterNames>";
    let talk = Talk::informed(inform_response()).hears(envelope("x4", "", rpc));
    let talk = talk.gets(Reply::Fault(Fault::new(FaultCode::InvalidParameterName, "X.")));
    let (id, name, text) = talk.posted();
    assert_eq!((id.as_deref(), name.as_str()), (Some("x4"), "Fault"));
    assert!(text.starts_with("soap:ClientCWMP fault9005"), "{text}");
    assert_eq!(talk.hears(status(204)).outcome(), &Outcome::Succeeded);
}

#[test]
fn an_unknown_rpc_is_9000_and_a_header_not_understood_is_said() {
    let talk = Talk::informed(inform_response()).hears(envelope("x5", "", "<c:Reboot/>"));
    assert!(talk.posted().2.contains("CWMP fault9000"));
    let header = "<c:New s:mustUnderstand='1'/>";
    let talk = talk.hears(envelope("x6", header, "<c:GetRPCMethods/>"));
    let (id, name, text) = talk.posted();
    assert_eq!((id.as_deref(), name.as_str()), (Some("x6"), "Fault"));
    assert!(text.starts_with("soap:MustUnderstand"), "{text}");
}

#[test]
fn a_request_without_an_id_is_answered_without_one() {
    let mut request = envelope("", "", "<c:GetRPCMethods/>");
    let text = String::from_utf8(request.body.to_vec()).unwrap();
    request.body = text.replace("<c:ID s:mustUnderstand='1'></c:ID>", "").into();
    assert_eq!(Talk::informed(inform_response()).hears(request).posted().0, None);
}

#[test]
fn the_acs_may_not_end_what_it_holds() {
    let held = envelope("1", &hold("true"), "<c:InformResponse/>");
    let talk = Talk::informed(held.clone()).hears(status(204));
    let reason = "expected a request, got an empty answer while HoldRequests is true";
    assert_eq!(talk.failure(), (Stage::Soap, reason));
    // The last value counts, and absent is false.
    let talk = Talk::informed(held).hears(envelope("2", "", "<c:GetRPCMethods/>")).hears(status(204));
    assert_eq!(talk.outcome(), &Outcome::Succeeded);
}

#[test]
fn out_of_turn_is_named_exactly() {
    let failure = |talk: Talk| talk.failure().1.to_owned();
    assert_eq!(failure(Talk::start().hears(status(204))), "expected InformResponse, got an empty answer");
    assert_eq!(
        failure(Talk::start().hears(envelope("1", "", "<c:GetRPCMethods/>"))),
        "expected InformResponse, got GetRPCMethods"
    );
    assert_eq!(
        failure(Talk::informed(inform_response()).hears(inform_response())),
        "expected a request or an empty answer, got InformResponse"
    );
    assert_eq!(
        failure(Talk::informed(inform_response()).hears(envelope("1", "", "<c:TransferCompleteResponse/>"))),
        "expected a request or an empty answer, got TransferCompleteResponse"
    );
    let html = Response { status: 200, body: "<html><br></html>".into(), ..Response::default() };
    let talk = Talk::start().hears(html);
    assert_eq!(talk.failure().0, Stage::Soap);
}

fn fault(code: u32) -> Response {
    let body = format!(
        "<s:Fault><faultcode>Server</faultcode><faultstring>CWMP fault</faultstring><detail><c:Fault>\
         <FaultCode>{code}</FaultCode><FaultString>because</FaultString></c:Fault></detail></s:Fault>"
    );
    envelope("1", "", &body)
}

#[test]
fn a_fault_to_the_inform_fails_the_session_with_its_words() {
    let expected = (Stage::Fault, "the ACS answered the Inform with fault 8001 (because)");
    assert_eq!(Talk::start().hears(fault(8001)).failure(), expected);
    // The same with HTTP 500 (HTTP-22).
    assert_eq!(Talk::start().hears(Response { status: 500, ..fault(8001) }).failure(), expected);
    let talk = Talk::informed(inform_response()).hears(fault(8002));
    assert_eq!(talk.failure(), (Stage::Fault, "the ACS answered our last message with fault 8002 (because)"));
}

#[test]
fn fault_8005_asks_for_the_identical_inform_again() {
    let mut talk = Talk::start();
    let first = talk.post().clone();
    for _ in 1..INFORM_TRIES {
        talk = talk.hears(fault(8005));
        assert_eq!(talk.post(), &first);
    }
    assert_eq!(talk.hears(fault(8005)).failure().0, Stage::Fault);
}

#[test]
fn an_http_status_says_what_to_do() {
    let failure = |response: Response| {
        let (stage, reason) = match Talk::start().hears(response).outcome() {
            Outcome::Failed(failure) => (failure.stage, failure.reason.clone()),
            Outcome::Succeeded => panic!(),
        };
        (stage, reason)
    };
    let (stage, reason) = failure(status(404));
    assert_eq!(stage, Stage::Http);
    assert_eq!(reason, "the ACS answered 404 Not Found to POST /cwmp: check the path of cwmp.acs_url");
    let (stage, reason) =
        failure(Response { challenge: Some("Basic realm=\"x\"".to_owned()), ..status(401) });
    assert_eq!(stage, Stage::Auth);
    assert!(reason.contains("Basic realm=\"x\""), "{reason}");
    let (stage, reason) = failure(Response { location: Some("http://b/".to_owned()), ..status(302) });
    assert_eq!(stage, Stage::Redirect);
    assert!(reason.contains("http://b/"), "{reason}");
    assert_eq!(failure(status(500)).0, Stage::Http);
    assert_eq!(failure(Response { status: 500, ..inform_response() }).0, Stage::Http);
    assert_eq!(failure(status(418)).0, Stage::Http);
}

#[test]
fn a_supervisor_that_ended_the_session_ends_it_here() {
    let talk = Talk::start().hears(inform_response()).gets(Reply::NoSession);
    assert_eq!(talk.failure(), (Stage::Worker, "the supervisor has ended this session"));
}

#[test]
fn an_acs_that_never_stops_asking_is_stopped() {
    let mut talk = Talk::informed(inform_response());
    for _ in 0..MAX_RPCS {
        talk = talk.hears(envelope("1", "", "<c:GetRPCMethods/>"));
        talk.posted();
    }
    assert_eq!(talk.hears(envelope("1", "", "<c:GetRPCMethods/>")).failure().0, Stage::Soap);
}

#[test]
fn a_truncated_message_fails_the_session_at_every_byte() {
    let whole = inform_response().body;
    for length in 1..whole.len() {
        let cut = Response { status: 200, body: whole.slice(..length), ..Response::default() };
        assert_eq!(Talk::start().hears(cut).failure().0, Stage::Soap, "{length}");
    }
}
