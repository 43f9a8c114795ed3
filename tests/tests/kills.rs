//! SIGKILL at each named point of a session: which events come again, which values stand, how often it is tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::path::PathBuf;

use tests::acs::envelope::{Envelope, get_parameter_values, set_parameter_values};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::process::wait_until;
use tests::{Acs, Device, Plan, Trouble};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";
const PROVISIONING: &str = "Device.DeviceInfo.ProvisioningCode";
const KEY: &str = "Device.ManagementServer.ParameterKey";
const NAMES: [&str; 3] = [INTERVAL, PROVISIONING, KEY];

/// What stands before the ACS sets anything, and what it sets: intervals so long that no periodic Inform comes.
const OLD: [&str; 3] = ["4000000000", "old", ""];
const NEW: [&str; 3] = ["4000000001", "new", "key-1"];

/// The events of a first start, of a session that a person asked for, and of the retry after an Inform that the
/// store knows as acknowledged.
const FIRST: &[&str] = &["0 BOOTSTRAP", "1 BOOT"];
const ASKED: &[&str] = &["2 PERIODIC"];
const NONE: &[&str] = &[];

/// Events and RetryCount of one Inform.
type Inform = (&'static [&'static str], u32);

/// A device that dies once at one point: where the flag file is, which the dying process removes.
struct Doomed {
    acs: Acs,
    device: Device,
    flag: PathBuf,
}

impl Doomed {
    /// Not started, and not armed.
    fn at(point: &str) -> Self {
        let acs = Acs::start();
        let mut device = Device::builder()
            .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
            .factory("cwmp.periodicinforminterval", OLD[0])
            .factory("cwmp.provisioning_code", &format!("\"{}\"", OLD[1]))
            .prepare();
        let flag = device.directory().join("dies-once");
        device.set_env("CWMP_KILL_AT", &format!("{point}@{}", flag.display()));
        Self { acs, device, flag }
    }

    fn arm(&self) {
        std::fs::write(&self.flag, "").unwrap();
    }

    fn fell(&self) -> bool {
        !self.flag.exists()
    }

    /// The supervisor is dead at its point, its worker has gone with it, and both come back.
    fn supervisor_comes_back(&mut self) {
        self.device.wait_gone();
        assert!(self.fell(), "the supervisor ended, and not at its point");
        self.device.start_again();
    }

    /// The worker is dead at its point, and its supervisor has started another.
    fn worker_comes_back(&self) {
        wait_until("the worker to reach its point", || self.fell());
        self.device.wait_status("a worker again", |s| {
            s["worker"]["restarts"] == 1 && s["worker"]["state"] == "running"
        });
    }

    /// Whatever comes by itself has come when `informs` but the last did; that last one a person asks for, so
    /// it shows that nothing else was due. All of them are as given, and these values stand for good.
    fn ends_with(mut self, informs: &[Inform], values: [&str; 3]) {
        let by_itself = informs.len() - 1;
        self.acs.wait_sessions(by_itself, PATIENCE);
        self.acs.plan(Plan::new().send(get_parameter_values(&NAMES)));
        self.device.ctl_ok(&["cwmp", "inform"]);
        let sessions = self.acs.wait_sessions(informs.len(), PATIENCE);
        let seen: Vec<_> = sessions.iter().map(Session::inform).collect();
        let seen: Vec<_> = seen.iter().map(|i| (i.event_codes(), i.retry_count)).collect();
        let wanted: Vec<_> = informs.iter().map(|(events, count)| (events.to_vec(), *count)).collect();
        assert_eq!(seen, wanted);
        let last = sessions.last().unwrap();
        assert_eq!(last.ending, Ending::Clean);
        assert_eq!(values_in(last), values);
        rules::assert_kept(&sessions);

        let status = self.device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        assert_eq!(status["retry_count"], 0);
        assert_eq!(self.values_of_a_person(), values);
        // Over another kill, and over a power cut, which forgets what was not stored for good.
        self.device.kill_supervisor();
        self.device.start_again();
        assert_eq!(self.values_of_a_person(), values);
        self.device.kill_supervisor();
        self.device.reboot();
        assert_eq!(self.values_of_a_person(), values);
        let sessions = self.acs.wait_sessions(informs.len() + 1, PATIENCE);
        let after = sessions.last().unwrap().inform();
        assert_eq!((after.event_codes(), after.retry_count), (vec!["1 BOOT"], 0));
    }

