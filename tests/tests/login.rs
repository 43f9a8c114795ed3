//! An ACS that asks who is there: each scheme, a wrong password, nonces that grow old, challenges that make no sense.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::envelope::{get_rpc_methods, set_parameter_values};
use tests::acs::{Ending, Gate, Scheme};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const USER: &str = "00AABB-Test%20Gateway-SN-0001";
const PASSWORD: &str = "canary: \u{20ac} \\ secret";

fn device(password: &str, extra: &str) -> Device {
    Device::builder()
        .factory("cwmp.acs_username", &format!("{USER:?}"))
        .factory("cwmp.acs_password", &serde_json::to_string(password).unwrap())
        .factory("cwmp.retry_min_wait", "60000")
        .extra_settings(extra)
        .start()
}

/// A session with three requests goes through this gate on one connection.
fn comes_in(gate: Gate) -> (Acs, Device) {
    let acs = Acs::start();
    acs.guard(gate);
    acs.plan(Plan::new().send(get_rpc_methods()));
    let device = device(PASSWORD, "");
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(1, PATIENCE);
    assert_eq!(sessions[0].ending, Ending::Clean, "{:?}\n{}", acs.at_the_gate(), device.log());
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    let seen = acs.at_the_gate();
    assert_eq!(seen[0].1, None, "nothing is said before the ACS asks");
    assert!(seen.iter().all(|(connection, _)| *connection == seen[0].0), "one connection: {seen:?}");
    assert!(!device.log().contains("canary"), "the password is in the log");
    (acs, device)
}

/// The session fails at the login, and the reason holds this.
fn stays_out(gate: Gate, password: &str, extra: &str, reason: &str) -> Acs {
    let acs = Acs::start();
    acs.guard(gate);
    let device = device(password, extra);
    device.use_acs(&acs.url());
    let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
    assert_eq!(status["acs"]["stage"], "auth", "{status:#}");
    let said = status["acs"]["reason"].as_str().unwrap_or_default();
    assert!(said.contains(reason), "{said}");
    assert!(!said.contains("canary"), "{said}");
    acs
}

#[test]
fn digest_comes_in_with_each_algorithm_and_asks_once() {
    for algorithm in ["MD5", "MD5-sess", "SHA-256"] {
        for qop in ["auth", "auth-int"] {
            let (acs, _device) = comes_in(Gate::new(Scheme::Digest(algorithm, qop), USER, PASSWORD));
            // Inform twice, the empty POST, the response: only the first is challenged.
            assert_eq!(acs.at_the_gate().len(), 4, "{:?}", acs.at_the_gate());
        }
    }
}

#[test]
fn basic_comes_in() {
    let (acs, _device) = comes_in(Gate::new(Scheme::Basic, USER, PASSWORD));
    assert_eq!(acs.at_the_gate().len(), 4);
}

#[test]
fn a_stale_nonce_in_mid_session_costs_one_more_request_and_no_more() {
    let gate = Gate::new(Scheme::Digest("MD5", "auth"), USER, PASSWORD).nonce_uses(1);
    let (acs, _device) = comes_in(gate);
    assert_eq!(acs.at_the_gate().len(), 6, "{:?}", acs.at_the_gate());
}

#[test]
fn a_wrong_password_is_tried_once() {
    for scheme in [Scheme::Basic, Scheme::Digest("MD5", "auth"), Scheme::Digest("SHA-256", "auth")] {
        let acs = stays_out(
            Gate::new(scheme, USER, PASSWORD),
            "canary wrong",
            "",
            "refuses the login (realm test ACS)",
        );
        assert_eq!(acs.at_the_gate().len(), 2);
    }
}

#[test]
fn credentials_that_are_set_in_mid_session_are_tried_after_those_of_its_begin_and_once() {
    let set = |password: &str| {
        let name = "Device.ManagementServer.Password";
        Plan::new().send(set_parameter_values(&[(name, "xsd:string", password)], "")).send(get_rpc_methods())
    };
    for (set_to, requests, ends) in [("canary new", 7, true), ("canary other", 6, false)] {
        let acs = Acs::start();
        // After the Inform and the empty POST.
        let gate = Gate::new(Scheme::Digest("MD5", "auth"), USER, PASSWORD);
        acs.guard(gate.password_changes(2, "canary new"));
        acs.plan(set(set_to));
        let device = device(PASSWORD, "");
        device.use_acs(&acs.url());
        if ends {
            let sessions = acs.wait_sessions(1, PATIENCE);
            assert_eq!(sessions[0].ending, Ending::Clean, "{:?}", acs.at_the_gate());
        } else {
            let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
            assert_eq!(status["acs"]["stage"], "auth", "{status:#}");
        }
        assert_eq!(acs.at_the_gate().len(), requests, "{:?}", acs.at_the_gate());
    }
}

#[test]
fn many_and_long_challenges_are_read_and_what_is_shown_of_them_is_short() {
    let many = format!("{}, Basic realm=\"last\"", vec!["Scheme a=b"; 100].join(", "));
    let long = format!("Digest realm=\"{}\", nonce=\"n\", algorithm=\"SHA-1\"", "r".repeat(8000));
    for (challenge, reason, requests) in [(many, "realm last", 2), (long, "SHA-1", 1)] {
        let acs = Acs::start();
        acs.guard(Gate::new(Scheme::Odd(challenge.leak()), USER, PASSWORD));
        let device = device(PASSWORD, "");
        device.use_acs(&acs.url());
        let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
        assert_eq!(status["acs"]["stage"], "auth", "{status:#}");
        let said = status["acs"]["reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason) && said.len() < 400, "{said}");
        assert_eq!(acs.at_the_gate().len(), requests);
    }
}

#[test]
fn a_challenge_that_makes_no_sense_is_named() {
    for (challenge, reason) in [
        ("Digest nonce=\"n\"", "realm"),
        ("Digest realm=\"r\", nonce=\"a\", nonce=\"b\"", "nonce"),
        ("Digest realm=\"r\", nonce=\"n\", algorithm=SHA-1", "SHA-1"),
        ("Negotiate", "Negotiate"),
    ] {
        let acs = stays_out(Gate::new(Scheme::Odd(challenge), USER, PASSWORD), PASSWORD, "", reason);
        assert_eq!(acs.at_the_gate().len(), 1, "nothing is said to {challenge}");
    }
}

#[test]
fn basic_over_http_is_not_answered_where_the_settings_forbid_it() {
    let gate = Gate::new(Scheme::Basic, USER, PASSWORD);
    let acs = stays_out(gate, PASSWORD, "[acs]\nallow_basic_http = false\n", "allow_basic_http");
    assert_eq!(acs.at_the_gate().len(), 1);
}
