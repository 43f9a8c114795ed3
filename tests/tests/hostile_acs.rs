//! An ACS that means harm: each case is told plainly, changes nothing, and is followed by a session that succeeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::time::Duration;

use tests::acs::envelope::{self, get_parameter_values, get_rpc_methods, rpc, set_parameter_values};
use tests::acs::{BlackHole, Ending, Envelope, Session, rules};
use tests::device::PATIENCE;
use tests::process::memory_kib;
use tests::{Acs, Device, Plan, Trouble};

/// The most memory that either daemon may ever have had, in KiB, in a debug build.
const MOST_MEMORY: u64 = 24 * 1024;
/// One CWMP second of the device under test.
const SECOND: Duration = Duration::from_millis(10);

const NAMESPACE: &str = "urn:dslforum-org:cwmp-1-0";

/// What the ACS does once, and what everybody gets to see of it.
struct Case {
    name: &'static str,
    does: Does,
    seen: Seen,
}

enum Does {
    /// In place of the InformResponse, and in another session in place of the first RPC.
    Answers(Trouble),
    /// A session of this plan.
    Plays(Plan),
    /// The Inform is redirected to each of these in turn.
    Redirects(Vec<String>),
}

/// What is seen.
enum Seen {
    /// The session fails at one of these stages; the reason, in the status and in the client log, holds this.
    Failure(&'static [&'static str], &'static str),
    /// The session succeeds; the client log holds this, and the ACS gets such a message, holding that.
    Answer { log: &'static str, kind: &'static str, holds: &'static str },
}

fn fails(
    name: &'static str,
    trouble: Trouble,
    stages: &'static [&'static str],
    reason: &'static str,
) -> Case {
    Case { name, does: Does::Answers(trouble), seen: Seen::Failure(stages, reason) }
}

fn faults(name: &'static str, rpc: Envelope, log: &'static str, code: &'static str) -> Case {
    let seen = Seen::Answer { log, kind: "Fault", holds: code };
    Case { name, does: Does::Plays(Plan::new().send(rpc).send(get_rpc_methods())), seen }
}

/// A whole answer with this body, whatever its bytes are.
fn http(body: &[u8]) -> Trouble {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n", body.len());
    Trouble::Bytes([head.as_bytes(), body].concat())
}

fn body(content: &str) -> Trouble {
    Trouble::Body(envelope::envelope(NAMESPACE, "1", content))
}

/// What no reader takes: the body.
fn bad_bodies() -> Vec<Case> {
    let soap = "http://schemas.xmlsoap.org/soap/envelope/";
    let doctype = |dtd: &str, content: &str| {
        let envelope = envelope::envelope(NAMESPACE, "1", content);
        Trouble::Body(envelope.replacen("?>", &format!("?>{dtd}"), 1))
    };
    let good = envelope::envelope(NAMESPACE, "1", "<cwmp:InformResponse/>");
    vec![
        fails("binary", http(&[0x00, 0xff, 0xfe, 0x80, 0x1b, 0x5b, 0x32, 0x4a]), &["soap"], "not UTF-8"),
        fails("truncated XML", Trouble::TruncatedXml, &["soap"], "ends inside of"),
        fails("200,000 nested tags", body(&"<a>".repeat(200_000)), &["soap"], "nested deeper than 32"),
        fails(
            "a text node of 30 MB",
            body(&format!("<cwmp:InformResponse>{}</cwmp:InformResponse>", "x".repeat(30 << 20))),
            &["http"],
            "more than 4 MiB",
        ),
        fails(
            "an envelope without a Body",
            Trouble::Body(format!("<s:Envelope xmlns:s=\"{soap}\"><s:Header/></s:Envelope>")),
            &["soap"],
            "0 Body elements",
        ),
        fails("a wrong root", Trouble::WrongRoot, &["soap"], "expected a SOAP 1.1 Envelope"),
        fails("an empty Body", body(""), &["soap"], "Body holds 0 elements"),
        fails("two roots", Trouble::Body(format!("{good}<again/>")), &["soap"], "second root element"),
        fails(
            "a DOCTYPE with entities that grow",
            doctype(
                "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>",
                "<cwmp:InformResponse>&b;</cwmp:InformResponse>",
            ),
            &["soap"],
            "DOCTYPE",
        ),
        fails(
            "an entity that is a file",
            doctype("<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>", "<a>&a;</a>"),
            &["soap"],
            "DOCTYPE",
        ),
        fails("an entity of nobody", body("<a>&nobody;</a>"), &["soap"], "unknown entity &nobody;"),
    ]
}