    fn values_of_a_person(&self) -> [String; 3] {
        ["cwmp.periodicinforminterval", "cwmp.provisioning_code", KEY].map(|name| {
            let shown = self.device.ctl_ok(&["--json", "get", name]);
            let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
            json["value"].as_str().map_or_else(|| json["value"].to_string(), str::to_owned)
        })
    }
}

fn values_in(session: &Session) -> [String; 3] {
    let values = decode::values(&session.nth("GetParameterValuesResponse", 0).body);
    NAMES.map(|name| values.iter().find(|p| p.name == name).unwrap().value.clone())
}

/// Two parameters and the key, set together.
fn set_new() -> Envelope {
    let values = [(INTERVAL, "xsd:unsignedInt", NEW[0]), (PROVISIONING, "xsd:string", NEW[1])];
    set_parameter_values(&values, NEW[2])
}

/// The worker dies at its point in the first session, in which the ACS sets the new values.
fn worker_dies_at(point: &str, informs: &[Inform], values: [&str; 3]) {
    let mut doomed = Doomed::at(point);
    doomed.acs.plan(Plan::new().send(set_new()));
    doomed.arm();
    doomed.device.start_again();
    doomed.worker_comes_back();
    doomed.ends_with(informs, values);
}

#[test]
fn a_worker_killed_before_its_inform_tells_everything_in_the_next_session() {
    worker_dies_at("worker.session-opened", &[(FIRST, 1), (ASKED, 0)], NEW);
}

#[test]
fn a_worker_killed_with_its_inform_under_way_repeats_every_event() {
    worker_dies_at("worker.inform-sent", &[(FIRST, 0), (FIRST, 1), (ASKED, 0)], OLD);
}

/// The one window of the worker in which an event that the ACS has answered for comes again.
#[test]
fn a_worker_killed_between_the_acss_answer_and_our_commit_repeats_every_event() {
    worker_dies_at("worker.inform-answered", &[(FIRST, 0), (FIRST, 1), (ASKED, 0)], OLD);
}

#[test]
fn a_worker_killed_once_the_acknowledgement_is_stored_repeats_no_event() {
    worker_dies_at("worker.inform-acknowledged", &[(FIRST, 0), (NONE, 1), (ASKED, 0)], OLD);
}

#[test]
fn a_worker_killed_before_it_passes_a_set_on_leaves_no_value_set() {
    worker_dies_at("worker.rpc-received", &[(FIRST, 0), (NONE, 1), (ASKED, 0)], OLD);
}

#[test]
fn a_worker_killed_before_it_answers_a_set_leaves_all_of_it_set() {
    worker_dies_at("worker.rpc-replied", &[(FIRST, 0), (NONE, 1), (ASKED, 0)], NEW);
}

#[test]
fn a_worker_killed_with_its_answer_under_way_leaves_all_of_it_set() {
    worker_dies_at("worker.response-posted", &[(FIRST, 0), (NONE, 1), (ASKED, 0)], NEW);
}

/// The ACS saw a good session and we did not: it counts as failed.
#[test]
fn a_worker_killed_before_it_reports_the_end_repeats_no_event() {
    worker_dies_at("worker.session-closing", &[(FIRST, 0), (NONE, 1), (ASKED, 0)], NEW);
}

#[test]
fn a_worker_killed_after_it_reported_the_end_has_nothing_more_to_say() {
    worker_dies_at("worker.session-closed", &[(FIRST, 0), (ASKED, 0)], NEW);
}

