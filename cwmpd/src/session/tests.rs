//! Whole sessions against a scripted ACS and a fake supervisor: bytes in, bytes out.

use ipc_proto::{
    Fault, FaultCode, ParamType,
    listing::Listing,
    text::CommandKey,
    worker::{CpeRequest, DeviceId, Event, EventCode, EventId, Page, Read, SessionId, SetStatus},
};

use super::{listening::MAX_RPCS, *};

const ID: SessionId = SessionId(7);

fn cx() -> Cx {
    Cx {
        current_time: "2026-03-04T05:06:07+01:00".to_owned(),
        target: "/cwmp".to_owned(),
        offered: CwmpVersion::V1_4,
        session_timeout: 60,
        lenient: true,
    }
}

fn opened() -> SessionOpened {
    let event = |id, code| Event { id: EventId(id), code, command_key: CommandKey::default() };
    SessionOpened {
        session: ID,
        retry_count: 0,
        device: DeviceId::default(),
        events: vec![event(4, EventCode::Bootstrap), event(9, EventCode::Boot)],
        parameters: Listing::default(),
        requests: Vec::new(),
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
        actions.retain(|action| !matches!(action, Action::Tell(_) | Action::VersionRefused(_)));
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
    assert_eq!(
        text,
        "GetRPCMethodsSetParameterValuesGetParameterValuesGetParameterNamesSetParameterAttributesGetParameterAttributesAddObjectDeleteObjectRebootFactoryResetScheduleInform"
    );
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
fn what_the_device_is_told_to_do_is_stored_and_then_answered_by_an_empty_response() {
    let key = CommandKey::new("k").unwrap();
    for (rpc, query, response) in [
        (
            "<c:Reboot><CommandKey>k</CommandKey></c:Reboot>",
            Query::Reboot { session: ID, command_key: key.clone() },
            "RebootResponse",
        ),
        ("<c:FactoryReset/>", Query::FactoryReset { session: ID }, "FactoryResetResponse"),
        (
            "<c:ScheduleInform><DelaySeconds>60</DelaySeconds><CommandKey>k</CommandKey></c:ScheduleInform>",
            Query::ScheduleInform { session: ID, delay_seconds: 60, command_key: key },
            "ScheduleInformResponse",
        ),
    ] {
        let talk = Talk::informed(inform_response()).hears(envelope("x3", "", rpc));
        assert_eq!(talk.query(), &query);
        let (id, name, text) = talk.gets(Reply::Done).posted();
        assert_eq!((id.as_deref(), &*name, &*text), (Some("x3"), response, ""));
    }
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
    let talk = Talk::informed(inform_response()).hears(envelope("x5", "", "<c:GetOptions/>"));
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
    for _ in 1..TRIES {
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
        failure(Response { challenge: Some("Basic realm=\"x\"".to_owned()), ..status(407) });
    assert_eq!(stage, Stage::Auth);
    assert!(reason.contains("Basic realm=\"x\""), "{reason}");
    assert_eq!(failure(status(303)).0, Stage::Http);
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

/// What a first message makes of the version: the one that is refused, and the stage of the failure.
fn refused_version(cx: &Cx, response: Response) -> Option<CwmpVersion> {
    let (session, _) = Session::start(&opened(), cx);
    let (_, actions) = session.step(cx, Input::Response(response));
    assert!(matches!(actions.last(), Some(Action::Close(Outcome::Failed(_)))), "{actions:?}");
    actions.into_iter().find_map(|action| match action {
        Action::VersionRefused(version) => Some(version),
        _ => None,
    })
}

#[test]
fn an_acs_that_takes_no_such_version_is_told_from_one_that_is_broken() {
    let soap_fault = |code: &str, status| {
        let body = format!("<s:Fault><faultcode>{code}</faultcode><faultstring>x</faultstring></s:Fault>");
        Response { status, ..envelope("1", "", &body) }
    };
    let older = Cx { offered: CwmpVersion::V1_1, ..cx() };
    for (what, refusal) in [
        ("8006", fault(8006)),
        ("8006 with 500", Response { status: 500, ..fault(8006) }),
        ("VersionMismatch", soap_fault("s:VersionMismatch", 200)),
        ("MustUnderstand", soap_fault("MustUnderstand", 200)),
        ("a SOAP fault without detail, with 500", soap_fault("s:Client", 500)),
        ("400", status(400)),
        ("500", status(500)),
    ] {
        assert_eq!(refused_version(&cx(), refusal.clone()), Some(CwmpVersion::V1_4), "{what}");
        assert_eq!(refused_version(&older, refusal), Some(CwmpVersion::V1_1), "{what}");
    }
    for (what, failure) in [
        ("8001", fault(8001)),
        ("8001 with 500", Response { status: 500, ..fault(8001) }),
        ("a SOAP fault without detail, with 200", soap_fault("s:Client", 200)),
        ("403", status(403)),
        ("404", status(404)),
        ("503", status(503)),
        ("nothing", status(204)),
    ] {
        assert_eq!(refused_version(&cx(), failure), None, "{what}");
    }
    // After the Inform it says nothing of versions.
    let (_, actions) = Talk::informed(inform_response()).session.step(&cx(), Input::Response(status(500)));
    assert_eq!(actions.len(), 1, "{actions:?}");
}

/// The namespace that our next message has after this InformResponse, from an ACS that was offered this.
fn settles_on(offered: CwmpVersion, namespace: &str, header: &str) -> Result<String, String> {
    let cx = Cx { offered, ..cx() };
    let in_namespace = |response: Response| {
        let text = String::from_utf8(response.body.to_vec()).unwrap();
        Response { body: text.replace("urn:dslforum-org:cwmp-1-2", namespace).into(), ..response }
    };
    let (session, _) = Session::start(&opened(), &cx);
    let response =
        envelope("1", header, "<c:InformResponse><MaxEnvelopes>1</MaxEnvelopes></c:InformResponse>");
    let (session, actions) = session.step(&cx, Input::Response(in_namespace(response)));
    if let Some(Action::Close(Outcome::Failed(failure))) = actions.last() {
        return Err(failure.reason.clone());
    }
    let (session, _) = session.step(&cx, Input::Reply(Reply::Done));
    let request = in_namespace(envelope("x", "", "<c:GetRPCMethods/>"));
    let (_, mut actions) = session.step(&cx, Input::Response(request));
    let Some(Action::Post(Post::Response(bytes))) = actions.pop() else { panic!("{actions:?}") };
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (_, rest) = text.split_once("xmlns:cwmp=\"").unwrap();
    Ok(rest.split('"').next().unwrap().rsplit('-').next().unwrap().to_owned())
}

#[test]
fn the_session_speaks_what_the_inform_response_settles_on() {
    let newest = CwmpVersion::V1_4;
    let urn = |n: u32| format!("urn:dslforum-org:cwmp-1-{n}");
    let wants =
        |version: &str| format!("<c:UseCWMPVersion s:mustUnderstand='1'>{version}</c:UseCWMPVersion>");
    for (namespace, wanted) in [(0, "0"), (1, "1"), (2, "2"), (4, "2")] {
        assert_eq!(settles_on(newest, &urn(namespace), "").as_deref(), Ok(wanted));
    }
    assert_eq!(settles_on(CwmpVersion::V1_0, &urn(2), "").as_deref(), Ok("0"), "never more than was offered");
    assert_eq!(settles_on(newest, &urn(2), &wants("1.4")).as_deref(), Ok("2"));
    assert_eq!(settles_on(newest, &urn(2), &wants("1.0")).as_deref(), Ok("0"), "the header decides");
    let reason = settles_on(newest, &urn(2), &wants("1.5")).unwrap_err();
    assert!(reason.contains("CWMP 1.5") && reason.contains("1.4"), "{reason}");
    assert!(settles_on(CwmpVersion::V1_1, &urn(1), &wants("1.2")).is_err());
}

/// A session with requests of ours, after its InformResponse and the acknowledgement.
fn with_requests(count: usize, response: Response) -> Talk {
    let opened = SessionOpened { requests: vec![CpeRequest::GetRpcMethods; count], ..opened() };
    Talk::from(Session::start(&opened, &cx())).hears(response).gets(Reply::Done)
}

impl Talk {
    /// The request of ours that is posted: its header ID and name.
    fn requested(&self) -> (String, String) {
        let Post::Request(bytes) = self.post() else { panic!("{:?}", self.action) };
        let (id, name, _) = parts(bytes);
        (id.unwrap(), name)
    }
}

fn methods(id: &str, header: &str) -> Response {
    envelope(id, header, "<c:GetRPCMethodsResponse><MethodList/></c:GetRPCMethodsResponse>")
}

#[test]
fn our_requests_go_out_one_by_one_before_the_empty_post() {
    let talk = with_requests(2, inform_response());
    assert_eq!(talk.requested(), ("2".to_owned(), "GetRPCMethods".to_owned()));
    let talk = talk.hears(methods("2", ""));
    assert_eq!(talk.requested().0, "3");
    let talk = talk.hears(methods("3", ""));
    assert_eq!(talk.post(), &Post::Empty);
    assert_eq!(talk.hears(status(204)).outcome(), &Outcome::Succeeded);
}

#[test]
fn held_requests_wait_and_go_out_in_the_same_session() {
    let held = envelope("1", &hold("1"), "<c:InformResponse/>");
    let talk = with_requests(1, held);
    assert_eq!(talk.post(), &Post::Empty);
    // Held still: only the answer goes out.
    let talk = talk.hears(envelope("a", &hold("true"), "<c:GetRPCMethods/>"));
    assert_eq!(talk.posted().0.as_deref(), Some("a"));
    let talk = talk.hears(envelope("b", &hold("0"), "<c:GetRPCMethods/>"));
    assert_eq!(talk.posted().0.as_deref(), Some("b"));
    // The ACS has nothing more to say; we have.
    let talk = talk.hears(status(204));
    assert_eq!(talk.requested().0, "2");
    let talk = talk.hears(methods("2", ""));
    assert_eq!(talk.post(), &Post::Empty);
    assert_eq!(talk.hears(status(204)).outcome(), &Outcome::Succeeded);
}

#[test]
fn the_acs_is_answered_while_it_owes_us_an_answer() {
    let talk = with_requests(1, inform_response()).hears(envelope("a", "", "<c:GetRPCMethods/>"));
    assert_eq!(talk.posted().0.as_deref(), Some("a"));
    let talk = talk.hears(methods("2", ""));
    assert_eq!(talk.post(), &Post::Empty);
    assert_eq!(talk.hears(status(204)).outcome(), &Outcome::Succeeded);
}

#[test]
fn an_acs_may_not_leave_a_request_of_ours_unanswered() {
    let talk = with_requests(1, inform_response()).hears(status(204));
    assert_eq!(talk.failure(), (Stage::Soap, "expected GetRPCMethodsResponse, got an empty answer"));
    let talk = with_requests(1, inform_response()).hears(envelope("2", "", "<c:InformResponse/>"));
    let reason = "expected GetRPCMethodsResponse or a request, got InformResponse";
    assert_eq!(talk.failure(), (Stage::Soap, reason));
}

#[test]
fn fault_8005_asks_for_the_identical_request_again_and_others_fail() {
    let mut talk = with_requests(1, inform_response());
    let first = talk.post().clone();
    for _ in 1..TRIES {
        talk = talk.hears(fault(8005));
        assert_eq!(talk.post(), &first);
    }
    let reason = "the ACS answered our GetRPCMethods with fault 8005 (because)";
    assert_eq!(talk.hears(fault(8005)).failure(), (Stage::Fault, reason));
    let reason = "the ACS answered our GetRPCMethods with fault 8001 (because)";
    assert_eq!(with_requests(1, inform_response()).hears(fault(8001)).failure(), (Stage::Fault, reason));
}

#[test]
fn no_more_requests_is_of_no_consequence() {
    let header = "<c:NoMoreRequests s:mustUnderstand='1'>1</c:NoMoreRequests>";
    let talk = with_requests(1, envelope("1", header, "<c:InformResponse/>"));
    assert_eq!(talk.requested().0, "2");
    let talk = Talk::informed(inform_response()).hears(envelope("a", header, "<c:GetRPCMethods/>"));
    assert_eq!(talk.posted().1, "GetRPCMethodsResponse");
}
