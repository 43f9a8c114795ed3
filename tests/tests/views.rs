//! Live views: what is followed comes in order, once, also over a restart of the supervisor, and within bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use nix::sys::signal::Signal;
use serde_json::Value as Json;
use tests::Device;
use tests::follower::Follower;
use tests::process::{signal, wait_until};

const AWAY: &str = "the supervisor is away, waiting";

/// A change of the configuration, and so a line of the config log.
fn change(device: &Device, to: &str) {
    device.ctl_ok(&["set", &format!("cwmp.provisioning_code={to}")]);
    device.ctl_ok(&["apply"]);
}

fn new_value(line: &Json) -> Json {
    line["entry"]["Change"]["new"].clone()
}

#[test]
fn a_followed_log_loses_and_repeats_nothing_over_restarts() {
    let mut device = Device::builder().start();
    let empty = Follower::start(&device, &["--json", "cwmp", "show", "log", "--follow", "--limit", "1"]);
    change(&device, "0");
    let all = Follower::start(&device, &["--json", "cwmp", "show", "log", "--follow"]);
    assert_eq!((new_value(&empty.json()), new_value(&all.json())), ("0".into(), "0".into()));
    let mut last = 1;
    for restart in 1..=2 {
        if restart == 1 {
            device.stop();
        } else {
            device.kill_supervisor();
        }
        wait_until("both to say that they wait", || {
            [&empty, &all].iter().all(|follower| follower.said().matches(AWAY).count() == restart)
        });
        device.start_again();
        // More than the limit of one of them: what came while it was away is not left out.
        for n in 0..3 {
            change(&device, &format!("{restart}{n}"));
        }
        for n in 0..3 {
            last += 1;
            for follower in [&empty, &all] {
                let line = follower.json();
                assert_eq!(new_value(&line), format!("{restart}{n}"), "{line}");
                assert_eq!(line["id"], last, "{line}");
            }
        }
    }
    assert_eq!(all.said().lines().count(), 2, "{}", all.said());
}

#[test]
fn the_watched_status_comes_at_once_when_it_changes_and_after_a_restart() {
    let mut device = Device::builder().start();
    device.wait_status("that the worker is there", |s| s["worker"]["pid"].is_u64());
    let mut follower = Follower::start(&device, &["--json", "cwmp", "show", "status", "--watch"]);
    let state = |follower: &Follower| follower.json()["acs"]["state"].clone();
    assert_eq!(state(&follower), "no_url");
    device.ctl_ok(&["set", "cwmp.enable=0"]);
    device.ctl_ok(&["apply"]);
    device.ctl_ok(&["save"]);
    while state(&follower) != "disabled" {}
    device.stop();
    wait_until("it to say that it waits", || follower.said().contains(AWAY));
    device.start_again();
    assert_eq!(state(&follower), "disabled");
    device.ctl_ok(&["set", "cwmp.acs_url=http://a.example.org/"]);
    device.ctl_ok(&["apply"]);
    while follower.json()["acs"]["url"] != "http://a.example.org/" {}
    assert_eq!(follower.said().matches(AWAY).count(), 1, "{}", follower.said());
    // Ctrl-C, also while it waits.
    device.stop();
    wait_until("it to wait again", || follower.said().matches(AWAY).count() == 2);
    signal(follower.child.id(), Signal::SIGINT);
    assert!(!follower.wait().success());
}

#[test]
fn without_a_supervisor_from_the_start_nothing_is_waited_for() {
    let mut device = Device::builder().start();
    device.stop();
    for words in [&["cwmp", "show", "log", "--follow"][..], &["cwmp", "show", "status", "--watch"]] {
        let output = device.ctl(words);
        assert_eq!(output.status, 3, "{output:?}");
        assert!(output.stderr.contains("is cwmp-supervisor running"), "{output:?}");
    }
}

#[test]
fn the_33rd_view_is_refused_and_everything_else_goes_on() {
    let device = Device::builder().start();
    change(&device, "first");
    let mut views: Vec<_> =
        (0..32).map(|_| Follower::start(&device, &["--json", "cwmp", "show", "log", "--follow"])).collect();
    for view in &views {
        assert_eq!(new_value(&view.json()), "first");
    }
    for words in [&["cwmp", "show", "status", "--watch"][..], &["cwmp", "show", "client", "log", "--follow"]]
    {
        let output = device.ctl(words);
        assert_eq!(output.status, 1, "{output:?}");
        let wanted = "cwmpctl: busy: 32 live views are open already: end some of them\n";
        assert_eq!(output.stderr, wanted);
    }
    change(&device, "second");
    assert_eq!(device.ctl_ok(&["cwmp", "show", "log"]).lines().count(), 2);
    for view in &views {
        assert_eq!(new_value(&view.json()), "second");
    }
    views.pop();
    let mut next = Follower::start(&device, &["cwmp", "show", "log", "--follow", "--limit", "1"]);
    wait_until("a place for another", || {
        if next.child.try_wait().unwrap().is_some() {
            next = Follower::start(&device, &["cwmp", "show", "log", "--follow", "--limit", "1"]);
        }
        next.said().is_empty()
    });
    assert!(next.line().contains("second"));
}

#[test]
fn a_pipe_that_closes_ends_it_quietly() {
    let device = Device::builder().start();
    let mut follower = Follower::start(&device, &["cwmp", "show", "log", "--follow"]);
    follower.close_pipe();
    let mut code = 0;
    wait_until("cwmpctl to end", || {
        code += 1;
        change(&device, &code.to_string());
        follower.child.try_wait().unwrap().is_some_and(|status| status.success())
    });
    assert_eq!(follower.said(), "");
}

#[test]
fn head_gets_its_line_and_a_full_disk_is_told() {
    let device = Device::builder().start();
    for n in 0..20 {
        change(&device, &n.to_string());
    }
    let ctl = tests::binaries::program("cwmpctl");
    let run = |end: &str| {
        let line = format!("{} --socket {} cwmp show log {end}", ctl.display(), device.socket().display());
        let line = format!("{line}; echo ${{PIPESTATUS[0]}} >&2");
        let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (out, said) = run("| head -1");
    assert_eq!((out.lines().count(), said.as_str()), (1, "0\n"));
    let (_, said) = run("> /dev/full");
    assert!(said.starts_with("cwmpctl: the answer cannot be written") && said.ends_with("\n1\n"), "{said}");
}