#[test]
fn a_worker_killed_in_every_session_is_held_back_as_the_retry_table_says() {
    let acs = Acs::start();
    let mut device = Device::builder()
        .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
        .factory("cwmp.periodicinforminterval", OLD[0])
        .env("CWMP_KILL_AT", "worker.inform-sent")
        .start();
    let killed = acs.wait_sessions(4, PATIENCE);
    device.wait_status("four failures", |s| s["retry_count"].as_u64() >= Some(4));
    let informs: Vec<_> = killed[..4].iter().map(Session::inform).collect();
    assert!(informs.iter().all(|inform| inform.event_codes() == FIRST));
    assert_eq!(informs.iter().map(|i| i.retry_count).collect::<Vec<_>>(), [0, 1, 2, 3]);
    // 5, 10, 20 seconds at least, of ten milliseconds each: a wait may be longer, never shorter.
    for (n, pair) in killed[..4].windows(2).enumerate() {
        let gap = pair[1].messages[0].at - pair[0].messages[0].at;
        assert!(gap.as_millis() >= 50 << n, "{gap:?} before retry {}", n + 1);
    }

    device.kill_supervisor();
    acs.settle(PATIENCE);
    let before = acs.sessions_so_far();
    device.remove_env("CWMP_KILL_AT");
    device.start_again();
    let sessions = acs.wait_sessions(before + 1, PATIENCE);
    let good = &sessions[before];
    assert_eq!((good.inform().event_codes().as_slice(), &good.ending), (FIRST, &Ending::Clean));
    assert!(good.inform().retry_count >= 4, "the count is stored: {}", good.inform().retry_count);
    device.wait_status("no failures", |s| s["retry_count"] == 0);
}

/// When the supervisor's point is armed, in a session that sets the new values.
#[derive(Clone, Copy)]
enum Armed {
    /// Before the daemons start, for the first reply of all.
    Start,
    /// With the Inform at the ACS: what follows is the acknowledgement.
    Inform,
    /// When the ACS calls SetParameterValues.
    Set,
}

/// The supervisor dies at its point; the session that this cuts off ends with it.
fn supervisor_dies_at(point: &str, armed: Armed, informs: &[Inform], values: [&str; 3]) {
    let mut doomed = Doomed::at(point);
    let flag = doomed.flag.clone();
    doomed.acs.plan(match armed {
        Armed::Start => Plan::new().send(set_new()),
        Armed::Inform => Plan::new().touch_at_inform(&flag).send(set_new()),
        Armed::Set => Plan::new().touch(&flag).send(set_new()),
    });
    if let Armed::Start = armed {
        doomed.arm();
    }
    doomed.device.start_again();
    doomed.supervisor_comes_back();
    doomed.ends_with(informs, values);
}

/// The session that a killed supervisor cut off is tried again, without the events that the ACS has.
const CUT_OFF: [Inform; 3] = [(FIRST, 0), (&[], 1), (ASKED, 0)];

#[test]
fn a_supervisor_killed_as_it_opens_a_session_loses_nothing() {
    for point in ["hub.before-reply", "hub.replied"] {
        supervisor_dies_at(point, Armed::Start, &[(FIRST, 1), (ASKED, 0)], NEW);
    }
}

/// The one window of the supervisor in which an event that the ACS has answered for comes again.
#[test]
fn a_supervisor_killed_before_it_stores_an_acknowledgement_repeats_every_event() {
    let informs: [Inform; 3] = [(FIRST, 0), (FIRST, 1), (ASKED, 0)];
    supervisor_dies_at("store.before-commit", Armed::Inform, &informs, OLD);
}

#[test]
fn a_supervisor_killed_once_an_acknowledgement_is_stored_repeats_no_event() {
    for point in ["store.committed", "hub.before-reply", "hub.replied"] {
        supervisor_dies_at(point, Armed::Inform, &CUT_OFF, OLD);
    }
}

