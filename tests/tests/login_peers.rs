//! The login to the ACS against programs that others wrote: lighttpd asks, and curl answers our own test ACS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::process::Command;

use tests::acs::{Ending, Gate, Scheme};
use tests::device::PATIENCE;
use tests::peer::{Lighttpd, has};
use tests::{Acs, Device};

const USER: &str = "00AABB-Test%20Gateway-SN-0001";
const PASSWORD: &str = "canary \u{20ac} secret";
const LOGINS: [(&str, &str); 3] = [("digest", "MD5"), ("digest", "SHA-256"), ("basic", "")];

fn device(password: &str) -> Device {
    Device::builder()
        .factory("cwmp.acs_username", &format!("{USER:?}"))
        .factory("cwmp.acs_password", &serde_json::to_string(password).unwrap())
        .factory("cwmp.retry_min_wait", "60000")
        .start()
}

#[test]
fn lighttpd_lets_the_device_in_with_each_login_that_it_knows() {
    if !has("lighttpd") {
        return;
    }
    for (method, algorithm) in LOGINS {
        let acs = Acs::start();
        let lighttpd = Lighttpd::with_login(&acs, method, algorithm, USER, PASSWORD);
        let device = device(PASSWORD);
        device.use_acs(&lighttpd.url("http"));
        let sessions = acs.wait_sessions(1, PATIENCE);
        assert_eq!(sessions[0].ending, Ending::Clean, "{}", device.log());
        device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        drop(device);
        let requests = lighttpd.stopped();
        let statuses: Vec<_> = requests.iter().map(|request| request.status.as_str()).collect();
        assert_eq!(statuses, ["401", "200", "200", "204"], "{requests:?}");
        // It closes after a 401 to a body that it has not read; what follows is one connection.
        assert!(requests[2..].iter().all(|request| request.port == requests[1].port), "{requests:?}");
        assert_eq!(requests[0].login, "-");
        if method == "digest" {
            for (request, nc) in requests[1..].iter().zip(1..) {
                assert!(request.login.contains(&format!("algorithm={algorithm},")), "{requests:?}");
                assert!(request.login.contains(&format!("nc={nc:08x}")), "{requests:?}");
            }
        }
    }
}

#[test]
fn lighttpd_refuses_a_wrong_password_and_is_asked_once() {
    if !has("lighttpd") {
        return;
    }
    for (method, algorithm) in LOGINS {
        let acs = Acs::start();
        let lighttpd = Lighttpd::with_login(&acs, method, algorithm, USER, PASSWORD);
        let device = device("canary wrong");
        device.use_acs(&lighttpd.url("http"));
        let status = device.wait_status("disconnected", |s| s["acs"]["state"] == "disconnected");
        assert_eq!(status["acs"]["stage"], "auth", "{status:#}");
        let said = status["acs"]["reason"].as_str().unwrap_or_default();
        assert!(said.contains("refuses the login (realm lighttpd)"), "{said}");
        drop(device);
        let requests = lighttpd.stopped();
        let statuses: Vec<_> = requests.iter().map(|request| request.status.as_str()).collect();
        assert_eq!(statuses, ["401", "401"], "{requests:?}");
        assert_eq!(acs.sessions_so_far(), 0);
    }
}

/// The status that curl gets of a test ACS with this gate.
fn curl(scheme: Scheme, password: &str) -> String {
    let acs = Acs::start().unjudged();
    acs.guard(Gate::new(scheme, USER, PASSWORD));
    let user = format!("{USER}:{password}");
    let words = ["--silent", "--anyauth", "--max-time", "20", "--noproxy", "*", "--output", "/dev/null"];
    let output = Command::new("curl")
        .args(words)
        .args(["--write-out", "%{http_code}", "--user", &user, "--data", "<no-envelope/>", &acs.url()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_test_acs_judges_curl_as_it_judges_the_device() {
    if !has("curl") {
        return;
    }
    for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"] {
        // Let in, and then told that this is no session.
        assert_eq!(curl(Scheme::Digest(algorithm, "auth"), PASSWORD), "400", "{algorithm}");
        assert_eq!(curl(Scheme::Digest(algorithm, "auth"), "canary wrong"), "401", "{algorithm}");
    }
    assert_eq!(curl(Scheme::Basic, PASSWORD), "400");
    assert_eq!(curl(Scheme::Basic, "canary wrong"), "401");
}
