//! What old ACSs send and do, which is nearly right: the session goes on all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::envelope::{Envelope, get_rpc_methods};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";

fn session(plan: Plan, settings: &str) -> (Acs, Device, Session) {
    let acs = Acs::start();
    acs.plan(plan);
    let device = Device::builder().factory("cwmp.retry_min_wait", "60000").extra_settings(settings).start();
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(1, PATIENCE);
    (acs, device, sessions[0].clone())
}

/// A SetParameterValues as old ACSs write it: prefixes of nobody, no namespace, indented, no ParameterKey.
fn old_set() -> Envelope {
    Envelope::Raw(format!(
        "<soapenv:Envelope>\n  <soapenv:Header>\n    <cwmp:ID soapenv:mustUnderstand=\"1\">old</cwmp:ID>\n    \
         <cwmp:NoMoreRequests soapenv:mustUnderstand=\"1\">0</cwmp:NoMoreRequests>\n  </soapenv:Header>\n  \
         <soapenv:Body encodingStyle:x=\"y\">\n    <SetParameterValues>\n      <ParameterList>\n        \
         <ParameterValueStruct>\n          <Name>\n            {INTERVAL}\n          </Name>\n          \
         <Value xsi:type=\"xsd:unsignedInt\">\n            4321\n          </Value>\n        \
         </ParameterValueStruct>\n      </ParameterList>\n    </SetParameterValues>\n  </soapenv:Body>\n\
         </soapenv:Envelope>\n"
    ))
}

#[test]
fn a_set_in_the_manner_of_old_is_done_and_answered() {
    let (_acs, device, session) = session(Plan::new().send(old_set()), "");
    assert_eq!(session.ending, Ending::Clean, "{:?}\n{}", session.cpe_kinds(), device.log());
    let answer = &session.nth("SetParameterValuesResponse", 0).body;
    assert_eq!(decode::set_status(answer), 0);
    assert_eq!(decode::header_id(answer).as_deref(), Some("old"));
    assert!(device.ctl_ok(&["show", "cwmp"]).contains("4321"));
}

#[test]
fn prefixes_that_nobody_declared_fail_a_strict_device() {
    let (_acs, device, session) = session(Plan::new().send(old_set()), "[acs]\nlenient = false\n");
    assert_ne!(session.ending, Ending::Clean);
    let status = device.wait_status("failed", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "soap", "{status:#}");
    let reason = status["acs"]["reason"].as_str().unwrap();
    assert!(reason.contains("prefix of soapenv:Envelope is not declared"), "{reason}");
}

#[test]
fn odd_heads_of_http_are_read() {
    let (_acs, device, session) = session(Plan::new().odd_heads().send(get_rpc_methods()), "");
    assert_eq!(session.ending, Ending::Clean, "{}", device.log());
    assert_eq!(session.cpe_kinds(), ["Inform", "empty POST", "GetRPCMethodsResponse"]);
    assert_eq!(rules::cookies_of(session.nth("empty POST", 0)).len(), 2);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
}
