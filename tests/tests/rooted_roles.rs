//! Who may do what: users of the system's groups at the management socket, and the worker as a user of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests::acs::rules;
use tests::binaries::program;
use tests::device::{Builder, Output, PATIENCE};
use tests::peers::RawPeer;
use tests::process::{field, wait_until};
use tests::{Acs, Device, may_unshare};

/// User and primary group of those who call.
type Who = (u32, u32);
const STRANGER: Who = (64_000, 64_000);
const LOOKER: Who = (64_001, 64_001);
const CHANGER: Who = (64_002, 64_002);
/// Of group cwmp by its primary group alone, and unknown to the user database.
const NAMELESS_LOOKER: Who = (64_003, 64_011);

/// A device that sees users and groups of its own, and whose programs everyone can run.
struct Shared {
    device: Device,
    directory: TempDir,
}

impl Shared {
    fn start(choose: impl FnOnce(Builder, &Path) -> Builder) -> Self {
        let directory = tempfile::Builder::new().prefix("cwmp").tempdir_in("/tmp").unwrap();
        let place = directory.path();
        fs::set_permissions(place, fs::Permissions::from_mode(0o711)).unwrap();
        for name in ["cwmpctl", "cwmpd"] {
            fs::copy(program(name), place.join(name)).unwrap();
        }
        add(
            place,
            "passwd",
            "stranger:x:64000:64000::/:/bin/false\nlooker:x:64001:64001::/:/bin/false\nchanger:x:64002:64002::/:/bin/false\n",
        );
        add(place, "group", "cwmp:x:64011:looker\ncwmp-admin:x:64012:changer\n");
        let mounts = ["passwd", "group"]
            .map(|name| format!("mount --bind {place}/{name} /etc/{name} && ", place = place.display()));
        let script = format!("{}exec \"$@\"", mounts.concat());
        let through = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"];
        let builder = Device::builder().in_directory(place).started_through(&through);
        let mut device = choose(builder, place).prepare();
        fs::set_permissions(place.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        device.start_again();
        Self { device, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run_as(&self, (uid, gid): Who, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.uid(uid).gid(gid).current_dir("/").stdin(Stdio::null());
        command
    }

    /// cwmpctl in the hands of this user.
    fn ctl_as(&self, who: Who, words: &[&str]) -> Output {
        let output =
            self.run_as(who, "cwmpctl").arg("--socket").arg(self.device.socket()).args(words).output();
        let output = output.unwrap();
        Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The system's file with these lines more, for the device alone.
fn add(place: &Path, name: &str, lines: &str) {
    let text = fs::read_to_string(Path::new("/etc").join(name)).unwrap();
    fs::write(place.join(name), format!("{}\n{lines}", text.trim_end())).unwrap();
    fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o644)).unwrap();
}

const LOOKS: [&[&str]; 4] =
    [&["get", "cwmp.acs_url"], &["show", "cwmp"], &["show", "changes"], &["cwmp", "show", "status"]];
const CHANGES: [&[&str]; 6] = [
    &["set", "cwmp.provisioning_code=theirs"],
    &["apply"],
    &["save"],
    &["revert"],
    &["cwmp", "inform"],
    &["cwmp", "restart"],
];

#[test]
#[ignore = "root"]
fn each_user_may_do_what_the_groups_say() {
    if !may_unshare() {
        return;
    }
    let shared = Shared::start(|builder, _| builder);
    let root = &shared.device;
    root.ctl_ok(&["set", "cwmp.provisioning_code=pending"]);
    let neither =
        "stranger may neither look nor change: ask root to add stranger to group cwmp or cwmp-admin";
    let only_look = "looker may look but not change: ask root to add looker to group cwmp-admin";
    let nameless = "uid 64003 may look but not change";
    let refused = |who: Who, words: &[&str], told: &str| {
        let output = shared.ctl_as(who, words);
        assert_eq!((output.status, output.stdout.as_str()), (1, ""), "{words:?}: {output:?}");
        assert!(output.stderr.contains(told), "{words:?}: {}", output.stderr);
    };
    for words in LOOKS {
        refused(STRANGER, words, neither);
        for who in [LOOKER, NAMELESS_LOOKER, CHANGER] {
            let output = shared.ctl_as(who, words);
            assert_eq!(output.status, 0, "{who:?} {words:?}: {output:?}");
            assert_eq!(output.stderr, "");
        }
    }
    for words in CHANGES {
        refused(STRANGER, words, neither);
        refused(LOOKER, words, only_look);
        refused(NAMELESS_LOOKER, words, nameless);
    }
    // What was tried changed nothing: root's own change still waits.
    let changes = root.ctl_ok(&["show", "changes"]);
    assert!(changes.contains("pending") && changes.contains("by root"), "{changes}");
    assert_eq!(root.status()["worker"]["restarts"], 0);
    root.wait_log(neither);

    assert_eq!(shared.ctl_as(CHANGER, &["set", "cwmp.provisioning_code=changed"]).status, 0);
    assert!(root.ctl_ok(&["show", "changes"]).contains("by changer"));
    for words in [&["apply"][..], &["save"], &["cwmp", "restart"], &["cwmp", "inform"], &["revert"]] {
        let output = shared.ctl_as(CHANGER, words);
        assert_eq!(output.status, 0, "{words:?}: {output:?}");
    }
    assert_eq!(root.ctl_ok(&["get", "cwmp.provisioning_code"]), "changed\n");
}

#[test]
#[ignore = "root"]
fn idle_strangers_lock_nobody_out() {
    if !may_unshare() {
        return;
    }
    let shared = Shared::start(|builder, _| builder.send_ms(60_000));
    // Perl belongs to every Debian. Each of the forty says Hello and nothing more.
    let script = r#"use IO::Socket::UNIX; $SIG{PIPE} = "IGNORE"; $| = 1;
        @all = map { IO::Socket::UNIX->new(Peer => $ARGV[0]) } 1..40;
        syswrite $_, "\x08\0\0\0CWMIC\x01\0\0" for @all;
        sysread $_, $heard, 1 or $gone++ for @all; print "$gone turned away\n"; <STDIN>;"#;
    let mut crowd = Command::new("perl");
    crowd.uid(STRANGER.0).gid(STRANGER.1).current_dir("/").args(["-e", script]).arg(shared.device.socket());
    let mut crowd = crowd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(crowd.stdout.take().unwrap()).read_line(&mut said).unwrap();
    // Four are served, eight are being told, the others are dropped.
    assert_eq!(said, "28 turned away\n");
    for who in [LOOKER, CHANGER] {
        assert_eq!(shared.ctl_as(who, &["cwmp", "show", "status"]).status, 0);
    }
    shared.device.ctl_ok(&["show", "cwmp"]);
    drop(crowd.stdin.take());
    crowd.wait().unwrap();
    // Then strangers are told again that they are strangers.
    wait_until("a place", || {
        shared.ctl_as(STRANGER, &["show", "cwmp"]).stderr.contains("stranger may neither")
    });
}

#[test]
#[ignore = "root"]
fn strangers_that_ask_nothing_do_not_stay() {
    if !may_unshare() {
        return;
    }
    let shared = Shared::start(|builder, _| builder.send_ms(200));
    let script = r#"use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Peer => $ARGV[0]);
        syswrite $s, "\x08\0\0\0CWMIC\x01\0\0"; 1 while sysread $s, $heard, 100; print "closed\n";"#;
    let mut stranger = Command::new("timeout");
    stranger.args(["20", "perl", "-e", script]).arg(shared.device.socket());
    let output = stranger.uid(STRANGER.0).gid(STRANGER.1).current_dir("/").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "closed\n", "{output:?}");
}

#[test]
#[ignore = "root"]
fn the_worker_runs_as_its_own_user_with_nothing_more() {
    if !may_unshare() {
        return;
    }
    let acs = Acs::start();
    let shared =
        Shared::start(|builder, place| builder.worker_user("looker").worker_program(&place.join("cwmpd")));
    let device = &shared.device;
    device.use_acs(&acs.url());
    rules::assert_kept(&acs.wait_sessions(1, PATIENCE));
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    let pid = u32::try_from(status["worker"]["pid"].as_u64().unwrap()).unwrap();
    let (uid, gid) = LOOKER;
    assert_eq!(field(pid, "Uid:").unwrap(), format!("{uid}\t{uid}\t{uid}\t{uid}"));
    assert_eq!(field(pid, "Gid:").unwrap(), format!("{gid}\t{gid}\t{gid}\t{gid}"));
    // Not even the groups that its user has.
    assert_eq!(field(pid, "Groups:").unwrap(), "");
    for set in ["CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(pid, set).unwrap().trim_start_matches('0'), "", "{set}");
    }

    // Its socket is its own.
    let socket = fs::metadata(device.worker_socket()).unwrap();
    assert_eq!((socket.uid(), socket.permissions().mode() & 0o777), (uid, 0o600));
    let mut root = RawPeer::connect(&device.worker_socket());
    root.wait_closed();
    device.wait_log("uid 0 (pid");
    let other =
        shared.run_as(CHANGER, "cwmpd").arg("--socket").arg(device.worker_socket()).arg("--child").output();
    let other = other.unwrap();
    assert!(!other.status.success());
    assert!(String::from_utf8_lossy(&other.stderr).contains("Permission denied"), "{other:?}");
    // Neither disturbed the worker.
    assert_eq!(device.status()["worker"]["pid"], pid);

    // It cannot read what the supervisor keeps, and comes back as the same user.
    assert_eq!(fs::metadata(shared.path("state")).unwrap().permissions().mode() & 0o777, 0o700);
    device.ctl_ok(&["cwmp", "restart"]);
    acs.wait_sessions(2, PATIENCE);
    let again = u32::try_from(device.status()["worker"]["pid"].as_u64().unwrap()).unwrap();
    assert_ne!(again, pid);
    assert!(field(again, "Uid:").unwrap().starts_with(&uid.to_string()));
}
