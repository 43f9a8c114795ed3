//! Reboot and factory reset by a person: asked, run, told to the ACS, and whole after a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::device::PATIENCE;
use tests::process::wait_until;
use tests::{Acs, Device};

/// A device whose commands write a line into the file `ran` of a directory.
fn device(acs: &Acs, ran: &std::path::Path, name: &str) -> Device {
    let script = format!("echo {name} >> {}", ran.display());
    Device::builder()
        .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
        .extra_settings(&format!("[actions]\n{name} = [\"/bin/sh\", \"-c\", \"{script}\"]\n"))
        .prepare()
}

fn lines(ran: &std::path::Path) -> usize {
    std::fs::read_to_string(ran).unwrap_or_default().lines().count()
}

#[test]
fn a_reboot_is_asked_for_run_once_and_told_as_1_boot() {
    let acs = Acs::start();
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let mut device = device(&acs, &ran, "reboot");
    device.start_again();
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");

    let refused = device.ctl(&["reboot"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("--yes") && lines(&ran) == 0, "{refused:?}");
    device.ctl_ok(&["reboot", "--yes"]);
    let status = device.wait_status("a reboot that waits", |s| s["waiting"][0]["what"] == "reboot");
    assert_eq!(status["waiting"][0]["failed"], false);
    assert!(device.ctl_ok(&["cwmp", "show", "status"]).contains("reboot"));
    wait_until("the command to run", || lines(&ran) == 1);

    device.reboot();
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["1 BOOT"]);
    let status = device.wait_status("nothing waits", |s| s["waiting"].as_array().unwrap().is_empty());
    assert_eq!((status["acs"]["state"].as_str(), lines(&ran)), (Some("connected"), 1));
}

#[test]
fn a_reboot_without_a_command_names_the_setting() {
    let device = Device::builder().start();
    let refused = device.ctl(&["reboot", "--yes"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("[actions] reboot"), "{refused:?}");
}

#[test]
fn a_factory_reset_without_a_command_resets_in_place_and_informs() {
    let acs = Acs::start();
    let device = Device::builder().factory("cwmp.acs_url", &format!("\"{}\"", acs.url())).start();
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    let url = device.ctl_ok(&["get", "cwmp.con_req_url"]);
    device.ctl_ok(&["set", "cwmp.provisioning_code=mine"]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    // The ACS is told of the change.
    acs.wait_sessions(2, PATIENCE);
    device.wait_status("no session", |s| s["open_session"].is_null());

    assert_eq!(device.ctl(&["factory", "reset"]).status, 1, "no terminal to ask on");
    assert_eq!(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim(), "mine");
    device.ctl_ok(&["factory", "reset", "--yes"]);
    assert_eq!(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim(), "");
    let sessions = acs.wait_sessions(3, PATIENCE);
    assert_eq!(sessions[2].inform().event_codes(), ["0 BOOTSTRAP", "1 BOOT"]);
    assert_ne!(device.ctl_ok(&["get", "cwmp.con_req_url"]), url, "the path is another one");
    let log = device.ctl_ok(&["cwmp", "show", "log"]);
    assert!(log.contains("factory reset by "), "{log}");
    assert!(log.contains("cwmp.provisioning_code: (empty) -> mine"), "the log stays: {log}");
}

#[test]
fn a_supervisor_killed_in_a_factory_reset_has_done_all_of_it_or_nothing() {
    for (point, done) in [("store.before-commit", false), ("store.committed", true), ("store.reset", true)] {
        let acs = Acs::start();
        let dir = tempfile::tempdir().unwrap();
        let ran = dir.path().join("ran");
        let mut device = device(&acs, &ran, "factory_reset");
        let flag = device.directory().join("dies-once");
        device.set_env("CWMP_KILL_AT", &format!("{point}@{}", flag.display()));
        device.start_again();
        acs.wait_sessions(1, PATIENCE);
        device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        device.ctl_ok(&["set", "cwmp.provisioning_code=mine"]);
        device.ctl_ok(&["apply"]);
        device.ctl_ok(&["save"]);
        acs.wait_sessions(2, PATIENCE);
        device.wait_status("no session", |s| s["open_session"].is_null());
        let state = device.directory().join("state");
        wait_until("a backup", || state.join("state.db.backup").exists());
        std::fs::write(state.join("state.db.damaged"), "old values").unwrap();

        std::fs::write(&flag, "").unwrap();
        assert_ne!(device.ctl(&["factory", "reset", "--yes"]).status, 0);
        device.wait_gone();
        assert!(!flag.exists(), "it ended, and not at its point");
        device.start_again();
        let value = if done { "" } else { "mine" };
        assert_eq!(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim(), value, "{point}");
        assert_eq!(state.join("state.db.damaged").exists(), !done, "{point}");
        if done {
            let sessions = acs.wait_sessions(3, PATIENCE);
            assert_eq!(sessions[2].inform().event_codes(), ["0 BOOTSTRAP", "1 BOOT"], "{point}");
            device.wait_status("nothing waits", |s| s["waiting"].as_array().unwrap().is_empty());
        }
        assert_eq!(lines(&ran), usize::from(done), "the device's own part, once: {point}");
    }
}
