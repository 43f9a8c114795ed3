//! A secret goes in and is seen nowhere: not by people, not in logs, not by the ACS, not in a readable file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tests::acs::decode;
use tests::acs::envelope::{get_parameter_names, get_parameter_values, set_parameter_values};
use tests::device::{Device, PATIENCE};
use tests::follower::Follower;
use tests::process::wait_until;
use tests::{Acs, Plan};

const CANARY: &str = "canary-7b1d";
const PASSWORD: &str = "Device.ManagementServer.Password";

/// Panics when the canary sings.
fn silent(place: &str, text: &str) {
    assert!(!text.contains(CANARY), "the canary is seen in {place}: {text}");
}

/// Everything that cwmpctl prints, for people and for scripts.
fn all_that_is_shown(device: &Device) {
    let commands: [&[&str]; 11] = [
        &["show", "cwmp"],
        &["show", "changes"],
        &["get", "cwmp.acs_password"],
        &["get", "cwmp.con_req_password"],
        &["get", PASSWORD],
        &["get", "Device.ManagementServer.ConnectionRequestPassword"],
        &["cwmp", "show", "status"],
        &["cwmp", "show", "config"],
        &["cwmp", "show", "log"],
        &["cwmp", "show", "client", "log"],
        &["--help"],
    ];
    for words in commands {
        for json in [&[][..], &["--json"]] {
            let output = device.ctl(&[json, words].concat());
            assert_eq!(output.status, 0, "{output:?}");
            silent(&words.join(" "), &[output.stdout, output.stderr].concat());
        }
    }
    // What goes on by itself: its first lines.
    let views = [&["cwmp", "show", "status", "--watch"][..], &["cwmp", "show", "log", "--follow"]];
    for words in views
        .into_iter()
        .filter(|words| words[2] == "status" || !device.ctl_ok(&["cwmp", "show", "log"]).is_empty())
    {
        for json in [&[][..], &["--json"]] {
            silent(&words.join(" "), &Follower::start(device, &[json, words].concat()).line());
        }
    }
}

fn set_the_canary(device: &Device) {
    let asked = device.ctl_reading(&["set", "cwmp.acs_password"], &format!("{CANARY}-acs\nnot this\n"));
    let given = device.ctl(&["set", &format!("cwmp.con_req_password={CANARY}-req")]);
    for output in [asked, given] {
        assert_eq!(output.status, 0, "{output:?}");
        silent("set", &[output.stdout, output.stderr].concat());
    }
    let changes = device.ctl_ok(&["show", "changes"]);
    assert!(changes.contains("cwmp.acs_password") && changes.contains("cwmp.con_req_password"), "{changes}");
}

#[test]
fn it_is_shown_to_nobody() {
    let acs = Acs::start();
    let device = Device::builder().start();
    set_the_canary(&device);
    all_that_is_shown(&device);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    all_that_is_shown(&device);

    let everything = get_parameter_values(&["Device."]);
    let too_long = format!("{CANARY}{}", "x".repeat(256));
    acs.plan(
        Plan::new()
            .send(get_parameter_names("", false))
            .send(everything.clone())
            .send(set_parameter_values(&[(PASSWORD, "xsd:string", &too_long)], ""))
            .send(set_parameter_values(&[(PASSWORD, "xsd:string", &format!("{CANARY}-theirs"))], ""))
            .send(everything),
    );
    device.use_acs(&acs.url());
    let session = acs.wait_sessions(1, PATIENCE)[0].clone();
    let values = decode::values(&session.nth("GetParameterValuesResponse", 1).body);
    for name in [PASSWORD, "Device.ManagementServer.ConnectionRequestPassword"] {
        assert_eq!(values.iter().find(|p| p.name == name).unwrap().value, "", "{name}");
    }
    let fault = decode::fault(&session.nth("Fault", 0).body);
    assert_eq!(fault.parameters[0].1, 9007, "{fault:?}");
    assert_eq!(decode::set_status(&session.nth("SetParameterValuesResponse", 0).body), 0);
    for message in session.from_cpe() {
        silent("the traffic", &format!("{} {:?} {}", message.head, message.headers, message.body));
    }
    all_that_is_shown(&device);
    let changes = device.ctl_ok(&["cwmp", "show", "log"]);
    assert!(changes.contains("cwmp.acs_password: ******** -> ********  by acs"), "{changes}");
    silent("the log", &device.log());
}

#[test]
fn it_is_not_repeated_when_it_is_refused() {
    let device = Device::builder().start();
    let too_long = CANARY.repeat(30);
    let control = format!("{CANARY}\u{1b}");
    for bad in [&too_long, &control] {
        for json in [&[][..], &["--json"]] {
            let given = device.ctl(&[json, &["set", &format!("cwmp.acs_password={bad}")]].concat());
            let asked = device.ctl_reading(&[json, &["set", "cwmp.acs_password"]].concat(), bad);
            for output in [given, asked] {
                assert_eq!(output.status, 1, "{output:?}");
                assert!(output.stderr.contains("cwmp.acs_password must be"), "{}", output.stderr);
                silent("a refusal", &[output.stdout, output.stderr].concat());
            }
        }
    }
    assert_eq!(device.ctl_ok(&["show", "changes"]), "no changes\n");
    silent("the log", &device.log());
}

#[test]
fn wrong_words_around_it_do_not_repeat_it() {
    let device = Device::builder().start();
    let assigned = format!("cwmp.acs_password={CANARY}");
    let wrong: [&[&str]; 6] = [
        &["set", "cwmp.acs_password", CANARY],
        &["sett", &assigned],
        &["set", &assigned, "--no-such"],
        &["cwmp", "set", &assigned],
        &["set", &format!("cwmp.acs_pasword={CANARY}")],
        &["set", &format!("cwmp.acs_pasword {CANARY}")],
    ];
    for words in wrong {
        let output = device.ctl(words);
        assert!(matches!(output.status, 1 | 2) && !output.stderr.is_empty(), "{output:?}");
        silent("an error", &[output.stdout, output.stderr].concat());
    }
    silent("the log", &device.log());
}

#[test]
fn it_lies_in_files_that_only_their_owner_reads() {
    let mut device = Device::builder().start();
    set_the_canary(&device);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    let state = device.directory().join("state");
    wait_until("the backup", || state.join("state.db.backup").exists());
    let closed = |what: &str| {
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700, "{what}");
        let entries = fs::read_dir(&state).unwrap().map(Result::unwrap);
        let check = |entry: fs::DirEntry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{what}: {}", entry.path().display());
            entry.file_name().into_string().unwrap()
        };
        let names: Vec<_> = entries.map(check).collect();
        for name in ["state.db", "state.db.backup", "log.db"] {
            assert!(names.iter().any(|n| n == name), "{what}: no {name} in {names:?}");
        }
    };
    closed("while it runs");
    device.stop();
    closed("when it has stopped");
    let stored = fs::read(state.join("state.db")).unwrap();
    assert!(stored.windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()), "it is kept somewhere");

    // A file that was damaged holds it as well.
    fs::write(state.join("state.db"), CANARY.repeat(1000)).unwrap();
    device.start_again();
    assert!(state.join("state.db.damaged").exists());
    closed("after a damage");
    silent("the log", &device.log());
}
