//! An ACS that sends the device elsewhere: followed anywhere in a session, so many times, and for this session only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::net::Ipv4Addr;

use tests::acs::envelope::{get_parameter_values, get_rpc_methods};
use tests::acs::{Ending, Gate, Message, Scheme, rules};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn device() -> Device {
    Device::builder().factory("cwmp.retry_min_wait", "60000").start()
}

fn path(message: &Message) -> &str {
    message.head.split(' ').nth(1).unwrap()
}

#[test]
fn each_redirect_of_the_inform_is_followed_for_this_session_only() {
    let acs = Acs::start();
    let device = device();
    for (n, status) in [301, 302, 307, 308].into_iter().enumerate() {
        acs.redirect(0, status, "/elsewhere?token=1");
        acs.plan(Plan::new().send(get_rpc_methods()));
        if n == 0 {
            device.use_acs(&acs.url());
        } else {
            device.ctl_ok(&["cwmp", "inform"]);
        }
        let sessions = acs.wait_sessions(n + 1, PATIENCE);
        let session = &sessions[n];
        assert_eq!(session.ending, Ending::Clean, "{status}");
        assert!(session.from_cpe().all(|m| path(m) == "/elsewhere?token=1"), "{status}");
        let first = acs.redirected()[n].clone();
        assert_eq!(path(&first), "/cwmp", "{status}: each session begins at the configured URL");
        assert_eq!(first.body, session.nth("Inform", 0).body, "{status}: the same Inform");
        device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    }
    let url = device.ctl_ok(&["show", "cwmp"]);
    assert!(url.contains(&acs.url()) && !url.contains("elsewhere"), "{url}");
}

#[test]
fn any_message_may_be_redirected_and_no_other_host_gets_the_cookies() {
    let acs = Acs::start();
    let other = acs.also_at(OTHER);
    // The empty POST goes to the other host, the answer of the read back to the first.
    acs.plan(Plan::new().send(get_rpc_methods()).send(get_parameter_values(&["Device.DeviceInfo."])));
    acs.redirect(1, 302, &other);
    acs.redirect(4, 307, &acs.url());
    let device = device();
    device.use_acs(&acs.url());
    let session = acs.wait_sessions(1, PATIENCE)[0].clone();
    assert_eq!(session.ending, Ending::Clean);
    let kinds = ["Inform", "empty POST", "GetRPCMethodsResponse", "GetParameterValuesResponse"];
    assert_eq!(session.cpe_kinds(), kinds);
    let messages: Vec<_> = session.from_cpe().collect();
    let host = |n: usize| messages[n].header("Host").unwrap().split(':').next().unwrap().to_owned();
    let hosts: Vec<_> = (0..4).map(host).collect();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.1"]);
    let cookies: Vec<_> = messages.iter().map(|m| rules::cookies_of(m).len()).collect();
    // Two of the InformResponse and that of each redirect, each to the host that set it.
    assert_eq!(cookies, [0, 0, 0, 3], "{cookies:?}");
    let redirected = acs.redirected();
    assert_eq!(redirected[1].body, messages[3].body, "the same answer");
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
}

#[test]
fn five_in_a_row_are_followed_and_the_sixth_is_a_loop() {
    let acs = Acs::start();
    let device = device();
    (0..5).for_each(|n| acs.redirect(n, 302, &format!("/{}?secret=1", n + 1)));
    device.use_acs(&acs.url());
    let session = acs.wait_sessions(1, PATIENCE)[0].clone();
    assert_eq!((session.ending.clone(), path(session.nth("Inform", 0))), (Ending::Clean, "/5?secret=1"));
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    (0..6).for_each(|n| acs.redirect(n, 307, &format!("/{}?secret=1", n + 1)));
    device.ctl_ok(&["cwmp", "inform"]);
    let status = device.wait_status("failed", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "redirect", "{status:#}");
    let reason = status["acs"]["reason"].as_str().unwrap();
    assert!(reason.contains("redirect loop") && reason.contains("/5 -> http"), "{reason}");
    assert!(!reason.contains("secret") && !device.log().contains("secret=1"), "{reason}");
    assert_eq!(acs.redirected().len(), 11);
}

#[test]
fn a_redirect_that_leads_nowhere_fails_the_session() {
    for (location, said) in
        [("ftp://127.0.0.1/", "http:// or https://"), ("http://a:b@127.0.0.1/", "user name or password")]
    {
        let acs = Acs::start();
        acs.redirect(0, 302, location);
        let device = device();
        device.use_acs(&acs.url());
        let status = device.wait_status("failed", |s| s["acs"]["state"] == "disconnected");
        assert_eq!(status["acs"]["stage"], "redirect", "{status:#}");
        assert!(status["acs"]["reason"].as_str().unwrap().contains(said), "{status:#}");
    }
}

#[test]
fn the_new_place_asks_for_its_own_login_and_the_same_password_is_good() {
    for scheme in [Scheme::Basic, Scheme::Digest("MD5", "auth")] {
        let acs = Acs::start();
        let other = acs.also_at(OTHER);
        acs.guard(Gate::new(scheme, "joe", "canary secret"));
        acs.plan(Plan::new().send(get_rpc_methods()));
        // The request behind the gate: the empty POST.
        acs.redirect(1, 302, &other);
        let device = Device::builder()
            .factory("cwmp.acs_username", "\"joe\"")
            .factory("cwmp.acs_password", "\"canary secret\"")
            .factory("cwmp.retry_min_wait", "60000")
            .start();
        device.use_acs(&acs.url());
        let sessions = acs.wait_sessions(1, PATIENCE);
        assert_eq!(sessions[0].ending, Ending::Clean, "{:?}\n{}", acs.at_the_gate(), device.log());
        let seen = acs.at_the_gate();
        let given: Vec<_> = seen.iter().map(|(_, login)| login.is_some()).collect();
        // Inform twice, the empty POST; at the new host it is asked again before anything is said.
        assert_eq!(given, [false, true, true, false, true, true], "{scheme:?}");
    }
}
