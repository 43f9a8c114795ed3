//! `apply confirm`: a change that keeps the device from its ACS is undone, and a good one stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::unused_port;
use tests::device::PATIENCE;
use tests::{Acs, Device};

fn connected(acs: &Acs) -> Device {
    let device = Device::builder().factory("cwmp.acs_url", &format!("\"{}\"", acs.url())).start();
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    device
}

#[test]
fn a_url_that_leads_nowhere_is_undone_and_the_acs_told_0_bootstrap() {
    let acs = Acs::start();
    let mut device = connected(&acs);
    device.ctl_ok(&["set", &format!("cwmp.acs_url=http://127.0.0.1:{}/", unused_port())]);
    device.ctl_ok(&["apply", "confirm", "1"]);
    let status = device.ctl_ok(&["cwmp", "show", "status"]);
    assert!(status.contains("confirm until") && status.contains("cwmp.acs_url"), "{status}");
    device.kill_supervisor();
    device.start_again();
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["0 BOOTSTRAP"]);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    assert_eq!(device.ctl_ok(&["get", "cwmp.acs_url"]).trim(), acs.url());
    let log = device.ctl_ok(&["cwmp", "show", "log"]);
    assert!(log.contains("rolled back: the change of cwmp.acs_url"), "{log}");
}

#[test]
fn a_session_with_the_new_acs_makes_it_stay() {
    let (old, new) = (Acs::start(), Acs::start());
    let device = connected(&old);
    device.ctl_ok(&["set", &format!("cwmp.acs_url={}", new.url())]);
    device.ctl_ok(&["apply", "confirm", "1440"]);
    new.wait_sessions(1, PATIENCE);
    device.wait_status("nothing waits", |s| s["waiting"].as_array().unwrap().is_empty());
    assert_eq!(device.ctl_ok(&["get", "cwmp.acs_url"]).trim(), new.url());
    assert_eq!(device.ctl(&["confirm"]).status, 1, "nothing is left to confirm");
}

#[test]
fn a_change_that_is_not_about_the_acs_opens_a_session_at_once_too() {
    let acs = Acs::start();
    let device = connected(&acs);
    device.ctl_ok(&["set", "cwmp.provisioning_code=new"]);
    device.ctl_ok(&["apply", "confirm", "5"]);
    acs.wait_sessions(2, PATIENCE);
    device.wait_status("nothing waits", |s| s["waiting"].as_array().unwrap().is_empty());
    assert_eq!(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim(), "new");
}
