//! Measures what the README states: sizes, memory at rest, times to the Inform, CPU and wall of a session.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tests::{Acs, Device, binaries::program, process::cpu};

const PATIENCE: Duration = Duration::from_secs(60);
/// Starts and restarts that are timed.
const STARTS: usize = 20;
/// Sessions of each CPU figure.
const SESSIONS: usize = 50;
/// How long the daemons are left alone before their memory is read.
const REST: Duration = Duration::from_secs(5);

fn main() {
    println!("| what | figure |\n| --- | --- |");
    for name in ["cwmp-supervisor", "cwmpd", "cwmpctl"] {
        let bytes = fs::metadata(program(name)).expect("the program is built").len();
        println!("| size of `{name}` | {:.1} MB |", bytes as f64 / 1e6);
    }
    memory();
    start_to_inform();
    restart_to_inform();
    for (gap, second_ms) in [("0.05 s", 50), ("1 s", 1000)] {
        warm_sessions(gap, second_ms);
    }
}

/// Proportional set size of both daemons, at rest after a session.
fn memory() {
    let acs = Acs::start().unjudged();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let worker = device.worker_pid();
    // What is measured is rest itself, so here a time is waited for.
    std::thread::sleep(REST);
    for (name, pid) in [("cwmp-supervisor", device.supervisor_pid()), ("cwmpd", worker)] {
        println!(
            "| PSS of `{name}`, {} s after a session | {:.1} MB |",
            REST.as_secs(),
            pss_kib(pid) as f64 / 1e3
        );
    }
}

/// From starting the program `cwmpd` to the last byte of its Inform at the ACS.
fn start_to_inform() {
    let times = (0..STARTS).map(|_| {
        let acs = Acs::start().unjudged();
        let device = Device::builder().external_worker().start();
        device.use_acs(&acs.url());
        let begin = acs.clock();
        let mut worker = start_worker(&device);
        let session = acs.wait_sessions(1, PATIENCE).swap_remove(0);
        let time = session.messages[0].at - begin;
        worker.kill().expect("the worker is ours to kill");
        worker.wait().expect("a child can be waited for");
        time
    });
    report("start of `cwmpd` to its Inform at the ACS", times.collect());
}

/// From `cwmpctl cwmp restart` to the Inform of the new worker.
fn restart_to_inform() {
    let acs = Acs::start().unjudged();
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    acs.wait_sessions(1, PATIENCE);
    let times = (0..STARTS).map(|n| {
        let begin = acs.clock();
        device.ctl_ok(&["cwmp", "restart"]);
        let session = acs.wait_sessions(n + 2, PATIENCE).swap_remove(n + 1);
        session.messages[0].at - begin
    });
    report("`cwmpctl cwmp restart` to the Inform at the ACS", times.collect());
}

/// Bare periodic sessions (Inform, empty POST, 204): CPU of both daemons, and wall from the Inform's arrival
/// to the ACS's last answer.
fn warm_sessions(gap: &str, second_ms: u32) {
    let acs = Acs::start().unjudged();
    let device = Device::builder().second_ms(second_ms).factory("cwmp.periodicinforminterval", "1").start();
    device.use_acs(&acs.url());
    let warm = acs.wait_sessions(10, PATIENCE).len();
    let pids = [device.supervisor_pid(), device.worker_pid()];
    let before = pids.map(cpu);
    let from = acs.sessions_so_far().max(warm);
    let sessions = acs.wait_sessions(from + SESSIONS, PATIENCE * 2);
    let done = acs.sessions_so_far() - from;
    let spent: Vec<_> =
        pids.iter().zip(before).map(|(pid, before)| (cpu(*pid) - before) / done as u32).collect();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| CPU of one warm bare session, {gap} between sessions | {:.2} ms (`cwmpd` {:.2}, `cwmp-supervisor` {:.2}) |",
        milliseconds(spent[0] + spent[1]),
        milliseconds(spent[1]),
        milliseconds(spent[0])
    );
    let walls = sessions[from..from + SESSIONS].iter().map(|session| {
        let last = session.messages.last().expect("a session has messages");
        last.at - session.messages[0].at
    });
    report(&format!("wall of one warm bare session at the ACS, {gap} between sessions"), walls.collect());
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3;
    println!("| {what} | median {:.1} ms, 90% under {:.1} ms, of {} |", at(0.5), at(0.9), times.len());
}

fn start_worker(device: &Device) -> Child {
    let mut command = Command::new(program("cwmpd"));
    command.arg("--socket").arg(device.worker_socket()).stdin(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the worker starts")
}

fn pss_kib(pid: u32) -> u64 {
    let rollup =
        fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process is ours to read");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("smaps_rollup has Pss");
    line.trim().trim_end_matches(" kB").parse().expect("Pss is a number")
}
