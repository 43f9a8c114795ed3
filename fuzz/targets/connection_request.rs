//! The bytes of a connection request: one whole answer of HTTP, and no session without the password.
#![no_main]

use std::{net::IpAddr, time::Duration};

use fuzz::connection_request::judge::{Judge, Moment};
use ipc_proto::{Secret, worker::ConnectionRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut judge = Judge::new([7; 64]);
    judge.want(Some(ConnectionRequest {
        listen: ([127, 0, 0, 1], 7547).into(),
        path: "/cwmp".to_owned(),
        username: "acs".to_owned(),
        password: Secret::new("secret".to_owned()),
    }));
    judge.link(true);
    let at = Moment { now: Duration::from_secs(1000), random: [1; 8] };
    let verdict = judge.judge(at, IpAddr::from([192, 0, 2, 1]), bytes);
    // No nonce that these bytes could hold was ever given.
    assert!(verdict.refusal.is_some());
    let text = verdict.text();
    let body = text.find("\r\n\r\n").expect("the head ends");
    assert_eq!(body + 4, text.len());
    assert!(text.starts_with("HTTP/1.1 ") && !text.replace("\r\n", "").contains(['\r', '\n']));
});
