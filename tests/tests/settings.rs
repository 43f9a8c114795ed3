//! The settings file: what is wrong in it is named with its line, and a check touches nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tests::binaries::program;
use tests::device::{Device, Output};

/// Replaces `old` in the settings of a device, checks them, and returns what was said and the line of `new`.
fn refused(old: &str, new: &str) -> (Output, usize) {
    let device = Device::builder().prepare();
    let text = fs::read_to_string(device.settings_file()).unwrap();
    assert!(text.contains(old), "no {old} in {text}");
    fs::write(device.settings_file(), text.replace(old, new)).unwrap();
    let line = text[..text.find(old).unwrap()].lines().count() + usize::from(!old.starts_with('\n'));
    let checked = device.supervisor(&["--check"]);
    let started = device.supervisor(&[]);
    for output in [&checked, &started] {
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(&device.settings_file().display().to_string()), "{output:?}");
    }
    let state: Vec<_> = fs::read_dir(device.directory().join("state")).unwrap().collect();
    assert!(state.is_empty(), "refused settings make nothing: {state:?}");
    (checked, line)
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let cases = [
        ("serial_number =", "serail_number =", "serail_number"),
        ("[timing]", "[timeing]", "timeing"),
        ("oui = \"00AABB\"", "oui = \"00aabb\"", "oui: six upper-case hexadecimal digits"),
        ("launch = \"child\"", "launch = \"sometimes\"", "`child` or `external`"),
        ("second_ms = 10", "second_ms = 0", "second_ms: must be from 1"),
        ("second_ms = 10", "second_ms = \"ten\"", "expected u32"),
        ("listen = \"127.0.0.1:", "listen = \"everywhere:", "listen: an address and a port"),
        (
            "cwmp.acs_response_timeout = ",
            "cwmp.acs_response_timeout = 9",
            "cwmp.acs_response_timeout must be",
        ),
        ("cwmp.acs_response_timeout = ", "cwmp.acs_tiemout = ", "cwmp.acs_tiemout"),
        ("manufacturer = \"", "manufacturer = ", "line"),
    ];
    for (old, new, told) in cases {
        let (output, line) = refused(old, new);
        let place = format!("line {line}:");
        assert!(
            output.stderr.contains(&place) && output.stderr.contains(told),
            "{new}, wanted {place} {told}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_secret_in_a_bad_line_is_not_repeated() {
    for bad in
        ["cwmp.acs_password = \"canary", "cwmp.acs_password = canary", "cwmp.acs_password = 'canary' x"]
    {
        let (output, line) = refused("cwmp.acs_response_timeout = 600", bad);
        assert!(output.stderr.contains(&format!("line {line}:")), "{}", output.stderr);
        assert!(!output.stderr.contains("canary"), "{}", output.stderr);
    }
    let long = format!("cwmp.acs_password = \"{}\"", "canary".repeat(50));
    let (output, _) = refused("cwmp.acs_response_timeout = 600", &long);
    assert!(output.stderr.contains("at most 256 characters; this is 300"), "{}", output.stderr);
    assert!(!output.stderr.contains("canary"), "{}", output.stderr);
}

#[test]
fn a_user_that_is_not_there_is_named() {
    let device = Device::builder().worker_user("cwmp-no-such-user").prepare();
    let output = device.supervisor(&["--check"]);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("[worker] user: there is no user cwmp-no-such-user"), "{}", output.stderr);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let device = Device::builder().prepare();
    fs::remove_file(device.settings_file()).unwrap();
    let missing = device.supervisor(&[]);
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("cannot read the settings"), "{}", missing.stderr);
    fs::create_dir(device.settings_file()).unwrap();
    let directory = device.supervisor(&[]);
    assert!(directory.stderr.contains("cannot read the settings"), "{}", directory.stderr);
    fs::remove_dir(device.settings_file()).unwrap();
    fs::write(device.settings_file(), b"state_dir = \"\xff\"\n").unwrap();
    let not_text = device.supervisor(&[]);
    assert_eq!(not_text.status, 1);
    assert!(not_text.stderr.contains("UTF-8"), "{}", not_text.stderr);
    if nix::unistd::geteuid().is_root() {
        return; // Root reads whatever its mode says.
    }
    fs::set_permissions(device.settings_file(), fs::Permissions::from_mode(0o000)).unwrap();
    let closed = device.supervisor(&[]);
    assert!(closed.status == 1 && closed.stderr.contains("Permission denied"), "{closed:?}");
}

#[test]
fn a_good_check_makes_nothing_on_disk() {
    let device = Device::builder().prepare();
    for name in ["state", "run"] {
        fs::remove_dir(device.directory().join(name)).unwrap();
    }
    let before = names(&device);
    let output = device.supervisor(&["--check"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout, format!("{}: good\n", device.settings_file().display()));
    assert_eq!(names(&device), before);
}

#[test]
fn the_shipped_file_is_good() {
    let shipped = tests::workspace_root().join("packaging/etc/supervisor.toml");
    let output = Command::new(program("cwmp-supervisor"))
        .arg("--check")
        .arg("--settings")
        .arg(&shipped)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn names(device: &Device) -> Vec<String> {
    let entries = fs::read_dir(device.directory()).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
