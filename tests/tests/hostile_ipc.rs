//! Peers on the two sockets that lie, stall, flood or come in crowds: they are dropped, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::os::unix::net::UnixListener;

use ipc_proto::control::Request;
use ipc_proto::version::Protocol;
use tests::acs::rules;
use tests::device::PATIENCE;
use tests::peers::RawPeer;
use tests::process::{runs, wait_until};
use tests::{Acs, Device};

/// A device at peace with its ACS, and the process that must outlive everything.
struct Besieged {
    acs: Acs,
    device: Device,
    supervisor: u32,
}

impl Besieged {
    /// Heartbeats are far apart: a silent worker is killed, and here that would be this test.
    fn new() -> Self {
        let acs = Acs::start();
        let device = Device::builder().send_ms(300).ipc_clocks(60_000, 5000).start();
        device.use_acs(&acs.url());
        acs.wait_sessions(1, PATIENCE);
        device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        let supervisor = device.supervisor_pid();
        Self { acs, device, supervisor }
    }

    /// A person is answered, the ACS is served, and the supervisor is the one that it was.
    fn serves_as_before(&self, after: &str) {
        let Self { acs, device, supervisor } = self;
        assert_eq!(device.ctl_ok(&["get", "cwmp.acs_url"]).trim(), acs.url(), "after {after}");
        device.wait_status("a worker", |s| s["worker"]["state"] == "running");
        let before = acs.sessions_so_far();
        device.ctl_ok(&["cwmp", "inform"]);
        let sessions = acs.wait_sessions(before + 1, PATIENCE);
        assert_eq!(sessions[before].inform().event_codes(), ["2 PERIODIC"], "after {after}");
        rules::assert_kept(&sessions[before..]);
        assert!(device.supervisor_pid() == *supervisor && runs(*supervisor), "after {after}");
        assert!(!device.log().contains("panicked"), "after {after}: {}", device.log());
    }

    fn sockets(&self) -> [(std::path::PathBuf, Protocol); 2] {
        [(self.device.socket(), Protocol::Control), (self.device.worker_socket(), Protocol::Worker)]
    }
}

#[test]
fn what_is_no_hello_is_dropped() {
    let here = Besieged::new();
    for (socket, protocol) in here.sockets() {
        for (what, bytes) in [
            ("another protocol", &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..]),
            ("the longest length", &[0xff; 64]),
            ("an empty frame", &[0; 4]),
            ("a frame of garbage", b"\x08\0\0\0garbage!"),
            ("half a Hello", b"\x08\0\0\0CWM"),
            ("silence", b""),
        ] {
            let mut peer = RawPeer::connect(&socket);
            peer.send(bytes);
            peer.wait_closed();
            here.serves_as_before(&format!("{what} on the {protocol} socket"));
        }
    }
    // The right Hello at the wrong door.
    let mut lost = RawPeer::connect(&here.device.socket());
    lost.hello(Protocol::Worker, Protocol::Worker.number());
    lost.wait_closed();
    here.device.wait_log("the peer speaks the worker protocol on the control socket");
    here.serves_as_before("a worker on the control socket");
    assert_eq!(here.device.status()["worker"]["restarts"], 0, "no worker was lost over it");
}

#[test]
fn garbage_behind_a_right_hello_ends_the_connection() {
    let here = Besieged::new();
    for (socket, protocol) in here.sockets() {
        for (what, bytes) in [
            ("a length over the limit", &[0x01, 0x00, 0x40, 0x00, 0x00][..]),
            ("the longest length", &[0xff; 16]),
            ("an empty frame", &[0; 4]),
            ("an unknown message", b"\x01\0\0\0\xfa"),
            ("a message and more", b"\x03\0\0\0\x02\x02\x02"),
            // A name of 2^56 bytes in a frame of ten.
            ("a length that the frame does not hold", b"\x0a\0\0\0\x01\xfd\0\0\0\0\0\0\0\x01"),
        ] {
            let mut peer = RawPeer::greeted(&socket, protocol);
            peer.send(bytes);
            peer.wait_closed();
            here.serves_as_before(&format!("{what} on the {protocol} socket"));
        }
        // Half a frame, and then it leaves.
        let mut peer = RawPeer::greeted(&socket, protocol);
        peer.send(b"\x40\0\0\0\x01\x01");
        drop(peer);
        here.serves_as_before(&format!("half a message on the {protocol} socket"));
    }
}

