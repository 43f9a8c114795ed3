//! What was promised is on disk before the promise is spoken: the order of the system calls, by strace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::process::{Child, Command, Stdio};

use tests::acs::envelope::set_parameter_values;
use tests::acs::{Ending, Session};
use tests::binaries::program;
use tests::device::PATIENCE;
use tests::trace::{self, Call, Trace};
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";

/// In the SessionOpened that the supervisor writes, and nowhere else.
const SESSION_OPENED: &str = "Device.RootDataModelVersion";

/// The Heartbeat with which the supervisor's side of a link begins: it promises nothing, and comes when it likes.
const HEARTBEAT: &str = r#""\1\0\0\0\0""#;

/// A worker that the test itself started, so that strace follows the supervisor alone.
struct Worker(Child);

impl Worker {
    fn start(device: &Device) -> Self {
        let mut command = Command::new(program("cwmpd"));
        command.arg("--socket").arg(device.worker_socket());
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that makes a promise, once, and a session that makes none: the supervisor's system calls.
fn promises(synchronous: &str) -> Option<Trace> {
    if !trace::is_possible() {
        tests::skipped("the order of fsync and reply: no strace that may trace (Debian: strace)");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trace");
    let acs = Acs::start();
    let set = |value| set_parameter_values(&[(INTERVAL, "xsd:unsignedInt", value)], value);
    acs.plan(Plan::new().send(set("4000000001")));
    let mut device = Device::builder()
        .external_worker()
        .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
        // No periodic Inform and no heartbeat comes between.
        .factory("cwmp.periodicinforminterval", "4000000000")
        .ipc_clocks(600_000, 60_000)
        .env("CWMP_TEST_SYNCHRONOUS", synchronous)
        .started_through(&trace::words(file.to_str().unwrap()))
        .start();
    let worker = Worker::start(&device);
    acs.wait_sessions(1, PATIENCE);
    device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    device.ctl_ok(&["set", "cwmp.acs_username=by a person"]);
    assert!(device.ctl_ok(&["apply"]).contains("running, not saved"));
    assert!(device.ctl_ok(&["save"]).contains("saved 1 value"));
    // A warm session, one in which the ACS sets a value, and one more to mark the end of that.
    for plan in [Plan::new(), Plan::new().send(set("4000000002")), Plan::new()] {
        acs.plan(plan);
        let number = acs.sessions_so_far() + 1;
        device.ctl_ok(&["cwmp", "inform"]);
        let sessions = acs.wait_sessions(number, PATIENCE);
        assert_eq!(sessions[number - 1].inform().event_codes(), ["2 PERIODIC"]);
    }
    // strace holds the pipe that this waits for, so its file is whole.
    device.stop();
    drop(worker);
    let sessions = acs.wait_sessions(4, PATIENCE);
    assert!(sessions.iter().map(|s: &Session| &s.ending).all(|ending| *ending == Ending::Clean));
    Some(Trace::parse(&std::fs::read_to_string(&file).unwrap()))
}

/// What the supervisor said on the worker's socket and on each connection of the management socket.
struct Spoken<'a> {
    trace: &'a Trace,
    worker: Vec<&'a Call>,
    people: Vec<Vec<&'a Call>>,
}

impl<'a> Spoken<'a> {
    fn of(trace: &'a Trace) -> Self {
        let worker = trace.connections("run/worker.sock");
        assert_eq!(worker.len(), 1, "one worker");
        let people = trace.connections("run/supervisor.sock");
        let worker = worker[0].iter().filter(|call| !call.text.contains(HEARTBEAT)).copied().collect();
        Self { trace, worker, people }
    }

    /// The SessionOpened of each session.
    fn sessions(&self) -> Vec<&'a Call> {
        let opened = |call: &&&Call| call.is_write() && call.text.contains(SESSION_OPENED);
        self.worker.iter().filter(opened).copied().collect()
    }

    fn next_write(&self, after: &Call) -> &'a Call {
        self.worker.iter().find(|call| call.is_write() && call.begun > after.ended).unwrap()
    }

    /// The request of a person that was answered with this text, and the answer.
    fn person(&self, answer: &str) -> (&'a Call, &'a Call) {
        let of = |calls: &&Vec<&Call>| calls.iter().any(|call| call.is_write() && call.text.contains(answer));
        let calls = self.people.iter().find(of).unwrap();
        let reply = calls.iter().rfind(|call| call.is_write()).unwrap();
        let request = calls.iter().rfind(|call| call.is_read() && call.ended < reply.begun).unwrap();
        (request, reply)
    }

