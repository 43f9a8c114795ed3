//! A store that was damaged: as little as can be is lost, nothing is thrown away unseen, and a person is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use tests::Acs;
use tests::acs::Session;
use tests::device::{Device, PATIENCE};
use tests::process::wait_until;

const CODE: &str = "cwmp.con_req_username";

fn state(device: &Device, name: &str) -> PathBuf {
    device.directory().join("state").join(name)
}

/// A stopped device with saved values, the ACS's URL among them, whose first session is over and backup taken.
fn device_with_backup(acs: &Acs) -> Device {
    let mut device = Device::builder().start();
    // The backup follows the start by a second and holds what was saved until then: so it is made again.
    device.use_acs(&acs.url());
    device.ctl_ok(&["set", &format!("{CODE}=saved")]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    device.stop();
    let _ = fs::remove_file(state(&device, "state.db.backup"));
    device.start_again();
    wait_until("the backup", || state(&device, "state.db.backup").exists());
    device.stop();
    device
}

/// What the start must say, loudly in the log and in both forms of the status.
fn told(device: &Device, words: &[&str]) {
    let log = device.log();
    let warnings = device.status()["warnings"].to_string();
    let shown = device.ctl_ok(&["cwmp", "show", "status"]);
    for word in words {
        assert!(log.lines().any(|l| l.contains("ERROR") && l.contains(word)), "no {word} in {log}");
        assert!(warnings.contains(word), "no {word} in {warnings}");
        assert!(shown.lines().any(|l| l.starts_with("Warning") && l.contains(word)), "no {word} in {shown}");
    }
}

fn inform_codes(session: &Session) -> Vec<String> {
    session.inform().event_codes().iter().map(ToString::to_string).collect()
}

fn overwrite_the_middle(device: &Device) {
    let file = File::options().write(true).open(state(device, "state.db")).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(length >= 3 * 4096, "{length} bytes");
    let middle = vec![0xaa; usize::try_from(length - 4096 - 512).unwrap()];
    file.write_all_at(&middle, 4096).unwrap();
}

/// Damages the store of a stopped device: the backup takes its place, and the device goes on with it.
fn survives(damage: impl FnOnce(&Device)) {
    let acs = Acs::start();
    let mut device = device_with_backup(&acs);
    damage(&device);
    let damaged = fs::read(state(&device, "state.db")).unwrap();
    device.start_again();
    told(&device, &["the store was damaged", "state.db.damaged", "the last backup took its place"]);
    let kept = fs::read(state(&device, "state.db.damaged")).unwrap();
    // In an empty one there is nothing to keep.
    assert!(kept == damaged || damaged.is_empty(), "it was not kept as it was");
    assert_eq!(device.ctl_ok(&["get", CODE]), "saved\n");
    assert_eq!(device.ctl_ok(&["get", "cwmp.acs_url"]).trim(), acs.url());
    // The backup knows what the ACS acknowledged: the device is not new to it.
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(inform_codes(&sessions[1]), ["2 PERIODIC"]);
    device.ctl_ok(&["set", &format!("{CODE}=after")]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    // Said once: the next start has nothing to complain about.
    device.kill_supervisor();
    device.start_again();
    assert_eq!(device.ctl_ok(&["get", CODE]), "after\n");
    assert_eq!(device.status()["warnings"].as_array().unwrap().len(), 0);
}

#[test]
fn the_backup_takes_the_place_of_a_store_that_was_overwritten() {
    survives(overwrite_the_middle);
}

#[test]
fn the_backup_takes_the_place_of_a_store_that_was_truncated() {
    survives(|device| {
        File::options().write(true).open(state(device, "state.db")).unwrap().set_len(6000).unwrap()
    });
}

#[test]
fn the_backup_takes_the_place_of_a_store_that_was_emptied() {
    survives(|device| fs::write(state(device, "state.db"), b"").unwrap());
}

#[test]
fn the_backup_takes_the_place_of_what_is_no_store_at_all() {
    survives(|device| fs::write(state(device, "state.db"), "not a database at all. ".repeat(500)).unwrap());
}

#[test]
fn a_store_that_is_gone_beside_its_backup_is_restored() {
    let acs = Acs::start();
    let mut device = device_with_backup(&acs);
    fs::remove_file(state(&device, "state.db")).unwrap();
    device.start_again();
    told(&device, &["the last backup took its place"]);
    assert_eq!(device.ctl_ok(&["get", CODE]), "saved\n");
}

#[test]
fn without_a_backup_the_device_starts_as_from_the_factory() {
    let acs = Acs::start();
    let mut device = Device::builder().factory("cwmp.acs_url", &format!("\"{}\"", acs.url())).start();
    acs.wait_sessions(1, PATIENCE);
    device.ctl_ok(&["set", &format!("{CODE}=saved")]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    device.stop();
    let _ = fs::remove_file(state(&device, "state.db.backup"));
    fs::write(state(&device, "state.db"), vec![0xaa; 9000]).unwrap();
    device.start_again();
    told(&device, &["the store was damaged", "there is no backup: the device starts with factory values"]);
    assert_ne!(device.ctl_ok(&["get", CODE]), "saved\n");
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(inform_codes(&sessions[1]), ["0 BOOTSTRAP", "1 BOOT"]);
    assert_eq!(fs::read(state(&device, "state.db.damaged")).unwrap(), vec![0xaa; 9000]);
}

#[test]
fn a_backup_that_is_no_better_does_not_keep_the_device_down() {
    let acs = Acs::start();
    let mut device = device_with_backup(&acs);
    overwrite_the_middle(&device);
    fs::write(state(&device, "state.db.backup"), "no backup either").unwrap();
    device.start_again();
    told(&device, &["the store was damaged", "the backup is damaged too", "factory values"]);
    assert_eq!(fs::read(state(&device, "state.db.backup.damaged")).unwrap(), b"no backup either");
    assert_eq!(device.ctl_ok(&["get", "cwmp.acs_url"]), "\n");
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(inform_codes(&sessions[1]), ["0 BOOTSTRAP", "1 BOOT"]);
}

#[test]
fn a_damaged_log_of_sessions_is_made_anew_and_nothing_else_is_lost() {
    let damages: [fn(&Device); 2] = [
        |device| fs::write(state(device, "log.db"), "not a database at all. ".repeat(500)).unwrap(),
        |device| {
            let file = File::options().write(true).open(state(device, "log.db")).unwrap();
            file.write_all_at(&[0xaa; 4096], 4096).unwrap();
        },
    ];
    for damage in damages {
        let acs = Acs::start();
        let mut device = device_with_backup(&acs);
        damage(&device);
        device.start_again();
        told(&device, &["the log file was unreadable and is made anew"]);
        assert!(device.status()["last_session"].is_null());
        assert_eq!(device.ctl_ok(&["get", CODE]), "saved\n");
        device.ctl_ok(&["cwmp", "inform"]);
        acs.wait_sessions(2, PATIENCE);
        device.wait_status("a last session", |s| !s["last_session"].is_null());
        device.stop();
        device.start_again();
        // It was written to the new file.
        assert_eq!(device.status()["last_session"]["outcome"], "succeeded");
    }
}

#[test]
fn a_store_of_a_later_version_is_refused_and_left_as_it_is() {
    let acs = Acs::start();
    let mut device = device_with_backup(&acs);
    // user_version stands at byte 60 of every SQLite file.
    let file = File::options().read(true).write(true).open(state(&device, "state.db")).unwrap();
    let mut own = [0; 4];
    file.read_exact_at(&mut own, 60).unwrap();
    file.write_all_at(&99u32.to_be_bytes(), 60).unwrap();
    let before = fs::read(state(&device, "state.db")).unwrap();
    let output = device.supervisor(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    let knows = format!("knows up to {}", u32::from_be_bytes(own));
    for told in ["state.db has schema version 99", &knows, "install the newer version again"] {
        assert!(output.stderr.contains(told), "no {told}: {}", output.stderr);
    }
    assert_eq!(fs::read(state(&device, "state.db")).unwrap(), before);
    assert!(!state(&device, "state.db.damaged").exists());
    file.write_all_at(&own, 60).unwrap();
    device.start_again();
    assert_eq!(device.ctl_ok(&["get", CODE]), "saved\n");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let device = Device::builder().prepare();
    let directory = device.directory().join("state");
    fs::remove_dir(&directory).unwrap();
    fs::write(&directory, "a file").unwrap();
    let output = device.supervisor(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains(&format!("cannot use {}", directory.display())), "{}", output.stderr);
    assert_eq!(fs::read_to_string(&directory).unwrap(), "a file");
}

#[test]
fn a_start_repairs_modes_that_let_others_read() {
    let acs = Acs::start();
    let mut device = device_with_backup(&acs);
    fs::set_permissions(device.directory().join("state"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(state(&device, "state.db"), fs::Permissions::from_mode(0o644)).unwrap();
    device.start_again();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(device.directory().join("state")), 0o700);
    assert_eq!(mode(state(&device, "state.db")), 0o600);
}