#[test]
fn half_a_request_and_then_silence_holds_nobody_up() {
    let here = Besieged::new();
    let mut peer = RawPeer::greeted(&here.device.socket(), Protocol::Control);
    peer.send(b"\x40\0\0\0\x01\x01");
    here.serves_as_before("half a request");
}

#[test]
fn a_worker_of_another_version_is_named_with_both_numbers() {
    let device = Device::builder().external_worker().start();
    let ours = Protocol::Worker.number();
    let mut other = RawPeer::connect(&device.worker_socket());
    other.hello(Protocol::Worker, 99);
    other.wait_closed();
    let status = device.wait_status("incompatible", |s| s["worker"]["state"] == "incompatible");
    let reason = status["worker"]["reason"].as_str().unwrap();
    let told = format!("worker protocol 99 (cwmpd 99.0) does not fit worker protocol {ours} (");
    assert!(reason.contains(&told) && reason.contains("install the same version"), "{reason}");
    let shown = device.ctl_ok(&["cwmp", "show", "status"]);
    assert!(shown.contains("of another version") && shown.contains(&told), "{shown}");
    // The right one is taken as if nothing had been.
    let _right = RawPeer::greeted(&device.worker_socket(), Protocol::Worker);
    let status = device.wait_status("running", |s| s["worker"]["state"] == "running");
    assert!(status["worker"]["reason"].is_null(), "{status:#}");
}

#[test]
fn a_client_of_another_version_is_told_on_both_sides() {
    let here = Besieged::new();
    let mut other = RawPeer::connect(&here.device.socket());
    other.hello(Protocol::Control, 99);
    assert!(other.frame().unwrap().starts_with(b"CWMIC"), "it learns whom it talks to");
    other.wait_closed();
    let told = "control protocol 99 (cwmpd 99.0) does not fit control protocol";
    here.device.wait_log(told);
    here.serves_as_before("a client of another version");

    // And cwmpctl before a supervisor of another version.
    let device = Device::builder().prepare();
    let listener = UnixListener::bind(device.socket()).unwrap();
    let newer = std::thread::spawn(move || {
        let mut peer = RawPeer::new(listener.accept().unwrap().0);
        peer.hello(Protocol::Control, 99);
        peer.wait_closed();
    });
    let output = device.ctl(&["show", "cwmp"]);
    newer.join().unwrap();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stderr.contains(told) && output.stderr.contains("install the same version"), "{output:?}");
}

#[test]
fn a_client_that_never_reads_is_disconnected() {
    let here = Besieged::new();
    let mut deaf = RawPeer::greeted(&here.device.socket(), Protocol::Control);
    deaf.request(&Request::ShowParameters);
    // The same request over and over, until no more fits between the two.
    let request = [1, 0, 0, 0, 2];
    let answers_first = deaf.frame().unwrap();
    assert!(answers_first.len() > 1000, "that was the table");
    assert!(deaf.flood(&request.repeat(1000)), "it was not disconnected");
    here.device.wait_log("on the management socket: the peer did not answer for 300ms");
    here.serves_as_before("a client that never reads");
}

#[test]
fn a_crowd_of_idle_clients_is_told_that_it_is_one() {
    let here = Besieged::new();
    let crowd: Vec<_> = (0..40).map(|_| RawPeer::greeted(&here.device.socket(), Protocol::Control)).collect();
    let late: Vec<_> = (0..8).map(|_| RawPeer::connect(&here.device.socket())).collect();
    late.into_iter().for_each(|mut peer| peer.wait_closed());
    let output = here.device.ctl(&["get", "cwmp.acs_url"]);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("busy: 40 clients are connected already"), "{}", output.stderr);
    drop(crowd);
    wait_until("a free place", || here.device.ctl(&["get", "cwmp.acs_url"]).status == 0);
    here.serves_as_before("a crowd");
}

#[test]
fn the_newest_worker_wins_and_the_real_one_comes_back() {
    let here = Besieged::new();
    let real = here.device.status()["worker"]["pid"].clone();
    let mut impostor = RawPeer::greeted(&here.device.worker_socket(), Protocol::Worker);
    // It holds the link until the real one, which lost it, was started again.
    impostor.wait_closed();
    let status = here.device.wait_status("the real worker", |s| {
        s["worker"]["pid"].is_u64() && s["worker"]["pid"] != real && s["worker"]["restarts"] == 1
    });
    assert_ne!(status["worker"]["pid"], std::process::id());
    here.device.wait_log("another worker connected: the older link is dropped");
    here.serves_as_before("an impostor");
}
