//! The ACS asks for a session, with curl in its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tests::acs::envelope::get_rpc_methods;
use tests::device::{Builder, PATIENCE};
use tests::process::wait_until;
use tests::{Acs, Device, Plan, skipped};

const URL: &str = "Device.ManagementServer.ConnectionRequestURL";
const LOGIN: &str = "acs:secret";

fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        skipped("it needs curl");
    }
    has
}

fn builder() -> Builder {
    Device::builder()
        .factory("cwmp.con_req_username", "\"acs\"")
        .factory("cwmp.con_req_password", "\"secret\"")
}

/// A device that has had its first session, and its connection request URL.
fn start(acs: &Acs) -> (Device, String) {
    let device = builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    assert_eq!(status["connection_request_problem"], serde_json::Value::Null, "{status:#}");
    (device, status["connection_request_url"].as_str().unwrap().to_owned())
}

/// The status that curl gets, `000` for none.
fn curl(words: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(words)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn knock(url: &str) -> String {
    curl(&["--digest", "--user", LOGIN, url])
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().split('/').next().unwrap().parse().unwrap()
}

fn events(acs: &Acs, number: usize) -> Vec<String> {
    let sessions = acs.wait_sessions(number, PATIENCE);
    assert_eq!(sessions.len(), number, "one session and no more");
    sessions[number - 1].inform().event_codes().iter().map(|code| (*code).to_owned()).collect()
}

#[test]
fn a_request_with_the_right_login_opens_a_session_and_others_do_not() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    let first = acs.wait_inform(1, PATIENCE);
    assert_eq!(first.parameters.iter().find(|p| p.name == URL).unwrap().value, url, "the URL in the Inform");
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    device.wait_status("connected", |s| s["open_session"].is_null());

    for (words, status) in [
        (&["--digest", "--user", "acs:wrong", &url][..], "401"),
        (&["--digest", "--user", "other:secret", &url], "401"),
        (&["--basic", "--user", LOGIN, &url], "401"),
        (&[&url], "401"),
        (&["--digest", "--user", LOGIN, "--head", &url], "405"),
        (&["--digest", "--user", LOGIN, &format!("{url}x")], "404"),
        (&["--digest", "--user", LOGIN, &format!("http://{}/", address(&url))], "404"),
    ] {
        assert_eq!(curl(words), status, "{words:?}");
    }
    // The fence: none of these was a session.
    assert_eq!(knock(&format!("{url}?a=b")), "200");
    assert_eq!(events(&acs, 3), ["6 CONNECTION REQUEST"]);
    assert!(device.log().contains("refused: wrong user name or password"), "each refusal is told");
}

#[test]
fn a_body_is_ignored() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (_device, url) = start(&acs);
    let words = ["--digest", "--user", LOGIN, "--request", "GET", "--data", "x=y", &url];
    assert_eq!(curl(&words), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
}

#[test]
fn idle_and_slow_clients_keep_nobody_out() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (_device, url) = start(&acs);
    let mut idle: Vec<_> = (0..40).map(|_| TcpStream::connect(address(&url)).unwrap()).collect();
    assert_eq!(knock(&url), "200");
    for client in &mut idle {
        let _ = client.write_all(b"G");
    }
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let to = address(&url);
    let slow = std::thread::spawn(move || {
        let mut clients: Vec<_> = (0..16).map(|_| TcpStream::connect(to).unwrap()).collect();
        while stopped.recv_timeout(Duration::from_millis(20)).is_err() {
            for client in &mut clients {
                let _ = client.write_all(b"G");
            }
        }
    });
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 3), ["6 CONNECTION REQUEST"]);
    stop.send(()).unwrap();
    slow.join().unwrap();
}

