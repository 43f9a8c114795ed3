//! Which version of CWMP a session speaks: offered, agreed on, fallen back to, remembered and pinned.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use nix::sys::signal::Signal;
use tests::acs::envelope::{envelope, fault, get_parameter_values, get_rpc_methods, rpc};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::process::signal;
use tests::{Acs, Device, Plan, Trouble};

/// The names of the namespaces of the device's messages, in order.
fn namespaces(session: &Session) -> Vec<String> {
    let envelopes = session.from_cpe().filter(|message| message.is_cpe_envelope());
    let of = |message: &tests::acs::Message| decode::cwmp_namespace(&message.body).unwrap();
    envelopes.map(of).map(|urn| urn.trim_start_matches("urn:dslforum-org:").to_owned()).collect()
}

/// The next session that a person asks for.
fn asked(acs: &Acs, device: &Device) -> Session {
    let before = acs.sessions_so_far();
    device.ctl_ok(&["cwmp", "inform"]);
    acs.wait_sessions(before + 1, PATIENCE)[before].clone()
}

/// A device whose retries are far away.
fn device() -> Device {
    Device::builder().factory("cwmp.retry_min_wait", "60000").start()
}

fn session(plan: Plan) -> (Acs, Device, Session) {
    let acs = Acs::start();
    acs.plan(plan);
    let device = device();
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(1, PATIENCE);
    rules::assert_kept(&sessions);
    assert_eq!(sessions[0].ending, Ending::Clean);
    (acs, device, sessions[0].clone())
}

#[test]
fn versions_and_session_timeout_are_offered_in_the_inform_and_nowhere_else() {
    let (_acs, _device, session) = session(Plan::new().send(get_rpc_methods()).send(rpc("Unknown")));
    let inform = &session.nth("Inform", 0).body;
    let versions = "<cwmp:SupportedCWMPVersions soap:mustUnderstand=\"0\">1.0,1.1,1.2,1.3,1.4</cwmp:SupportedCWMPVersions>";
    assert!(inform.contains(versions), "{inform}");
    let timeout = "<cwmp:SessionTimeout soap:mustUnderstand=\"0\">60</cwmp:SessionTimeout>";
    assert!(inform.contains(timeout), "{inform}");
    for other in ["GetRPCMethodsResponse", "Fault"] {
        let body = &session.nth(other, 0).body;
        assert!(!body.contains("SupportedCWMPVersions") && !body.contains("SessionTimeout"), "{body}");
    }
    assert_eq!(namespaces(&session), ["cwmp-1-2"; 3]);
}

#[test]
fn the_session_speaks_the_namespace_that_the_acs_answers_in() {
    for name in ["cwmp-1-0", "cwmp-1-1", "cwmp-1-2"] {
        let plan = Plan::new()
            .in_namespace(name)
            .send(get_rpc_methods())
            .send(get_parameter_values(&["Device.DeviceInfo."]))
            .send(rpc("Unknown"));
        let (_acs, _device, session) = session(plan);
        assert_eq!(namespaces(&session), ["cwmp-1-2", name, name, name]);
    }
}

#[test]
fn use_cwmp_version_decides() {
    for (version, name) in [("1.0", "cwmp-1-0"), ("1.1", "cwmp-1-1"), ("1.4", "cwmp-1-2")] {
        let header =
            format!("<cwmp:UseCWMPVersion soap:mustUnderstand=\"1\">{version}</cwmp:UseCWMPVersion>");
        let (_acs, _device, session) = session(Plan::new().inform_header(&header).send(get_rpc_methods()));
        assert_eq!(namespaces(&session), ["cwmp-1-2", name]);
    }
}

#[test]
fn an_acs_of_old_is_met_at_its_version_which_is_remembered_over_deaths() {
    let acs = Acs::start();
    let mismatch = |text: &str| envelope("urn:dslforum-org:cwmp-1-0", "1", text);
    acs.plan(Plan::at_inform(Trouble::Status(400)));
    acs.plan(Plan::at_inform(Trouble::Body(mismatch(&fault(8006, "no")))));
    let mut device = device();
    device.use_acs(&acs.url());
    assert_eq!(namespaces(&acs.wait_sessions(1, PATIENCE)[0]), ["cwmp-1-2"]);
    let status = device.wait_status("failed", |s| s["retry_count"] == 1);
    let reason = status["acs"]["reason"].as_str().unwrap_or_default();
    assert!(reason.ends_with("the next try offers CWMP 1.1"), "{reason}");
    assert_eq!(namespaces(&asked(&acs, &device)), ["cwmp-1-1"]);
    device.wait_status("failed again", |s| s["retry_count"] == 2);
    let good = asked(&acs, &device);
    assert_eq!((good.ending.clone(), namespaces(&good)), (Ending::Clean, vec!["cwmp-1-0".to_owned()]));
    assert!(!good.nth("Inform", 0).body.contains("SupportedCWMPVersions"));
    rules::assert_kept(&[good]);

    // The worker is killed, then the supervisor: the version stays.
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    let pid = status["worker"]["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), Signal::SIGKILL);
    device.wait_status("another worker", |s| s["worker"]["pid"].as_u64().is_some_and(|new| new != pid));
    assert_eq!(namespaces(&asked(&acs, &device)), ["cwmp-1-0"]);
    device.kill_supervisor();
    device.start_again();
    assert_eq!(namespaces(&asked(&acs, &device)), ["cwmp-1-0"]);

    // Another URL is another ACS.
    let before = acs.sessions_so_far();
    device.use_acs(&format!("{}/other", acs.url()));
    let session = acs.wait_sessions(before + 1, PATIENCE)[before].clone();
    assert_eq!(namespaces(&session), ["cwmp-1-2"]);
}

#[test]
fn a_failure_of_another_kind_changes_no_version() {
    let acs = Acs::start();
    let denied = envelope("urn:dslforum-org:cwmp-1-2", "1", &fault(8001, "no"));
    let troubles = [
        Trouble::Status(403),
        Trouble::Status(404),
        Trouble::Status(503),
        Trouble::Close,
        Trouble::WrongRoot,
        Trouble::Body(denied),
    ];
    let count = troubles.len();
    troubles.into_iter().for_each(|trouble| acs.plan(Plan::at_inform(trouble)));
    let device = device();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    for failures in 1..=count {
        device.wait_status("failed", |s| s["retry_count"] == failures);
        assert_eq!(namespaces(&asked(&acs, &device)), ["cwmp-1-2"], "after failure {failures}");
    }
}

#[test]
fn a_pinned_version_is_offered_and_never_left() {
    let acs = Acs::start();
    acs.plan(Plan::at_inform(Trouble::Status(500)));
    let device = device();
    device.ctl_ok(&["set", "cwmp.max_version=1.1"]);
    device.use_acs(&acs.url());
    assert_eq!(namespaces(&acs.wait_sessions(1, PATIENCE)[0]), ["cwmp-1-1"]);
    let status = device.wait_status("failed", |s| s["retry_count"] == 1);
    assert!(!status["acs"]["reason"].as_str().unwrap().contains("next try"), "{status:#}");
    assert_eq!(namespaces(&asked(&acs, &device)), ["cwmp-1-1"]);
    device.ctl_ok(&["set", "cwmp.max_version=1.3"]);
    device.ctl_ok(&["apply"]);
    let session = asked(&acs, &device);
    assert_eq!(namespaces(&session), ["cwmp-1-2"]);
    let inform = &session.nth("Inform", 0).body;
    assert!(inform.contains("SessionTimeout") && !inform.contains("SupportedCWMPVersions"), "{inform}");
}