/// What no HTTP client takes.
fn bad_http() -> Vec<Case> {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "h".repeat(200 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "A: b\r\n".repeat(5000));
    let begun = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000000\r\n\r\n";
    vec![
        fails("HTTP 500", Trouble::Status(500), &["http"], "500 Internal Server Error"),
        fails("a header of 200 KB", Trouble::Bytes(long.into_bytes()), &["http"], "head of more than 64 KiB"),
        fails("5,000 headers", Trouble::Bytes(many.into_bytes()), &["http"], "2000 headers"),
        fails(
            "a body, one byte a second for ever",
            Trouble::Drip(begun, SECOND),
            &["timeout"],
            "did not complete",
        ),
        fails(
            "a head, one byte a second for ever",
            Trouble::Drip("HTTP/1.1 200 OK\r\nX:", SECOND),
            &["timeout"],
            "did not answer",
        ),
        fails("the end in mid-body", Trouble::HalfBody, &["tcp"], "before its answer was complete"),
    ]
}

fn redirects(own: &str, dead: &BlackHole) -> Vec<Case> {
    let to = |name, locations, stages, reason| Case {
        name,
        does: Does::Redirects(locations),
        seen: Seen::Failure(stages, reason),
    };
    let refuses = format!("http://127.0.0.1:{}/", tests::acs::unused_port());
    vec![
        to("a redirect to itself", vec![own.to_owned(); 6], &["redirect"], "redirect loop"),
        to("a redirect to a dead host", vec![dead.url()], &["tcp"], "did not take a connection"),
        to("a redirect to a closed port", vec![refuses], &["tcp"], "refused the connection"),
    ]
}

/// Messages that can be read, and ask for what cannot be.
fn bad_rpcs() -> Vec<Case> {
    let nameless = "<cwmp:SetParameterValues><ParameterList><ParameterValueStruct><Value>1</Value></ParameterValueStruct></ParameterList><ParameterKey/></cwmp:SetParameterValues>";
    let nobody_asked = Envelope::Body("<cwmp:TransferCompleteResponse/>".into());
    let thousand = (0..1000).fold(Plan::new(), |plan, _| plan.send(get_rpc_methods()));
    let held = Plan::new().inform_header("<cwmp:HoldRequests>1</cwmp:HoldRequests>");
    let long = "Device.".to_owned() + &"x".repeat(200 << 10);
    let set_long = set_parameter_values(&[(&long, "xsd:string", "1")], "");
    vec![
        faults("GetParameterValues without names", get_parameter_values(&[]), "fault 9003", "9003"),
        faults("a nameless struct", Envelope::Body(nameless.into()), "fault 9003", "9003"),
        faults("an unknown RPC", rpc("FlyAway"), "fault 9000", "9000"),
        faults("reading a name of 200 KB", get_parameter_values(&[&long]), "fault 9005", "9005"),
        faults("setting a name of 200 KB", set_long, "fault 9003", "9005"),
        Case {
            name: "an answer to a question not asked",
            does: Does::Plays(Plan::new().send(nobody_asked)),
            seen: Seen::Failure(&["soap"], "got TransferCompleteResponse"),
        },
        Case {
            name: "requests held, and nothing said",
            does: Does::Plays(held),
            seen: Seen::Failure(&["soap"], "while HoldRequests is true"),
        },
        Case {
            name: "the same cookie 1,000 times",
            does: Does::Plays(Plan::new().cookie_again(1000).send(get_rpc_methods())),
            seen: Seen::Answer {
                log: "succeeded",
                kind: "GetRPCMethodsResponse",
                holds: "SetParameterValues",
            },
        },
        Case {
            name: "a thousand RPCs in one session",
            does: Does::Plays(thousand),
            seen: Seen::Answer {
                log: "succeeded",
                kind: "GetRPCMethodsResponse",
                holds: "SetParameterValues",
            },
        },
    ]
}