    /// Each kind of promise: what asked for it, and the first words after it.
    fn promises(&self) -> Vec<(&'static str, &'a Call, &'a Call)> {
        let sessions = self.sessions();
        let mut promises = Vec::new();
        // The supervisor says nothing between SessionOpened and the Done to InformAcknowledged.
        promises.push(("InformAcknowledged", sessions[0], self.next_write(sessions[0])));
        // The value tells the query from the line of the log, which holds none.
        let set = |text: &str| text.contains("4000000001") || text.contains("4000000002");
        let sets = self.worker.iter().filter(|call| call.is_read() && set(&call.text));
        let sets: Vec<_> = sets.collect();
        assert_eq!(sets.len(), 2, "two SetParameterValues");
        promises.extend(sets.iter().map(|set| ("SetParameterValues", **set, self.next_write(set))));
        for (what, answer) in [("apply", "running, not saved"), ("save", "saved 1 value")] {
            let (request, reply) = self.person(answer);
            promises.push((what, request, reply));
        }
        promises
    }

    /// The promises that were spoken before they were on disk.
    fn broken(&self) -> Vec<&'static str> {
        let broken = |(_, from, to): &(_, &Call, &Call)| self.trace.syncs_between(from, to) == 0;
        self.promises().into_iter().filter(broken).map(|(what, ..)| what).collect()
    }
}

#[test]
#[ignore = "strace"]
fn every_promise_is_on_disk_before_it_is_spoken() {
    let Some(trace) = promises("full") else { return };
    let spoken = Spoken::of(&trace);
    assert_eq!(spoken.broken(), [""; 0]);
    let sessions = spoken.sessions();
    assert_eq!(sessions.len(), 4);
    let (apply, applied) = spoken.person("running, not saved");
    let (save, saved) = spoken.person("saved 1 value");
    let syncs = [
        // Two events acknowledged, one SetParameterValues.
        trace.syncs_between(sessions[0], apply),
        trace.syncs_between(apply, applied),
        trace.syncs_between(save, saved),
        // A warm periodic session stores nothing.
        trace.syncs_between(sessions[1], sessions[2]),
        // One with one SetParameterValues.
        trace.syncs_between(sessions[2], sessions[3]),
    ];
    assert_eq!(syncs, [2, 1, 1, 0, 1]);
}

#[test]
#[ignore = "strace"]
fn the_check_notices_a_store_that_does_not_sync() {
    let Some(trace) = promises("off") else { return };
    let written = |call: &&Call| call.name == "pwrite64" && call.target.ends_with("state.db-wal");
    assert!(trace.calls.iter().filter(written).count() > 5, "the store is written all the same");
    let all = ["InformAcknowledged", "SetParameterValues", "SetParameterValues", "apply", "save"];
    assert_eq!(Spoken::of(&trace).broken(), all);
}

/// A run in short, with these lines between the request and the end of the reply.
fn sample(between: &str) -> Trace {
    let socket = r#"16<UNIX-STREAM:[7->8,"/x/run/supervisor.sock"]>"#;
    Trace::parse(&format!(
        "10 recvfrom({socket}, \"\\3\", 8192, 0, NULL, NULL) = 5\n{}10 +++ exited with 0 +++\n",
        between.replace("SOCKET", socket)
    ))
}

#[test]
fn the_check_reads_calls_that_cross() {
    let stored = |between: &str| {
        let trace = sample(between);
        let calls = trace.connections("run/supervisor.sock");
        assert_eq!((calls.len(), calls[0].len()), (1, 2), "{trace:?}");
        trace.syncs_between(calls[0][0], calls[0][1]) == 1
    };
    let reply = "10 sendto(SOCKET, \"a = 1) = 2\", 9, MSG_NOSIGNAL, NULL, 0) = 9\n";
    let (began, ended) =
        ("11 fsync(7</x/state/state.db-wal> <unfinished ...>\n", "11 <... fsync resumed>) = 0\n");
    assert!(stored(&format!("11 fdatasync(7</x/state/state.db-wal>) = 0\n{reply}")));
    assert!(stored(&format!("{began}{ended}{reply}")));
    assert!(stored(&format!("{began}10 read(3</etc/passwd>, \"\", 9) = 0\n{ended}{reply}")));
    // The reply overtakes the sync, or begins before it has returned.
    assert!(!stored(&format!("{began}{reply}{ended}")));
    assert!(!stored(&format!(
        "{began}10 sendto(SOCKET, \"x\", 1 <unfinished ...>\n{ended}10 <... sendto resumed>) = 1\n"
    )));
    // No sync, one that failed, one of another file, one that came too late.
    for other in [
        "",
        "11 fsync(7</x/state/state.db-wal>) = -1 EIO (Input/output error)\n",
        "11 fsync(7</x/state/state.db.backup.new>) = 0\n",
        "11 pwrite64(7</x/state/state.db-wal>, \"\\0\"..., 24, 0) = 24\n",
    ] {
        assert!(!stored(&format!("{other}{reply}")), "{other}");
    }
    assert!(!stored(&format!("{reply}11 fsync(7</x/state/state.db-wal>) = 0\n")));
}
