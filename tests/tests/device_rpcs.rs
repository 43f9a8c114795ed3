//! What the ACS tells the device to do: Reboot, FactoryReset and ScheduleInform, over kills and boots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::path::PathBuf;

use tests::acs::envelope::{
    Envelope, get_parameter_values, get_rpc_methods, reboot, rpc, schedule_inform, set_parameter_values,
};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::process::wait_until;
use tests::{Acs, Device, Plan, Trouble};

const PROVISIONING: &str = "Device.DeviceInfo.ProvisioningCode";
/// Milliseconds of a CWMP second of these devices.
const SECOND_MS: u128 = 10;

/// A device whose commands for a reboot and a factory reset write a line into the file `ran`.
struct Bench {
    acs: Acs,
    device: Device,
    ran: PathBuf,
}

impl Bench {
    /// Not started; its first session follows the plan.
    fn new(plan: Plan) -> Self {
        let acs = Acs::start();
        acs.plan(plan);
        let ran = tempfile::Builder::new().prefix("ran").tempfile().unwrap().into_temp_path();
        let ran = ran.keep().unwrap();
        let script = format!("[\"/bin/sh\", \"-c\", \"echo $0 >> {}\", \"NAME\"]", ran.display());
        let named = |name: &str| format!("{name} = {}\n", script.replace("NAME", name));
        let device = Device::builder()
            .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
            .extra_settings(&format!("[actions]\n{}{}", named("reboot"), named("factory_reset")))
            .prepare();
        Self { acs, device, ran }
    }

    fn started(plan: Plan) -> Self {
        let mut bench = Self::new(plan);
        bench.device.start_again();
        bench
    }

    /// The file that arms its point, which the supervisor dies at once.
    fn dies_at(&mut self, point: &str) -> PathBuf {
        let flag = self.device.directory().join("dies-once");
        self.device.set_env("CWMP_KILL_AT", &format!("{point}@{}", flag.display()));
        flag
    }

    fn ran(&self) -> Vec<String> {
        std::fs::read_to_string(&self.ran).unwrap().lines().map(str::to_owned).collect()
    }

    /// Session number `n`, from 1, when it is there.
    fn session(&self, n: usize) -> Session {
        self.acs.wait_sessions(n, PATIENCE)[n - 1].clone()
    }

    fn nothing_waits(&self) {
        self.device.wait_status("nothing waits", |s| s["waiting"].as_array().unwrap().is_empty());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // It may be gone with a test that failed.
        let _ = std::fs::remove_file(&self.ran);
    }
}

/// Event codes with their CommandKeys.
fn events(session: &Session) -> Vec<(String, String)> {
    session.inform().events
}

fn pairs(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|(code, key)| ((*code).to_owned(), (*key).to_owned())).collect()
}

const BOOT: (&str, &str) = ("1 BOOT", "");
const BOOTSTRAP: (&str, &str) = ("0 BOOTSTRAP", "");
const SCHEDULED: (&str, &str) = ("3 SCHEDULED", "");

#[test]
fn a_reboot_is_done_after_the_session_and_told_with_its_command_key() {
    let mut bench =
        Bench::started(Plan::new().send(reboot("k<1>")).send(get_parameter_values(&[PROVISIONING])));
    let first = bench.session(1);
    assert_eq!(first.ending, Ending::Clean);
    assert_eq!(first.cpe_kinds()[2..], ["RebootResponse", "GetParameterValuesResponse"]);
    wait_until("the command to run", || bench.ran() == ["reboot"]);
    bench.device.reboot();
    assert_eq!(events(&bench.session(2)), pairs(&[BOOT, ("M Reboot", "k<1>")]));
    bench.nothing_waits();
    bench.device.reboot();
    assert_eq!(events(&bench.session(3)), pairs(&[BOOT]), "by other hands");
    assert_eq!(bench.ran(), ["reboot"]);
    rules::assert_kept(&bench.acs.wait_sessions(3, PATIENCE));
}

#[test]
fn two_reboots_in_a_session_that_breaks_are_one_reboot_and_two_events() {
    let plan = Plan::new().send(reboot("a")).send(reboot("b")).then(Trouble::Reset);
    let mut bench = Bench::started(plan);
    wait_until("the command to run", || bench.ran() == ["reboot"]);
    bench.device.stop();
    let before = bench.acs.sessions_so_far();
    bench.device.reboot();
    assert_eq!(events(&bench.session(before + 1)), pairs(&[BOOT, ("M Reboot", "a"), ("M Reboot", "b")]));
    assert_eq!(bench.ran(), ["reboot"]);
}