/// The client log from the last session's opening on.
fn last_session_in_log(device: &Device) -> String {
    let log = device.ctl_ok(&["cwmp", "show", "client", "log", "--limit", "2000"]);
    // The opening of a very long one is further back than that.
    log.rfind("session opened").map_or(log.clone(), |at| log[at..].to_owned())
}

fn said_in_log(device: &Device, name: &str, words: &str) {
    tests::process::wait_until(&format!("{name}: {words:?} in the client log"), || {
        let log = last_session_in_log(device).replace('\n', " ");
        log.contains("session closed") && log.contains(words)
    });
}

struct Bench {
    acs: Acs,
    device: Device,
}

impl Bench {
    fn start() -> Self {
        let acs = Acs::start();
        // The retry is far away: what failed can be looked at, and a person brings it forward.
        let device = Device::builder()
            .factory("cwmp.retry_min_wait", "60000")
            .factory("cwmp.acs_response_timeout", "100")
            .start();
        device.use_acs(&acs.url());
        let this = Self { acs, device };
        this.acs.wait_sessions(1, PATIENCE);
        this.connected("the first session");
        this
    }

    fn connected(&self, name: &str) {
        let status = self.device.wait_status(name, |s| s["acs"]["state"] == "connected");
        assert_eq!((&status["retry_count"], &status["worker"]["restarts"]), (&0.into(), &0.into()), "{name}");
    }

    fn failed(&self, name: &str, stages: &[&str], reason: &str) {
        let status = self.device.wait_status(name, |s| s["acs"]["state"] == "disconnected");
        let (stage, said) =
            (status["acs"]["stage"].as_str().unwrap(), status["acs"]["reason"].as_str().unwrap());
        assert!(stages.contains(&stage) && said.contains(reason), "{name}: {stage}: {said}");
        assert!(said.len() < 1000 && !said.contains(char::is_control), "{name}: {said:?}");
        assert_eq!((&status["retry_count"], &status["worker"]["restarts"]), (&1.into(), &0.into()), "{name}");
        said_in_log(&self.device, name, "failed: ");
    }

    /// One session that a person asks for, with the plan that is next.
    fn session(&self) -> Session {
        let before = self.acs.sessions_so_far();
        self.device.ctl_ok(&["cwmp", "inform"]);
        self.acs.wait_sessions(before + 1, PATIENCE)[before].clone()
    }

    /// A normal session, after failures or not.
    fn recovers(&self, name: &str, failures: u32) {
        self.acs.plan(Plan::new().send(get_rpc_methods()));
        let session = self.session();
        assert_eq!(session.ending, Ending::Clean, "{name}");
        assert_eq!(session.cpe_kinds(), ["Inform", "empty POST", "GetRPCMethodsResponse"], "{name}");
        assert_eq!(session.inform().retry_count, failures, "{name}");
        rules::assert_kept(&[session]);
        self.connected(name);
    }

    fn hold(&self, case: Case) {
        let name = case.name;
        match (case.does, case.seen) {
            (Does::Answers(trouble), Seen::Failure(stages, reason)) => {
                let later = [Plan::at_inform(trouble.clone()), Plan::new().then(trouble)];
                for (plan, kinds) in later.into_iter().zip([&["Inform"][..], &["Inform", "empty POST"]]) {
                    self.acs.plan(plan);
                    let session = self.session();
                    assert_eq!(
                        (&session.ending, session.cpe_kinds()),
                        (&Ending::Trouble, kinds.iter().map(|k| (*k).to_owned()).collect()),
                        "{name}"
                    );
                    self.failed(name, stages, reason);
                    self.recovers(name, 1);
                }
            }
            (Does::Plays(plan), Seen::Failure(stages, reason)) => {
                self.acs.plan(plan);
                self.device.ctl_ok(&["cwmp", "inform"]);
                self.failed(name, stages, reason);
                self.recovers(name, 1);
            }
            (Does::Redirects(locations), Seen::Failure(stages, reason)) => {
                let before = self.acs.redirected().len();
                locations.iter().enumerate().for_each(|(n, to)| self.acs.redirect(n, 302, to));
                self.device.ctl_ok(&["cwmp", "inform"]);
                self.failed(name, stages, reason);
                assert_eq!(self.acs.redirected().len() - before, locations.len(), "{name}: none is skipped");
                self.recovers(name, 1);
            }
            (Does::Plays(plan), Seen::Answer { log, kind, holds }) => {
                self.acs.plan(plan);
                let session = self.session();
                assert_eq!(session.ending, Ending::Clean, "{name}: {:?}", session.cpe_kinds());
                assert!(session.nth(kind, 0).body.contains(holds), "{name}: {}", session.nth(kind, 0).body);
                rules::assert_kept(&[session]);
                self.connected(name);
                said_in_log(&self.device, name, log);
                self.recovers(name, 0);
            }
            (Does::Answers(_) | Does::Redirects(_), Seen::Answer { .. }) => panic!("{name}: never good"),
        }
    }
}

