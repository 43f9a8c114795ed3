//! The two logs: what a person and the ACS did is found again, and readable without the worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use serde_json::Value as Json;
use tests::acs::envelope::{get_parameter_values, set_parameter_values};
use tests::device::PATIENCE;
use tests::process::wait_until;
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";

fn log(device: &Device, words: &[&str]) -> Vec<Json> {
    let text = device.ctl_ok(&[&["--json", "cwmp", "show"], words].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The client log once it tells of a session's end.
fn client_log(device: &Device) -> Vec<Json> {
    let mut lines = Vec::new();
    wait_until("the end of the session in the client log", || {
        lines = log(device, &["client", "log"]);
        lines.iter().any(|line| line["entry"]["Client"]["what"] == "session closed")
    });
    lines
}

/// A session in which the ACS reads, sets badly and sets well.
fn device_with_a_session() -> (Acs, Device) {
    let acs = Acs::start();
    acs.plan(
        Plan::new()
            .send(get_parameter_values(&[INTERVAL]))
            .send(set_parameter_values(&[("Device.DeviceInfo.SerialNumber", "xsd:string", "no-value-1")], ""))
            .send(set_parameter_values(&[(INTERVAL, "xsd:unsignedInt", "600")], "k")),
    );
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    (acs, device)
}

#[test]
fn the_client_log_tells_a_session() {
    let (_acs, device) = device_with_a_session();
    let lines: Vec<Json> =
        client_log(&device).into_iter().map(|line| line["entry"]["Client"].clone()).collect();
    let told: Vec<_> =
        lines.iter().map(|l| (l["what"].as_str().unwrap(), l["detail"].as_str().unwrap())).collect();
    assert_eq!(told[0], ("session opened", "to deliver events: 0 BOOTSTRAP, 1 BOOT"));
    assert_eq!(told[1], ("GetParameterValues", &*format!("1: {INTERVAL} -> 1 entry")));
    assert_eq!(told[2].0, "SetParameterValues");
    assert!(told[2].1.contains("fault 9003") && told[2].1.contains("9008"), "{told:?}");
    assert_eq!(told[3], ("SetParameterValues", &*format!("1: {INTERVAL} -> done, status 0")));
    assert_eq!(told[4], ("session closed", "succeeded"));
    assert!(lines[1..].iter().all(|line| line["took_ms"].is_u64() && line["session"] == 1), "{lines:?}");
    let text = device.ctl_ok(&["cwmp", "show", "client", "log"]);
    assert!(!text.contains("no-value-1"), "values are not logged: {text}");
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn the_config_log_tells_who_changed_what_and_the_worker_need_not_run() {
    let (_acs, device) = device_with_a_session();
    client_log(&device);
    let lines: Vec<Json> =
        log(&device, &["log"]).into_iter().map(|line| line["entry"]["Change"].clone()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((lines[0]["name"].as_str(), lines[0]["source"].as_str()), (Some("cwmp.acs_url"), Some("cli")));
    let theirs = &lines[1];
    for (field, wanted) in [("who", "acs"), ("source", "acs"), ("old", "86400"), ("new", "600")] {
        assert_eq!(theirs[field], wanted, "{theirs}");
    }
    assert_eq!(theirs["in_use"], true, "{theirs}");
    assert!(theirs["revision"].as_u64() > lines[0]["revision"].as_u64(), "{lines:?}");

    let (first, last) = (log(&device, &["log", "--limit", "1"]), log(&device, &["log", "--since", "1h"]));
    assert_eq!((first.len(), last.len()), (1, 2));
    assert_eq!(first[0]["id"], last[1]["id"]);
    assert_eq!(device.ctl(&["cwmp", "show", "log", "--since", "whenever"]).status, 2);
}

#[test]
fn the_logs_survive_a_restart_and_need_no_worker() {
    let mut device = Device::builder().external_worker().start();
    device.ctl_ok(&["set", "cwmp.provisioning_code=A"]);
    device.ctl_ok(&["apply"]);
    let before = log(&device, &["log"])[0]["entry"]["Change"].clone();
    assert_eq!(before["in_use"], false, "{before}");
    device.stop();
    device.start_again();
    device.ctl_ok(&["set", "cwmp.acs_url=http://a.example.org/"]);
    device.ctl_ok(&["apply"]);
    let lines = log(&device, &["log"]);
    assert_eq!(lines.len(), 2);
    let after = &lines[1]["entry"]["Change"];
    assert!(after["revision"].as_u64() > before["revision"].as_u64(), "{lines:?}");
    assert!(log(&device, &["client", "log"]).is_empty());
}

#[test]
fn the_configuration_is_shown_in_both_forms_with_what_is_pending() {
    let device = Device::builder().start();
    device.ctl_ok(&["set", "cwmp.provisioning_code=later"]);
    let text = device.ctl_ok(&["cwmp", "show", "config"]);
    for wanted in
        ["Device.ManagementServer.PeriodicInformInterval = 86400", "Inform Interval: 86400", "pending: later"]
    {
        assert!(text.contains(wanted), "no {wanted} in {text}");
    }
}