#[test]
fn a_reboot_without_a_command_is_9001() {
    let acs = Acs::start();
    acs.plan(Plan::new().send(reboot("k")));
    let mut device = Device::builder().factory("cwmp.acs_url", &format!("\"{}\"", acs.url())).start();
    let session = acs.wait_sessions(1, PATIENCE)[0].clone();
    assert_eq!(decode::fault(&session.nth("Fault", 0).body).code, 9001);
    device.reboot();
    assert_eq!(events(&acs.wait_sessions(2, PATIENCE)[1]), pairs(&[BOOT]));
}

#[test]
fn a_factory_reset_is_done_after_the_session_and_is_a_first_start() {
    let set = set_parameter_values(&[(PROVISIONING, "xsd:string", "mine")], "key");
    let read = get_parameter_values(&[PROVISIONING]);
    let plan = Plan::new()
        .send(set)
        .send(schedule_inform(100_000, "never"))
        .send(reboot("dropped"))
        .send(rpc("FactoryReset"))
        .send(read.clone());
    let bench = Bench::new(plan);
    bench.acs.plan(Plan::new().send(get_parameter_values(&[
        PROVISIONING,
        "Device.ManagementServer.ParameterKey",
        "Device.ManagementServer.URL",
    ])));
    let mut bench = bench;
    bench.device.start_again();
    let first = bench.session(1);
    assert_eq!(first.ending, Ending::Clean);
    assert_eq!(decode::values(&first.nth("GetParameterValuesResponse", 0).body)[0].value, "mine");
    let second = bench.session(2);
    assert_eq!(events(&second), pairs(&[BOOTSTRAP, BOOT]));
    let values = decode::values(&second.nth("GetParameterValuesResponse", 0).body);
    let values: Vec<_> = values.iter().map(|p| p.value.as_str()).collect();
    assert_eq!(values, ["", "", &bench.acs.url()]);
    wait_until("the device's own part", || bench.ran() == ["factory_reset"]);
    bench.nothing_waits();
    let log = bench.device.ctl_ok(&["cwmp", "show", "log"]);
    assert!(log.contains("factory reset by acs"), "{log}");
    bench.device.reboot();
    assert_eq!(events(&bench.session(3)), pairs(&[BOOT]), "no M Reboot of before");
    rules::assert_kept(&bench.acs.wait_sessions(3, PATIENCE));
}

#[test]
fn scheduled_informs_come_in_their_time_each_with_its_command_key() {
    let plan = Plan::new()
        .send(schedule_inform(0, "zero"))
        .send(schedule_inform(40, "later"))
        .send(schedule_inform(10, "soon"));
    let bench = Bench::started(plan);
    let first = bench.session(1);
    assert_eq!(decode::fault(&first.nth("Fault", 0).body).code, 9003);
    let answered = |n| first.nth("ScheduleInformResponse", n).at;
    for (n, delay, key) in [(1, 10, "soon"), (0, 40, "later")] {
        let session = bench.session(3 - n);
        assert_eq!(events(&session), pairs(&[SCHEDULED, ("M ScheduleInform", key)]));
        // Counted from before its answer was on its way.
        let waited = (session.messages[0].at.saturating_sub(answered(n))).as_millis();
        assert!(waited + 2 * SECOND_MS >= delay * SECOND_MS, "{waited} ms after its answer");
    }
    rules::assert_kept(&bench.acs.wait_sessions(3, PATIENCE));
}

#[test]
fn scheduled_informs_outlive_both_daemons_and_a_boot_and_come_at_once_when_their_time_has_passed() {
    let plan = Plan::new().send(schedule_inform(30, "a")).send(schedule_inform(31, "b"));
    let mut bench = Bench::started(plan);
    bench.session(1);
    bench.device.kill_supervisor();
    let after = bench.acs.sessions_so_far();
    let passed = bench.acs.clock();
    wait_until("their time", || (bench.acs.clock() - passed).as_millis() > 32 * SECOND_MS);
    bench.device.reboot();
    // A slow machine may have told the one or both of them before the kill.
    let told = |count| {
        let sessions = bench.acs.wait_sessions(count, PATIENCE);
        let all: Vec<_> = sessions.iter().skip(1).flat_map(events).collect();
        (all.iter().filter(|(code, _)| code == "M ScheduleInform").count(), all)
    };
    let mut count = after + 1;
    while told(count).0 < 2 {
        count += 1;
    }
    let keys: Vec<_> = told(count).1.into_iter().filter(|(code, _)| code == "M ScheduleInform").collect();
    assert_eq!(keys, pairs(&[("M ScheduleInform", "a"), ("M ScheduleInform", "b")]));
    bench.device.wait_status("connected", |s| s["acs"]["state"] == "connected");
}

