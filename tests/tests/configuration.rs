//! The configuration on the command line: set, apply, save, revert, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::decode;
use tests::acs::envelope::set_parameter_values;
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "cwmp.periodicinforminterval";

fn interval(device: &Device) -> String {
    let text = device.ctl_ok(&["get", INTERVAL]);
    text.chars().filter(char::is_ascii_digit).collect()
}

#[test]
fn set_waits_for_apply_and_save_for_the_next_boot() {
    let mut device = Device::builder().start();
    assert_eq!(interval(&device), "86400");
    device.ctl_ok(&["set", &format!("{INTERVAL}=3600")]);
    let changes = device.ctl_ok(&["show", "changes"]);
    assert!(changes.contains(INTERVAL) && changes.contains("3600") && changes.contains("86400"), "{changes}");
    device.ctl_ok(&["apply"]);
    assert_eq!(interval(&device), "3600");

    // Applied and not saved: it survives the supervisor, not a reboot.
    device.kill_supervisor();
    device.start_again();
    assert_eq!(interval(&device), "3600");
    device.reboot();
    assert_eq!(interval(&device), "86400");

    device.ctl_ok(&["set", &format!("{INTERVAL}=1800")]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    device.kill_supervisor();
    device.reboot();
    assert_eq!(interval(&device), "1800");
}

#[test]
fn revert_forgets_what_was_not_applied() {
    let device = Device::builder().start();
    device.ctl_ok(&["set", &format!("{INTERVAL}=3600")]);
    device.ctl_ok(&["revert"]);
    assert!(!device.ctl_ok(&["show", "changes"]).contains("3600"));
    device.ctl_ok(&["apply"]);
    assert_eq!(interval(&device), "86400");
}

#[test]
fn a_refused_value_is_named_with_what_would_be_taken() {
    let device = Device::builder().start();
    let cases = [
        ("cwmp.periodicinforminterval=0", "1"),
        ("cwmp.periodicinforminterval=soon", "number"),
        ("cwmp.acs_url=ftp://example.org/", "http"),
        ("cwmp.periodicinformenable=perhaps", "0"),
        ("cwmp.con_req_url=http://example.org/", "read-only"),
        ("cwmp.acs_urll=http://example.org/", "cwmp.acs_url"),
    ];
    for (change, told) in cases {
        let output = device.ctl(&["set", change]);
        let name = change.split('=').next().unwrap();
        assert_eq!(output.status, 1, "{change}: {output:?}");
        assert!(output.stderr.contains(name) && output.stderr.contains(told), "{change}: {}", output.stderr);
    }
    assert_eq!(device.ctl(&["get", "cwmp.nothing"]).status, 1);
}

#[test]
fn the_exit_code_tells_usage_from_a_missing_supervisor() {
    let mut device = Device::builder().start();
    assert_eq!(device.ctl(&["frobnicate"]).status, 2);
    assert_eq!(device.ctl(&[]).status, 2);
    device.stop();
    let output = device.ctl(&["show", "cwmp"]);
    assert_eq!(output.status, 3);
    assert!(output.stderr.contains(&device.socket().display().to_string()), "{}", output.stderr);
}

#[test]
fn every_parameter_is_shown_and_no_secret_is() {
    let device = Device::builder().start();
    device.ctl_ok(&["set", "cwmp.acs_password=correct-horse"]);
    let changes = device.ctl_ok(&["show", "changes"]);
    device.ctl_ok(&["apply"]);
    let shown = device.ctl_ok(&["show", "cwmp"]);
    for name in [
        "use_dhcp",
        "acs_url",
        "acs_username",
        "acs_password",
        "periodicinformenable",
        "periodicinforminterval",
        "con_req_url",
        "con_req_enable",
        "con_req_username",
        "con_req_password",
        "manage_upgrade",
        "enable",
        "periodicinformtime",
        "provisioning_code",
        "retry_min_wait",
        "retry_multiplier",
        "acs_response_timeout",
    ] {
        assert!(shown.contains(&format!("cwmp.{name}")), "no {name} in {shown}");
    }
    let said = [shown, changes, device.ctl_ok(&["--json", "show", "cwmp"]), device.log()].concat();
    assert!(!said.contains("correct-horse"), "{said}");
}

#[test]
fn scripts_get_json() {
    let device = Device::builder().start();
    let status = device.status();
    assert_eq!(status["acs"]["state"], "no_url");
    for (group, field) in [
        ("acs", "stage"),
        ("acs", "reason"),
        ("acs", "url"),
        ("acs", "url_source"),
        ("last_session", "started"),
        ("last_session", "ended"),
        ("last_session", "events"),
        ("last_session", "outcome"),
        ("next_session", "at"),
        ("next_session", "why"),
        ("worker", "state"),
        ("worker", "pid"),
        ("worker", "restarts"),
        ("worker", "revision"),
    ] {
        // A group without content yet may be null; one with content has all its fields.
        assert!(
            status[group].is_null() || status[group].get(field).is_some(),
            "no {group}.{field}: {status:#}"
        );
    }
    assert!(
        status.get("retry_count").is_some() && status.get("connection_request_url").is_some(),
        "{status:#}"
    );
    let shown: Result<serde_json::Value, _> =
        serde_json::from_str(&device.ctl_ok(&["--json", "show", "cwmp"]));
    assert!(shown.is_ok());
}

#[test]
fn bad_settings_are_refused_with_their_line() {
    let device = Device::builder().extra_settings("\n[device_]\nx = 1\n").prepare();
    let output = device.supervisor(&["--check"]);
    let text = std::fs::read_to_string(device.settings_file()).unwrap();
    let line = text.lines().position(|l| l == "[device_]").unwrap() + 1;
    assert_ne!(output.status, 0);
    let said = output.stderr;
    assert!(said.contains("device_") && said.contains(&line.to_string()), "{said}");
    assert_eq!(Device::builder().prepare().supervisor(&["--check"]).status, 0);
}

#[test]
fn a_second_supervisor_is_stopped_and_the_first_goes_on() {
    let device = Device::builder().start();
    let second = device.supervisor(&[]);
    assert!(second.status > 0 && second.status < 128, "{second:?}");
    assert!(!second.stderr.is_empty());
    device.wait_status("that the worker is there", |s| s["worker"]["pid"].is_u64());
}

#[test]
fn a_url_with_a_host_that_the_settings_do_not_allow_is_refused_whoever_sets_it() {
    let hosts = "[acs]\nallow_hosts = [\"127.0.0.1\", \"acs.example.org\"]\n";
    let device = Device::builder().extra_settings(hosts).start();
    let output = device.ctl(&["set", "cwmp.acs_url=http://other.example.org/"]);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("other.example.org") && output.stderr.contains("[acs] allow_hosts"),
        "{output:?}"
    );
    device.ctl_ok(&["set", "cwmp.acs_url=http://ACS.example.org/"]);
    device.ctl_ok(&["revert"]);
    let acs = Acs::start();
    let url = "Device.ManagementServer.URL";
    acs.plan(Plan::new().send(set_parameter_values(&[(url, "xsd:string", "http://other.example.org/")], "")));
    device.use_acs(&acs.url());
    let session = acs.wait_sessions(1, PATIENCE).remove(0);
    let fault = decode::fault(&session.nth("Fault", 0).body);
    let named = &fault.parameters[0];
    assert_eq!((named.0.as_str(), named.1), (url, 9007));
    drop(device);
    // One that stands in the factory values is not talked to either.
    let device =
        Device::builder().extra_settings(hosts).factory("cwmp.acs_url", "\"http://localhost:9/\"").start();
    let status = device.status();
    assert!(status["acs"]["reason"].as_str().unwrap().contains("[acs] allow_hosts"), "{status:#}");
}
