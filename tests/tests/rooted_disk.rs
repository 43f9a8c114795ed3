//! A full or a read-only disk: what was stored stands, people and the ACS are told, and space is all it takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tests::acs::envelope::{get_parameter_values, set_parameter_values};
use tests::acs::{Ending, decode, rules};
use tests::device::{Device, PATIENCE};
use tests::process::wait_until;
use tests::{Acs, Plan, may_unshare};

const CODE: &str = "cwmp.con_req_username";
const FULL: &str = "the disk is full: nothing was changed; free some space in the state directory";

/// A small file system on the state directory, in a mount namespace that lasts as long as this value.
struct SmallDisk {
    holder: Child,
    state: PathBuf,
    directory: TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::Builder::new().prefix("cwmp").tempdir_in("/tmp").unwrap();
        let state = directory.path().join("state");
        fs::create_dir(&state).unwrap();
        let script = r#"mount -t tmpfs -o size=1m,mode=700 tmpfs "$1" && echo mounted && read -r _"#;
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&state);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        Self { holder, state, directory }
    }

    fn device(&self, acs: &Acs) -> Device {
        let pid = self.holder.id().to_string();
        Device::builder()
            .in_directory(self.directory.path())
            .started_through(&["nsenter", "--target", &pid, "--mount"])
            .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
            .start()
    }

    /// A file of the state directory, seen from outside.
    fn file(&self, name: &str) -> PathBuf {
        let inside = self.state.strip_prefix("/").unwrap().join(name);
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.file("filler")).unwrap();
        loop {
            match file.write(&[0; 4096]) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => return,
                Err(e) => panic!("cannot fill the disk: {e}"),
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.file("filler")).unwrap();
    }

    fn remount(&self, how: &str) {
        let pid = self.holder.id().to_string();
        let mut mount = Command::new("nsenter");
        mount.args(["--target", &pid, "--mount", "mount", "-o", &format!("remount,{how}")]).arg(&self.state);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The end of its input ends it, and the namespace with it.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn change(device: &Device, value: &str) {
    device.ctl_ok(&["set", &format!("{CODE}={value}")]);
    device.ctl_ok(&["apply"]);
}

fn value(device: &Device) -> String {
    device.ctl_ok(&["get", CODE]).trim().to_owned()
}

fn refused_as_full(device: &Device, words: &[&str]) {
    let output = device.ctl(words);
    assert_eq!(output.status, 1, "{words:?}: {output:?}");
    assert!(output.stderr.contains(FULL), "{words:?}: {}", output.stderr);
}

#[test]
#[ignore = "root"]
fn on_a_full_disk_nothing_is_lost_and_space_is_all_it_takes() {
    if !may_unshare() {
        return;
    }
    let (acs, disk) = (Acs::start(), SmallDisk::mount());
    let mut device = disk.device(&acs);
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    change(&device, "saved");
    device.ctl_ok(&["save"]);
    change(&device, "running");
    // The backup comes a moment after the start, and must not meet the full disk here.
    wait_until("the backup", || disk.file("state.db.backup").exists());
    disk.fill();

    refused_as_full(&device, &["save"]);
    device.ctl_ok(&["set", &format!("{CODE}=refused")]);
    refused_as_full(&device, &["apply"]);
    assert_eq!(value(&device), "running");
    assert!(device.ctl_ok(&["show", "changes"]).contains("refused"), "what was set still waits");
    assert!(device.ctl_ok(&["cwmp", "show", "status"]).contains(&format!("Warning             {FULL}")));

    // The ACS gets a fault for its write, and answers for its reads, in a session that goes on.
    let code = "Device.ManagementServer.ConnectionRequestUsername";
    acs.plan(
        Plan::new()
            .send(set_parameter_values(&[(code, "xsd:string", "theirs")], "their-key"))
            .send(get_parameter_values(&[code, "Device.ManagementServer.ParameterKey"])),
    );
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].ending, Ending::Clean);
    assert_eq!(decode::fault(&sessions[1].nth("Fault", 0).body).code, 9002);
    let values = decode::values(&sessions[1].nth("GetParameterValuesResponse", 0).body);
    let read: Vec<_> = values.iter().map(|p| p.value.as_str()).collect();
    assert_eq!(read, ["running", ""], "all or nothing");
    rules::assert_kept(&sessions);

    // A supervisor that dies now comes back with what it had.
    device.kill_supervisor();
    device.start_again();
    assert_eq!(value(&device), "running");

    disk.free();
    let supervisor = device.supervisor_pid();
    change(&device, "after");
    device.ctl_ok(&["save"]);
    assert_eq!(device.status()["warnings"].as_array().unwrap().len(), 0);
    acs.plan(Plan::new().send(set_parameter_values(&[(code, "xsd:string", "theirs")], "their-key")));
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(3, PATIENCE);
    assert_eq!(decode::set_status(&sessions[2].nth("SetParameterValuesResponse", 0).body), 0);
    assert_eq!(device.supervisor_pid(), supervisor, "without a restart");
    device.kill_supervisor();
    device.reboot();
    assert_eq!(value(&device), "theirs");
}

#[test]
#[ignore = "root"]
fn a_device_that_boots_with_a_full_disk_stays_in_reach() {
    if !may_unshare() {
        return;
    }
    let (acs, disk) = (Acs::start(), SmallDisk::mount());
    let mut device = disk.device(&acs);
    acs.wait_sessions(1, PATIENCE);
    change(&device, "saved");
    device.ctl_ok(&["save"]);
    device.stop();
    disk.fill();
    device.reboot();
    let status = device.status();
    assert!(
        status["warnings"].to_string().contains("this start could not be stored: the disk is full"),
        "{status:#}"
    );
    assert_eq!(value(&device), "saved");
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(sessions[1].inform().event_codes(), ["1 BOOT"]);
    device.ctl_ok(&["set", &format!("{CODE}=refused")]);
    refused_as_full(&device, &["apply"]);
    disk.free();
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["cwmp", "inform"]);
    assert_eq!(acs.wait_sessions(3, PATIENCE)[2].inform().event_codes(), ["2 PERIODIC"]);
}

#[test]
#[ignore = "root"]
fn a_read_only_disk_is_read_and_every_change_refused() {
    if !may_unshare() {
        return;
    }
    let (acs, disk) = (Acs::start(), SmallDisk::mount());
    let mut device = disk.device(&acs);
    acs.wait_sessions(1, PATIENCE);
    change(&device, "saved");
    device.ctl_ok(&["save"]);
    device.kill_supervisor();
    disk.remount("ro");
    device.start_again();
    assert_eq!(value(&device), "saved");
    let told = "the state directory is read-only: nothing was changed; mount it writable";
    assert!(device.ctl_ok(&["cwmp", "show", "status"]).contains(&format!("Warning             {told}")));
    device.ctl_ok(&["set", &format!("{CODE}=refused")]);
    let output = device.ctl(&["apply"]);
    assert!(output.status == 1 && output.stderr.contains(told), "{output:?}");
    acs.plan(Plan::new().send(set_parameter_values(
        &[("Device.ManagementServer.ConnectionRequestUsername", "xsd:string", "theirs")],
        "",
    )));
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert_eq!(decode::fault(&sessions[1].nth("Fault", 0).body).code, 9002);
    assert_eq!(value(&device), "saved");
    device.stop();
    disk.remount("rw");
    device.start_again();
    assert_eq!(value(&device), "saved");
    assert_eq!(device.status()["warnings"].as_array().unwrap().len(), 0);
}