#[test]
fn what_the_device_cannot_do_is_9000_and_not_in_its_list() {
    let others = ["GetOptions", "SetVouchers", "ScheduleDownload", "ChangeDUState", "GetAllQueuedTransfers"];
    let plan = others.iter().fold(Plan::new(), |plan, name| plan.send(rpc(name)));
    let bench = Bench::started(plan.send(get_rpc_methods()));
    let session = bench.session(1);
    let faults = session.from_cpe().filter(|m| m.kind() == "Fault");
    let codes: Vec<_> = faults.map(|m| decode::fault(&m.body).code).collect();
    assert_eq!(codes, [9000; 5]);
    let methods = decode::methods(&session.nth("GetRPCMethodsResponse", 0).body);
    assert!(methods.iter().all(|method| !others.contains(&method.as_str())), "{methods:?}");
    for built in ["Reboot", "FactoryReset", "ScheduleInform"] {
        assert!(methods.iter().any(|method| method == built), "{built}");
    }
}

/// The supervisor dies at this point as the ACS calls the RPC, and comes back.
fn killed_at(point: &str, call: Envelope) -> Bench {
    let mut bench = Bench::new(Plan::new());
    let flag = bench.dies_at(point);
    bench.device.start_again();
    bench.session(1);
    bench.device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    bench.acs.plan(Plan::new().touch(&flag).send(call));
    bench.device.ctl_ok(&["cwmp", "inform"]);
    bench.device.wait_gone();
    assert!(!flag.exists(), "it ended, and not at its point");
    bench.device.start_again();
    bench
}

const POINTS: [(&str, bool); 4] = [
    ("store.before-commit", false),
    ("store.committed", true),
    ("hub.before-reply", true),
    ("hub.replied", true),
];

#[test]
fn a_supervisor_killed_at_a_reboot_does_it_once_if_it_was_stored() {
    for (point, stored) in POINTS {
        let mut bench = killed_at(point, reboot("k"));
        if stored {
            wait_until("the command to run", || !bench.ran().is_empty());
            // Killed again, it waits for the boot.
            bench.device.kill_supervisor();
            bench.device.start_again();
            bench.device.wait_status("a reboot that waits", |s| s["waiting"][0]["what"] == "reboot");
        } else {
            bench.nothing_waits();
        }
        bench.acs.settle(PATIENCE);
        let before = bench.acs.sessions_so_far();
        bench.device.reboot();
        let told: &[_] = if stored { &[BOOT, ("M Reboot", "k")] } else { &[BOOT] };
        assert_eq!(events(&bench.session(before + 1)), pairs(told), "{point}");
        assert_eq!(bench.ran().len(), usize::from(stored), "{point}");
    }
}

#[test]
fn a_supervisor_killed_at_a_factory_reset_does_it_once_if_it_was_stored() {
    for (point, stored) in POINTS {
        let bench = killed_at(point, rpc("FactoryReset"));
        if stored {
            let session = bench.session(3);
            assert_eq!(events(&session), pairs(&[BOOTSTRAP, BOOT]), "{point}");
            wait_until("the device's own part", || !bench.ran().is_empty());
        }
        bench.nothing_waits();
        assert_eq!(bench.ran().len(), usize::from(stored), "{point}");
    }
}

#[test]
fn a_supervisor_killed_at_a_schedule_inform_keeps_it_if_it_was_stored() {
    for (point, stored) in POINTS {
        let bench = killed_at(point, schedule_inform(1, "k"));
        if !stored {
            // What a person asks for comes alone.
            bench.device.ctl_ok(&["cwmp", "inform"]);
        }
        let told: &[_] = if stored { &[SCHEDULED, ("M ScheduleInform", "k")] } else { &[("2 PERIODIC", "")] };
        assert_eq!(events(&bench.session(3)), pairs(told), "{point}");
    }
}

#[test]
fn first_sessions_are_spread_and_one_that_is_asked_for_comes_at_once() {
    let bench = Bench::new(Plan::new());
    let settings = bench.device.settings_file();
    let text = std::fs::read_to_string(&settings).unwrap();
    // So long that what is drawn is practically never over before the worker runs.
    let text = text.replace("second_ms = 10\n", "second_ms = 1000\nstart_spread_s = 86400\n");
    std::fs::write(&settings, text).unwrap();
    let mut bench = bench;
    bench.device.start_again();
    let status = bench.device.wait_status("a first session that waits", |s| {
        // A periodic one may come before it, in minutes.
        ["events", "periodic"].contains(&s["next_session"]["why"].as_str().unwrap_or_default())
            && s["worker"]["state"] == "running"
    });
    assert_eq!(status["acs"]["state"], "never");
    assert_eq!(bench.acs.sessions_so_far(), 0);
    bench.device.ctl_ok(&["cwmp", "inform"]);
    assert_eq!(events(&bench.session(1)), pairs(&[BOOTSTRAP, BOOT, ("2 PERIODIC", "")]));
}
