//! Bad input to cwmpctl and bad text of the ACS: bounded, said plainly, and never raw on a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use tests::acs::envelope::set_parameter_values;
use tests::binaries::program;
use tests::device::PATIENCE;
use tests::process::wait_until;
use tests::{Acs, Device, Plan};

/// Every word that shows something.
const SHOWN: [&[&str]; 8] = [
    &["show", "cwmp"],
    &["show", "changes"],
    &["get", "Device.DeviceInfo.ProvisioningCode"],
    &["cwmp", "show", "config"],
    &["cwmp", "show", "status"],
    &["cwmp", "show", "log"],
    &["cwmp", "show", "client", "log"],
    &["cwmp", "show", "log", "--limit", "1"],
];

/// A tabulator, C1's "next line", one that turns the direction of writing, one that nobody sees.
const ODD: &str = "a\tb\u{85}c\u{202e}d\u{200b}e";

fn harmless(what: &str, text: &str) {
    let bad = |c: char| (c.is_control() && c != '\n') || ['\u{202e}', '\u{200b}'].contains(&c);
    assert!(!text.chars().any(bad), "{what}: {text:?}");
}

#[test]
fn what_the_acs_writes_never_reaches_the_terminal_raw() {
    let acs = Acs::start();
    let name = format!("Device.{ODD}");
    acs.plan(
        Plan::new()
            .send(set_parameter_values(&[("Device.DeviceInfo.ProvisioningCode", "xsd:string", ODD)], ""))
            .send(set_parameter_values(&[(&name, "xsd:string", ODD)], "")),
    );
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    wait_until("the end of the session in the client log", || {
        device.ctl_ok(&["cwmp", "show", "client", "log"]).contains("session closed")
    });
    for words in SHOWN {
        for json in [&[][..], &["--json"]] {
            harmless(&words.join(" "), &device.ctl_ok(&[json, words].concat()));
        }
    }
    assert!(
        device
            .ctl_ok(&["cwmp", "show", "config"])
            .contains("ProvisioningCode = a\u{fffd}b\u{fffd}c\u{fffd}d")
    );
    let json = device.ctl_ok(&["--json", "get", "cwmp.provisioning_code"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["value"], ODD, "scripts get all of it");
}

#[test]
fn every_word_that_shows_has_json() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    device.ctl_ok(&["set", "cwmp.provisioning_code=x"]);
    let words = SHOWN.into_iter().chain([&["apply"][..], &["save"], &["revert"], &["cwmp", "inform"]]);
    for words in words {
        let text = device.ctl_ok(&[&["--json"], words].concat());
        let json: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"));
        assert!(json.is_array() || json.is_object(), "{words:?}: {text}");
    }
    let refused = device.ctl(&["--json", "set", "no.such=1"]);
    let json: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    assert!(refused.status == 1 && json["refused"].is_string(), "{refused:?}");
}

#[test]
fn a_terminal_of_20_columns_is_kept() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    device.ctl_ok(&["set", "cwmp.provisioning_code=a value of some length"]);
    for words in SHOWN {
        let output = Command::new(program("cwmpctl"))
            .arg("--socket")
            .arg(device.socket())
            .args(words)
            .env("COLUMNS", "20")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.lines().all(|line| line.chars().count() <= 20), "{text}");
    }
}

#[test]
fn a_value_without_end_is_refused_with_its_limit() {
    let device = Device::builder().start();
    let megabyte = "x".repeat(1024 * 1024);
    let asked = device.ctl_reading(&["set", "cwmp.acs_password"], &megabyte);
    // What the kernel takes as one word.
    let given = device.ctl(&["set", &format!("cwmp.provisioning_code={}", "y".repeat(100_000))]);
    for (output, limit) in [(asked, "at most 256 characters"), (given, "at most 64 characters")] {
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(limit) && output.stderr.len() < 300, "{}", output.stderr);
    }
    assert_eq!(device.ctl_ok(&["show", "changes"]), "no changes\n");
}

#[test]
fn words_of_any_bytes_are_refused_and_not_repeated_raw() {
    let device = Device::builder().start();
    let long = [b'z'; 100_000];
    let bad: [&[&[u8]]; 8] = [
        &[b"\x1b[2J"],
        &["\u{202e}evil".as_bytes()],
        &[b"\xff\xfe"],
        &[b"get", b"\xff"],
        &[b"get", b"no\x1b[2J.such\x07"],
        &[b"set", b"cwmp.provisioning_code=\x1b[2J"],
        &[b"set", "cwmp.\u{9b}2J=1".as_bytes()],
        &[&long],
    ];
    for words in bad {
        let mut command = Command::new(program("cwmpctl"));
        command.arg("--socket").arg(device.socket()).args(words.iter().map(|word| OsStr::from_bytes(word)));
        let output = command.output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        harmless("an error", &said);
        assert!((10..2000).contains(&said.len()), "{said}");
    }
}
