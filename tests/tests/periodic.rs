//! Periodic Informs: they come by themselves, on request, and not when they are off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::envelope::set_parameter_values;
use tests::acs::{Ending, rules};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

#[test]
fn they_come_at_the_interval_and_carry_their_event_alone() {
    let acs = Acs::start();
    let device = Device::builder().factory("cwmp.periodicinforminterval", "60").start();
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(4, PATIENCE);
    assert_eq!(sessions[0].inform().event_codes(), ["0 BOOTSTRAP", "1 BOOT"]);
    for session in &sessions[1..4] {
        assert_eq!(session.inform().event_codes(), ["2 PERIODIC"]);
        assert_eq!(session.inform().retry_count, 0);
        assert_eq!(session.ending, Ending::Clean);
    }
    rules::assert_kept(&sessions[..4]);
}

#[test]
fn a_person_asks_for_one_now() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["2 PERIODIC"]);
    rules::assert_kept(&sessions);
}

#[test]
fn an_interval_set_by_the_acs_counts_at_once() {
    let acs = Acs::start();
    let interval = "Device.ManagementServer.PeriodicInformInterval";
    acs.plan(Plan::new().send(set_parameter_values(&[(interval, "xsd:unsignedInt", "60")], "")));
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    // The factory interval is a day: without the new one nothing would come.
    let sessions = acs.wait_sessions(3, PATIENCE);
    assert_eq!(sessions[2].inform().event_codes(), ["2 PERIODIC"]);
}

#[test]
fn they_do_not_come_when_they_are_off() {
    let acs = Acs::start();
    let device = Device::builder()
        .factory("cwmp.periodicinforminterval", "1")
        .factory("cwmp.periodicinformenable", "false")
        .start();
    device.use_acs(&acs.url());
    // An interval of ten milliseconds would put others between the sessions that are asked for.
    for number in 1..=3 {
        let sessions = acs.wait_sessions(number, PATIENCE);
        assert_eq!(sessions.len(), number);
        device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        device.ctl_ok(&["cwmp", "inform"]);
    }
    assert_eq!(acs.wait_sessions(4, PATIENCE).len(), 4);
}

#[test]
fn restart_replaces_the_worker_and_asks_for_a_session() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let before = device.status()["worker"]["pid"].clone();
    device.ctl_ok(&["cwmp", "restart"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["2 PERIODIC"]);
    let after = device.status()["worker"]["pid"].clone();
    assert!(before.is_u64() && after.is_u64() && before != after, "{before} then {after}");
}