/// All of these against one device, whose worker stays the same and small.
fn battery(cases: impl FnOnce(&Acs) -> Vec<Case>) {
    let bench = Bench::start();
    let worker = bench.device.worker_pid();
    for case in cases(&bench.acs) {
        let (name, begin) = (case.name, std::time::Instant::now());
        bench.hold(case);
        println!("{name}: {} ms", begin.elapsed().as_millis());
    }
    assert_eq!(bench.device.worker_pid(), worker, "the worker was restarted");
    let supervisor = bench.device.supervisor_pid();
    let memory = [memory_kib(worker, "VmHWM:"), memory_kib(supervisor, "VmHWM:")];
    println!("worker and supervisor had {memory:?} KiB at most");
    assert!(memory.iter().all(|kib| *kib < MOST_MEMORY), "{memory:?} KiB");
}

#[test]
fn bodies_that_cannot_be_read() {
    battery(|_| {
        let mut cases = bad_bodies();
        // In place of an RPC it is the good end of a session, so it is bad at the Inform alone.
        let does = Does::Plays(Plan::at_inform(Trouble::Body(String::new())));
        cases.push(Case { name: "an empty 200", does, seen: Seen::Failure(&["soap"], "empty answer") });
        cases
    });
}

#[test]
fn answers_that_are_no_http() {
    battery(|_| bad_http());
}

#[test]
fn redirects_that_lead_nowhere() {
    let dead = BlackHole::start();
    battery(|acs| redirects(&acs.url(), &dead));
}

#[test]
fn rpcs_that_nobody_should_send() {
    battery(|_| bad_rpcs());
}

#[test]
fn requests_held_for_ever_end_with_the_longest_session() {
    let acs = Acs::start();
    let call = envelope::envelope(NAMESPACE, "x", "<cwmp:GetRPCMethods/>")
        .replace("</soap:Header>", "<cwmp:HoldRequests>1</cwmp:HoldRequests></soap:Header>");
    // More than a session of two seconds has time for, by far.
    let plan = (0..9_999).fold(Plan::new(), |plan, _| plan.send(Envelope::Raw(call.clone())));
    acs.plan(plan.then(Trouble::Silence));
    let device = Device::builder().session_max_s(2).factory("cwmp.retry_min_wait", "60000").start();
    let bench = Bench { acs, device };
    bench.device.use_acs(&bench.acs.url());
    bench.failed("held for ever", &["timeout"], "not over after 2 s");
    bench.recovers("after it", 1);
}

#[test]
fn a_reply_that_crashes_the_worker_does_not_come_back_in_a_hot_loop() {
    let acs = Acs::start();
    for _ in 0..4 {
        acs.plan(Plan::new().send(rpc("CrashNow")));
    }
    let device = Device::builder().env("CWMP_KILL_AT", "worker.heard-CrashNow").start();
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(5, PATIENCE);
    let retries: Vec<_> = sessions[..5].iter().map(|session| session.inform().retry_count).collect();
    assert_eq!(retries, [0, 1, 2, 3, 4]);
    assert!(sessions[..4].iter().all(|session| matches!(session.ending, Ending::Broken(_))));
    // 5, 10, 20, 40 seconds at least, of ten milliseconds each.
    for (n, pair) in sessions[..5].windows(2).enumerate() {
        let gap = pair[1].messages[0].at - pair[0].messages[0].at;
        assert!(gap >= SECOND * (5 << n), "{gap:?} before retry {}", n + 1);
    }
    assert_eq!(sessions[4].ending, Ending::Clean, "without that reply all is well");
    device.wait_log("signal: 6");
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    assert_eq!((&status["retry_count"], &status["worker"]["restarts"]), (&0.into(), &4.into()));
}
