//! What already stands where the supervisor wants its sockets: the living is left alone, the dead is replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use tests::binaries::program;
use tests::device::{Device, PATIENCE};
use tests::{Acs, Plan};

const SOCKETS: [&str; 2] = ["run/supervisor.sock", "run/worker.sock"];

/// A value that a person can read back shows that the supervisor behind this device is the same and well.
fn set_and_read(device: &Device, value: &str) {
    device.ctl_ok(&["set", &format!("cwmp.provisioning_code={value}")]);
    device.ctl_ok(&["apply"]);
    assert_eq!(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim(), value);
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

#[test]
fn a_socket_that_a_living_process_answers_on_is_left_to_it() {
    for name in SOCKETS {
        let device = Device::builder().prepare();
        let path = device.directory().join(name);
        let owner = UnixListener::bind(&path).unwrap();
        let before = inode(&path);
        let output = device.supervisor(&[]);
        assert_eq!(output.status, 1, "{output:?}");
        let told = format!("the socket {} is in use by a running process", path.display());
        assert!(output.stderr.contains(&told), "{}", output.stderr);
        assert_eq!(inode(&path), before, "{name} was replaced");
        // Its owner still gets connections: the one that asked, and this one.
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"hello").unwrap();
        owner.accept().unwrap();
        let mut served = owner.accept().unwrap().0;
        served.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = [0; 5];
        served.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[test]
fn a_socket_that_a_dead_process_left_is_replaced() {
    let mut device = Device::builder().prepare();
    for name in SOCKETS {
        drop(UnixListener::bind(device.directory().join(name)).unwrap());
        assert!(device.directory().join(name).exists(), "a closed socket leaves its file");
    }
    device.start_again();
    set_and_read(&device, "A");
    device.wait_status("a worker", |s| s["worker"]["state"] == "running");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    for name in SOCKETS {
        let device = Device::builder().prepare();
        let path = device.directory().join(name);
        fs::write(&path, "precious").unwrap();
        let output = device.supervisor(&[]);
        assert_eq!(output.status, 1, "{output:?}");
        let told = format!("{} exists and is not a socket: move it away", path.display());
        assert!(output.stderr.contains(&told), "{}", output.stderr);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let device = Device::builder().prepare();
    let target = device.directory().join("target");
    fs::write(&target, "precious").unwrap();
    let path = device.socket();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let output = device.supervisor(&[]);
    assert!(output.status == 1 && output.stderr.contains("is not a socket"), "{output:?}");
    assert_eq!(fs::read_link(&path).unwrap(), target);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn a_path_that_is_too_long_is_refused_with_the_limit() {
    let device = Device::builder().prepare();
    let long = device.directory().join("x".repeat(100));
    let text = fs::read_to_string(device.settings_file()).unwrap();
    let run = device.directory().join("run").display().to_string();
    fs::write(device.settings_file(), text.replace(&run, &long.display().to_string())).unwrap();
    let output = device.supervisor(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    let length = long.join("supervisor.sock").as_os_str().len();
    let told = format!("has {length} bytes, at most 107 fit: choose a shorter runtime_dir");
    assert!(output.stderr.contains(&told), "{}", output.stderr);

    let far = device.directory().join("y".repeat(100));
    let ctl =
        Command::new(program("cwmpctl")).env("CWMP_SOCKET", &far).args(["show", "cwmp"]).output().unwrap();
    assert_eq!(ctl.status.code(), Some(3), "{ctl:?}");
    assert!(String::from_utf8_lossy(&ctl.stderr).contains("at most 107 fit"), "{ctl:?}");
}

#[test]
fn a_second_supervisor_on_the_same_state_is_refused_and_the_first_goes_on() {
    let acs = Acs::start();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    // Sockets of its own, so that only the store can stop it.
    let text = fs::read_to_string(device.settings_file()).unwrap();
    let run = device.directory().join("run").display().to_string();
    let other = device.directory().join("second.toml");
    fs::write(&other, text.replace(&run, &format!("{run}-2"))).unwrap();
    let output = Command::new("timeout")
        .args(["--signal=KILL", "30"])
        .arg(program("cwmp-supervisor"))
        .arg("--settings")
        .arg(&other)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = format!(
        "{} is in use by another cwmp-supervisor",
        device.directory().join("state/state.db").display()
    );
    assert!(said.contains(&told), "{said}");

    acs.plan(Plan::new());
    device.ctl_ok(&["cwmp", "inform"]);
    acs.wait_sessions(2, PATIENCE);
    set_and_read(&device, "B");
    device.ctl_ok(&["save"]);
}

#[test]
fn a_runtime_directory_that_cannot_be_made_or_written_is_named() {
    let device = Device::builder().prepare();
    let run = device.directory().join("run");
    fs::remove_dir(&run).unwrap();
    fs::write(&run, "a file").unwrap();
    let output = device.supervisor(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains(&run.display().to_string()), "{}", output.stderr);
    assert_eq!(fs::read_to_string(&run).unwrap(), "a file");
    if nix::unistd::geteuid().is_root() {
        return; // Root writes whatever the mode says.
    }
    fs::remove_file(&run).unwrap();
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o555)).unwrap();
    let output = device.supervisor(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("Permission denied") && output.stderr.contains("supervisor.sock"),
        "{output:?}"
    );
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
}