#[test]
fn a_head_that_is_too_large_or_no_http_is_turned_away() {
    let acs = Acs::start();
    let (_device, url) = start(&acs);
    let answer = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address(&url)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(answer(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000)).as_bytes()), "");
    assert!(answer(b"\x16\x03\x01\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(answer(b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_flood_of_wrong_passwords_does_not_keep_the_acs_out() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    let floods: Vec<_> = (0..3)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || {
                // One process for all of them: curl repeats a URL with a range in it.
                let many = format!("{url}?[1-100]");
                curl(&["--digest", "--user", "acs:wrong", "--output", "/dev/null", &many])
            })
        })
        .collect();
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
    for flood in floods {
        let statuses = flood.join().unwrap();
        assert!(!statuses.contains("200"), "{statuses}");
    }
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 3), ["6 CONNECTION REQUEST"]);
    let lines = device.log().matches("refused").count();
    assert!(lines < 100, "{lines} lines of a flood of 300");
}

#[test]
fn requests_in_a_session_make_exactly_one_more() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    // The session stays open until the file has been seen and the requests have been made.
    let open = device.directory().join("open");
    acs.plan(Plan::new().touch(&open).send(get_rpc_methods()).then(tests::Trouble::Silence));
    device.ctl_ok(&["cwmp", "inform"]);
    wait_until("the session to be open", || open.exists());
    let id = device.wait_status("an open session", |s| !s["open_session"].is_null());
    assert_eq!((knock(&url), knock(&url)), ("200".to_owned(), "200".to_owned()));
    assert_eq!(device.status()["open_session"], id["open_session"], "it goes on (CR-14)");
    device.ctl_ok(&["set", "cwmp.provisioning_code=x"]);
    device.ctl_ok(&["apply", "--now"]);
    let sessions = acs.wait_sessions(3, PATIENCE);
    assert_eq!(sessions[2].inform().event_codes(), ["6 CONNECTION REQUEST"]);
    // The fence: a request after it is the next session.
    device.wait_status("connected", |s| s["acs"]["state"] == "connected" && s["open_session"].is_null());
    assert_eq!(knock(&url), "200");
    assert_eq!(events(&acs, 4), ["6 CONNECTION REQUEST"]);
}

#[test]
fn switched_off_the_port_is_closed_and_the_url_empty() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    device.ctl_ok(&["set", "cwmp.enable=0"]);
    device.ctl_ok(&["apply"]);
    let status = device.status();
    assert_eq!(status["connection_request_url"], "");
    assert!(status["connection_request_problem"].as_str().unwrap().contains("cwmp.enable"), "{status:#}");
    assert!(TcpStream::connect(address(&url)).is_err());
    assert_eq!(device.ctl_ok(&["get", "cwmp.con_req_url"]).trim(), "");
    device.ctl_ok(&["set", "cwmp.enable=1"]);
    device.ctl_ok(&["apply"]);
    let status = device.wait_status("a URL", |s| s["connection_request_url"] != "");
    assert_eq!(knock(status["connection_request_url"].as_str().unwrap()), "200");
    assert_eq!(events(&acs, 2), ["6 CONNECTION REQUEST"]);
}

#[test]
fn a_changed_login_counts_at_once_and_an_empty_one_lets_nobody_in() {
    if !has_curl() {
        return;
    }
    let acs = Acs::start();
    let (device, url) = start(&acs);
    device.ctl_ok(&["set", "cwmp.con_req_password=changed"]);
    device.ctl_ok(&["apply"]);
    assert_eq!(knock(&url), "401");
    assert_eq!(curl(&["--digest", "--user", "acs:changed", &url]), "200");
    acs.wait_sessions(2, PATIENCE);
    device.wait_status("the session's end", |s| s["open_session"].is_null());
    device.ctl_ok(&["set", "cwmp.con_req_password="]);
    device.ctl_ok(&["apply"]);
    assert_eq!(curl(&["--digest", "--user", "acs:", &url]), "401");
    let status = device.status();
    let problem = status["connection_request_problem"].as_str().unwrap();
    assert!(problem.contains("cwmp.con_req_password"), "{problem}");
    assert!(device.ctl_ok(&["cwmp", "show", "status"]).contains(problem));
}

#[test]
fn the_path_lasts_over_a_reboot() {
    let acs = Acs::start();
    let (mut device, url) = start(&acs);
    device.reboot();
    let status = device.wait_status("a URL", |s| s["connection_request_url"] != "");
    let path = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let again = status["connection_request_url"].as_str().unwrap();
    assert_eq!(path(again), path(&url));
    assert_eq!(path(&url).len(), 32);
}
