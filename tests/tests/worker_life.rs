//! The worker dies, hangs, is restarted, outlived and replaced: somebody always serves the ACS, and never two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use tests::Acs;
use tests::acs::{Session, rules};
use tests::binaries::program;
use tests::device::{Device, PATIENCE};
use tests::process::{freeze, runs, signal, wait_until};

fn pid(status: &serde_json::Value) -> u32 {
    let pid = status["worker"]["pid"].as_u64().unwrap_or_else(|| panic!("no worker: {status:#}"));
    u32::try_from(pid).unwrap()
}

fn running(device: &Device) -> serde_json::Value {
    device.wait_status("a worker", |s| s["worker"]["state"] == "running")
}

/// Waits for another worker than this one; returns the status.
fn another(device: &Device, before: u32) -> serde_json::Value {
    device.wait_status("another worker", |s| {
        s["worker"]["pid"].as_u64().is_some_and(|pid| pid != u64::from(before))
    })
}

/// One more session, asked for by a person, shows that all is well.
fn informs_again(acs: &Acs, device: &Device) -> Session {
    let before = acs.sessions_so_far();
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(before + 1, PATIENCE);
    rules::assert_kept(&sessions);
    let session = sessions[before].clone();
    assert_eq!(session.inform().event_codes(), ["2 PERIODIC"]);
    session
}

#[test]
fn a_killed_worker_comes_back_by_itself_and_opens_no_session_for_that() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let mut status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    for restarts in 1..=3 {
        let old = pid(&status);
        signal(old, Signal::SIGKILL);
        status = another(&device, old);
        assert_eq!(status["worker"]["restarts"], restarts);
    }
    device.wait_log("signal: 9 (SIGKILL)");
    // Nothing was due: the next session is the one that is asked for.
    informs_again(&acs, &device);
    assert_eq!(acs.sessions_so_far(), 2);
}

#[test]
fn a_hanging_worker_is_killed_after_three_missed_heartbeats() {
    let acs = Acs::start();
    let device = Device::builder().ipc_clocks(150, 5000).start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let old = pid(&running(&device));
    freeze(old);
    let status = another(&device, old);
    assert!(!runs(old), "the old one is gone");
    assert!(status["worker"]["restarts"].as_u64() >= Some(1), "{status:#}");
    device.wait_log("the peer did not answer for 450ms");
    informs_again(&acs, &device);
}

#[test]
fn restart_takes_a_healthy_worker_down_and_asks_for_a_session() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let old = pid(&running(&device));
    assert!(device.ctl_ok(&["cwmp", "restart"]).contains("the worker is back"));
    // Asked nicely, it went by itself.
    assert!(!device.log().contains("did not stop when asked"), "{}", device.log());
    let status = device.status();
    assert!(!runs(old) && pid(&status) != old);
    assert_eq!(status["worker"]["restarts"], 1);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["2 PERIODIC"]);
    rules::assert_kept(&sessions);
}

#[test]
fn restart_takes_a_hanging_worker_down_by_force() {
    let acs = Acs::start();
    // Heartbeats are far apart: only the restart can find it hanging.
    let device = Device::builder().ipc_clocks(60_000, 5000).start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let old = pid(&running(&device));
    freeze(old);
    // It waits at most five seconds for the new worker; so the force came before.
    assert!(device.ctl_ok(&["cwmp", "restart"]).contains("the worker is back"));
    device.wait_log("the worker did not stop when asked: killed");
    let status = device.status();
    assert!(!runs(old) && pid(&status) != old);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["2 PERIODIC"]);
}

#[test]
fn a_killed_supervisor_leaves_no_worker_behind() {
    let acs = Acs::start();
    let mut device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let old = pid(&device.wait_status("connected", |s| s["acs"]["state"] == "connected"));
    device.kill_supervisor();
    wait_until("the worker to leave", || !runs(old));
    device.start_again();
    assert_ne!(pid(&running(&device)), old);
    informs_again(&acs, &device);
}

#[test]
fn a_supervisor_that_is_stopped_takes_its_worker_along() {
    let mut device = Device::builder().start();
    let old = pid(&running(&device));
    assert!(device.stop().success());
    assert!(!runs(old));
    assert!(!device.socket().exists() && !device.worker_socket().exists(), "its sockets are gone");
    device.start_again();
    freeze(pid(&running(&device)));
    assert!(device.stop().success(), "a hanging worker does not hold it up");
}