#[test]
fn a_supervisor_killed_before_it_stores_a_set_leaves_no_value_set() {
    supervisor_dies_at("store.before-commit", Armed::Set, &CUT_OFF, OLD);
}

#[test]
fn a_supervisor_killed_once_a_set_is_stored_leaves_all_of_it_set() {
    for point in ["store.committed", "hub.before-reply", "hub.replied"] {
        supervisor_dies_at(point, Armed::Set, &CUT_OFF, NEW);
    }
}

#[test]
fn a_supervisor_killed_as_it_counts_a_failure_has_counted_it_once() {
    for point in ["store.before-commit", "store.committed"] {
        let mut doomed = Doomed::at(point);
        doomed.acs.plan(Plan::at_inform(Trouble::Status(503)).touch_at_inform(&doomed.flag));
        doomed.device.start_again();
        doomed.supervisor_comes_back();
        doomed.ends_with(&[(FIRST, 0), (FIRST, 1), (ASKED, 0)], OLD);
    }
}

#[test]
fn a_supervisor_killed_in_its_first_start_has_a_first_start_again() {
    for point in ["store.before-commit", "store.committed"] {
        let mut doomed = Doomed::at(point);
        doomed.arm();
        let output = doomed.device.supervisor(&[]);
        assert!(doomed.fell() && !output.stderr.contains("ready:"), "{output:?}");
        doomed.device.start_again();
        doomed.ends_with(&[(FIRST, 0), (ASKED, 0)], OLD);
    }
}

#[test]
fn a_supervisor_killed_in_the_start_after_a_reboot_still_reports_the_boot() {
    for point in ["store.before-commit", "store.committed"] {
        let mut doomed = Doomed::at(point);
        doomed.device.start_again();
        doomed.acs.wait_sessions(1, PATIENCE);
        doomed.device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        doomed.device.stop();
        doomed.arm();
        std::fs::write(doomed.device.directory().join("boot-id"), "another boot\n").unwrap();
        let output = doomed.device.supervisor(&[]);
        assert!(doomed.fell() && !output.stderr.contains("ready:"), "{output:?}");
        doomed.device.start_again();
        doomed.ends_with(&[(FIRST, 0), (&["1 BOOT"], 0), (ASKED, 0)], OLD);
    }
}

#[test]
fn a_supervisor_killed_as_a_person_applies_or_saves_has_done_all_of_it_or_nothing() {
    let person = [NEW[0], NEW[1], OLD[2]];
    for (point, last, values) in [
        ("store.before-commit", "apply", OLD),
        // Applied and not saved: a power cut takes it back, a killed supervisor does not.
        ("store.committed", "apply", person),
        ("store.before-commit", "save", person),
        ("store.committed", "save", person),
    ] {
        let mut doomed = Doomed::at(point);
        doomed.device.start_again();
        doomed.acs.wait_sessions(1, PATIENCE);
        doomed.device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        doomed.device.ctl_ok(&["set", &format!("cwmp.periodicinforminterval={}", NEW[0])]);
        doomed.device.ctl_ok(&["set", &format!("cwmp.provisioning_code={}", NEW[1])]);
        if last == "save" {
            doomed.device.ctl_ok(&["apply"]);
            // Told to the ACS: that commit is not the one meant.
            doomed.acs.wait_sessions(2, PATIENCE);
            doomed.device.wait_status("no session", |s| s["open_session"].is_null());
        }
        doomed.arm();
        let output = doomed.device.ctl(&[last]);
        assert_ne!(output.status, 0, "nobody is promised what the dead did not say: {output:?}");
        doomed.supervisor_comes_back();
        assert_eq!(doomed.values_of_a_person(), values, "{last} killed at {point}");
        let saved = (point, last) == ("store.committed", "save");
        doomed.device.kill_supervisor();
        doomed.device.reboot();
        assert_eq!(doomed.values_of_a_person(), if saved { person } else { OLD }, "after a power cut");
    }
}
