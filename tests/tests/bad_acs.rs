//! An ACS that is broken in every way: the status says where and why, and the next good session reports the retries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::envelope::get_rpc_methods;
use tests::acs::{BlackHole, Ending, rules, unused_port};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan, Trouble};

/// The ACS fails once in this way at the Inform, the status names one of these stages, and then it works again.
fn fails_then_recovers(trouble: Trouble, stages: &[&str]) {
    let acs = Acs::start();
    acs.plan(Plan::at_inform(trouble));
    // The retry is far away, so that the failure can be looked at; a person then brings it forward.
    let device = Device::builder()
        .factory("cwmp.retry_min_wait", "60000")
        .factory("cwmp.acs_response_timeout", "100")
        .start();
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(1, PATIENCE);
    assert_eq!(sessions[0].ending, Ending::Trouble);
    check_failure(&device, stages);
    let before = acs.sessions_so_far();
    device.ctl_ok(&["cwmp", "inform"]);
    recovers_after(before, &acs, &device, &["0 BOOTSTRAP", "1 BOOT", "2 PERIODIC"]);
}

fn check_failure(device: &Device, stages: &[&str]) {
    let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
    let stage = status["acs"]["stage"].as_str().unwrap_or_default();
    assert!(stages.contains(&stage), "stage {stage:?}, wanted one of {stages:?}: {status:#}");
    assert!(!status["acs"]["reason"].as_str().unwrap_or_default().is_empty(), "no reason: {status:#}");
    assert!(status["retry_count"].as_u64() >= Some(1), "{status:#}");
    assert_eq!(status["worker"]["restarts"], 0, "the worker outlives a bad ACS");
}

/// The first session that succeeds carries the count of those that did not, and clears it.
fn recovers(acs: &Acs, device: &Device, events: &[&str]) {
    recovers_after(acs.sessions_so_far(), acs, device, events);
}

/// The same, when `before` sessions had ended before anything was asked for.
fn recovers_after(before: usize, acs: &Acs, device: &Device, events: &[&str]) {
    let mut number = before;
    let good = loop {
        number += 1;
        let session = acs.wait_sessions(number, PATIENCE)[number - 1].clone();
        if session.ending == Ending::Clean {
            break session;
        }
        assert!(number < before + 10, "no session succeeds");
    };
    assert!(good.inform().retry_count >= 1, "RetryCount {}", good.inform().retry_count);
    assert_eq!(good.inform().event_codes(), events, "nothing undelivered is lost");
    rules::assert_kept(&[good]);
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    assert_eq!(status["retry_count"], 0);
}

#[test]
fn it_refuses_the_connection() {
    let port = unused_port();
    let device = Device::builder().factory("cwmp.retry_min_wait", "60").start();
    device.use_acs(&format!("http://127.0.0.1:{port}/cwmp"));
    check_failure(&device, &["tcp"]);
    recovers(&Acs::start_on(port), &device, &["0 BOOTSTRAP", "1 BOOT"]);
}

#[test]
fn it_is_not_there() {
    let hole = BlackHole::start();
    let device = Device::builder().factory("cwmp.acs_response_timeout", "30").start();
    device.use_acs(&hole.url());
    check_failure(&device, &["tcp"]);
}

#[test]
fn its_name_does_not_resolve() {
    let device = Device::builder().start();
    device.use_acs("http://acs.invalid/cwmp");
    check_failure(&device, &["dns"]);
}

#[test]
fn it_resets_the_connection() {
    fails_then_recovers(Trouble::Reset, &["tcp", "http"]);
}

#[test]
fn it_closes_without_a_word() {
    fails_then_recovers(Trouble::Close, &["tcp", "http"]);
}

#[test]
fn it_answers_404() {
    fails_then_recovers(Trouble::Status(404), &["http"]);
}

#[test]
fn it_answers_with_bytes_that_are_not_http() {
    fails_then_recovers(Trouble::Garbage, &["http"]);
}

#[test]
fn it_says_nothing() {
    fails_then_recovers(Trouble::Silence, &["timeout"]);
}

#[test]
fn it_sends_fifty_megabytes() {
    fails_then_recovers(Trouble::HugeBody(50 << 20), &["http"]);
}

#[test]
fn it_sends_fifty_megabytes_without_saying_so() {
    fails_then_recovers(Trouble::HugeChunked(50 << 20), &["http", "soap"]);
}

#[test]
fn it_breaks_after_the_inform_was_acknowledged() {
    for trouble in [Trouble::Reset, Trouble::Status(500), Trouble::TruncatedXml] {
        let acs = Acs::start();
        acs.plan(Plan::new().send(get_rpc_methods()).then(trouble));
        let device = Device::builder().factory("cwmp.retry_min_wait", "60").start();
        device.use_acs(&acs.url());
        assert_eq!(acs.wait_sessions(1, PATIENCE)[0].ending, Ending::Trouble);
        // Acknowledged events are not sent again, the retry may have none (SESS-18).
        recovers(&acs, &device, &[]);
    }
}