#[test]
fn what_was_applied_and_not_saved_lasts_until_the_reboot() {
    let mut device = Device::builder().start();
    device.ctl_ok(&["set", "cwmp.provisioning_code=saved"]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    device.ctl_ok(&["set", "cwmp.manage_upgrade=0"]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["set", "cwmp.retry_min_wait=77"]);
    device.kill_supervisor();
    device.start_again();
    let value = |device: &Device, name: &str| device.ctl_ok(&["get", name]).trim().to_owned();
    assert_eq!(value(&device, "cwmp.manage_upgrade"), "false");
    assert!(
        device
            .ctl_ok(&["show", "cwmp"])
            .lines()
            .any(|l| l.starts_with("cwmp.manage_upgrade") && l.contains("not saved"))
    );
    assert_eq!(
        device.ctl_ok(&["show", "changes"]),
        "no changes\n",
        "the candidate is lost with the supervisor"
    );
    device.kill_supervisor();
    device.reboot();
    assert_eq!(value(&device, "cwmp.manage_upgrade"), "true");
    assert_eq!(value(&device, "cwmp.retry_min_wait"), "5");
    assert_eq!(value(&device, "cwmp.provisioning_code"), "saved");
}

/// A worker that this test started.
struct External(Child);

impl External {
    fn start(socket: &Path) -> Self {
        let mut command = Command::new(program("cwmpd"));
        command.arg("--socket").arg(socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for External {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_external_worker_connects_again_by_itself() {
    let acs = Acs::start();
    let mut device = Device::builder().external_worker().start();
    device.use_acs(&acs.url());
    assert_eq!(device.status()["worker"]["state"], "starting");
    let worker = External::start(&device.worker_socket());
    acs.wait_sessions(1, PATIENCE);
    assert_eq!(pid(&running(&device)), worker.0.id());
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");

    device.kill_supervisor();
    device.start_again();
    assert_eq!(pid(&running(&device)), worker.0.id(), "the same one");
    informs_again(&acs, &device);
    device.stop();
    device.start_again();
    // Whoever started it starts it again; two of them would be after one port.
    drop(worker);
    let second = External::start(&device.worker_socket());
    device.wait_status("a worker", |s| s["worker"]["pid"] == second.0.id());
    informs_again(&acs, &device);
}

#[test]
fn restart_of_an_external_worker_that_hangs_kills_it_and_leaves_the_start_to_others() {
    let acs = Acs::start();
    let device = Device::builder().external_worker().ipc_clocks(60_000, 5000).start();
    device.use_acs(&acs.url());
    let mut first = External::start(&device.worker_socket());
    acs.wait_sessions(1, PATIENCE);
    running(&device);
    freeze(first.0.id());
    assert!(device.ctl_ok(&["cwmp", "restart"]).contains("the worker is not back yet"));
    assert!(!first.0.wait().unwrap().success());
    let second = External::start(&device.worker_socket());
    device.wait_status("a worker", |s| s["worker"]["pid"] == second.0.id());
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["2 PERIODIC"]);
}

#[test]
fn a_missing_worker_program_is_named_until_it_is_there() {
    let acs = Acs::start();
    let beside = tempfile::tempdir().unwrap();
    let missing = beside.path().join("cwmpd-that-is-missing");
    let device = Device::builder().worker_program(&missing).start();
    let status = device.wait_status("waiting", |s| s["worker"]["state"] == "waiting");
    let reason = status["worker"]["reason"].as_str().unwrap().to_owned();
    let told = format!("{} cannot be started: No such file", missing.display());
    assert!(reason.contains(&told), "{reason}");
    assert!(device.ctl_ok(&["cwmp", "show", "status"]).contains(&told));
    // What a person changes meanwhile is kept, and said to wait.
    device.ctl_ok(&["set", &format!("cwmp.acs_url={}", acs.url())]);
    assert!(device.ctl_ok(&["apply"]).contains("the worker is not running"));
    std::os::unix::fs::symlink(program("cwmpd"), &missing).unwrap();
    acs.wait_sessions(1, PATIENCE);
    assert!(running(&device)["worker"]["reason"].is_null());
}
