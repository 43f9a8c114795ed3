//! SIGKILL and power cuts at random times under continuous sessions, judged over the ACS's whole record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::acs::envelope::set_parameter_values;
use tests::acs::{Direction, Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";
const PROVISIONING: &str = "Device.DeviceInfo.ProvisioningCode";
const KEY: &str = "Device.ManagementServer.ParameterKey";

const ROUNDS: u32 = 40;
const LONGEST: Duration = Duration::from_secs(60);
/// More sessions than the rounds can take: each has a plan of its own.
const PLANS: u32 = 10_000;
/// Intervals that the ACS sets in turn, in seconds of ten milliseconds.
const INTERVALS: [&str; 2] = ["2", "3"];

/// Chance that can be had again: xorshift.
struct Chance(u64);

impl Chance {
    /// From `CWMP_SEED`, else from the clock; printed, so that a failure can be run again.
    fn seeded() -> Self {
        let fresh =
            || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed: u64 = std::env::var("CWMP_SEED").map_or_else(|_| fresh(), |seed| seed.parse().unwrap());
        println!("CWMP_SEED={seed}");
        // Spread over all bits; 0 would stay 0.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15).max(1))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// An event that is not known to be delivered.
struct Due {
    code: &'static str,
    /// The ACS has answered an Inform with it: whether we have stored that, only the next Inform shows.
    answered: bool,
}

impl Due {
    fn new(code: &'static str) -> Self {
        Self { code, answered: false }
    }
}

/// What the ACS saw up to some session, and what it may conclude from that.
#[derive(Default)]
struct Judge {
    /// Highest counter value that was sent in a SetParameterValues, and that was answered.
    sent: u32,
    set: u32,
    due: Vec<Due>,
    retry_count: u32,
    wrong: Vec<String>,
}

impl Judge {
    fn say(&mut self, number: usize, what: String) {
        self.wrong.push(format!("session {}: {what}", number + 1));
    }

    /// The device is in a new boot: what it had not delivered of the old one's 1 BOOT is void.
    fn boot(&mut self) {
        self.due.retain(|due| due.code != "1 BOOT");
        self.due.push(Due::new("1 BOOT"));
    }

    fn judge(&mut self, number: usize, session: &Session, before: Option<&Session>) {
        let inform = session.inform();
        self.events(number, &inform);
        self.values(number, &inform);
        // The count goes down only to 0, and only after a session that the ACS saw succeed.
        let succeeded = before.is_some_and(|session| session.ending == Ending::Clean);
        if inform.retry_count < self.retry_count && !succeeded {
            self.say(number, format!("RetryCount {} after {}", inform.retry_count, self.retry_count));
        }
        self.retry_count = inform.retry_count;

        let messages = &session.messages;
        if messages.iter().any(|m| m.direction == Direction::FromAcs) {
            self.due.iter_mut().for_each(|due| due.answered = true);
        }
        if session.from_cpe().count() > 1 {
            // The device went on, so it has stored that these are delivered.
            self.due.clear();
        }
        let counter = u32::try_from(number).unwrap() + 1;
        if messages.iter().any(|m| m.kind() == "SetParameterValues") {
            self.sent = counter;
        }
        for response in session.from_cpe().filter(|m| m.kind() == "SetParameterValuesResponse") {
            self.set = counter;
            if decode::set_status(&response.body) != 0 {
                self.say(number, "a set that does not count at once".to_owned());
            }
        }
    }

    fn events(&mut self, number: usize, inform: &decode::Inform) {
        let told: Vec<&str> = inform.event_codes().into_iter().filter(|code| *code != "2 PERIODIC").collect();
        let due: Vec<(&str, bool)> = self.due.iter().map(|due| (due.code, due.answered)).collect();
        let lost = due.iter().any(|(code, answered)| !answered && !told.contains(code));
        let repeated = told.iter().any(|code| due.iter().all(|(due, _)| due != code));
        if lost || repeated {
            self.say(number, format!("told of {told:?}, due (and answered for) was {due:?}"));
        }
        // Once left out, it was stored as delivered.
        self.due.retain(|due| told.contains(&due.code));
    }

    fn values(&mut self, number: usize, inform: &decode::Inform) {
        let (value, key) = (inform.value(PROVISIONING).unwrap(), inform.value(KEY).unwrap());
        let counter = counter_of(value);
        if counter_of(key) != counter {
            self.say(number, format!("half set: {value:?} with the key {key:?}"));
        }
        if !(self.set..=self.sent).contains(&counter) {
            self.say(number, format!("{value:?} stands, answered was {}, sent was {}", self.set, self.sent));
        }
        // Seen once, it stands.
        self.set = self.set.max(counter);
    }
}

fn counter_of(text: &str) -> u32 {
    text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0)
}

fn plan(counter: u32) -> Plan {
    let (value, key) = (format!("value-{counter}"), format!("key-{counter}"));
    let interval = INTERVALS[counter as usize % 2];
    let values = [(PROVISIONING, "xsd:string", value.as_str()), (INTERVAL, "xsd:unsignedInt", interval)];
    Plan::new().send(set_parameter_values(&values, &key))
}

fn kill_worker(device: &Device) {
    if let Some(pid) = device.status()["worker"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have gone with a link that was lost.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

#[test]
#[ignore = "slow"]
fn nothing_promised_is_lost_or_repeated_whenever_a_daemon_is_killed() {
    let mut chance = Chance::seeded();
    let acs = Acs::start();
    (1..=PLANS).for_each(|counter| acs.plan(plan(counter)));
    let mut device = Device::builder()
        .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
        .factory("cwmp.periodicinforminterval", INTERVALS[0])
        // A retry waits one second: the rounds are about what is said, not about the table.
        .factory("cwmp.retry_min_wait", "1")
        .factory("cwmp.retry_multiplier", "1000")
        .start();
    let begun = Instant::now();
    let (mut kills, mut boots) = ([0; 3], Vec::new());
    for _ in 0..ROUNDS {
        if begun.elapsed() > LONGEST {
            break;
        }
        acs.wait_sessions(acs.sessions_so_far() + 1, PATIENCE);
        let victim = chance.below(5);
        // The stimulus, not a wait: whatever the daemons do at that moment is what is killed.
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        match victim {
            0 | 1 => {
                kills[0] += 1;
                kill_worker(&device);
            }
            2 | 3 => {
                kills[1] += 1;
                device.kill_supervisor();
                device.start_again();
            }
            _ => {
                kills[2] += 1;
                device.kill_supervisor();
                acs.settle(PATIENCE);
                boots.push(acs.sessions_so_far());
                device.reboot();
            }
        }
    }
    let [workers, supervisors, power] = kills;
    // The one that was cut off, and a whole one after it: the status alone may be of before the last kill.
    acs.wait_sessions(acs.sessions_so_far() + 2, PATIENCE);
    device.wait_status("connected, with no failure left", |s| {
        s["acs"]["state"] == "connected" && s["retry_count"] == 0
    });
    device.kill_supervisor();
    acs.settle(PATIENCE);
    let sessions = acs.wait_sessions(acs.sessions_so_far(), PATIENCE);
    println!(
        "{} sessions; killed: {workers} workers, {supervisors} supervisors, power {power}",
        sessions.len()
    );
    assert!(sessions.len() < PLANS as usize, "every session had its plan");

    let mut judge = Judge { due: ["0 BOOTSTRAP", "1 BOOT"].map(Due::new).into(), ..Judge::default() };
    for (number, session) in sessions.iter().enumerate() {
        boots.iter().filter(|boot| **boot == number).for_each(|_| judge.boot());
        let before = number.checked_sub(1).map(|n| &sessions[n]);
        judge.judge(number, session, before);
    }
    assert!(judge.wrong.is_empty(), "{}", judge.wrong.join("\n"));
    assert!(judge.due.is_empty(), "never delivered: {}", judge.due[0].code);
    // A kill cuts off one session; nothing else does.
    let cut = sessions.iter().filter(|session| session.ending != Ending::Clean).count();
    assert!(cut <= workers + supervisors + power + 1, "{cut} sessions did not end well");
    let broken: Vec<String> = sessions.iter().flat_map(rules::broken).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));

    device.start_again();
    let stands = counter_of(device.ctl_ok(&["get", "cwmp.provisioning_code"]).trim());
    assert!(stands >= judge.set, "{stands} stands, {} was answered", judge.set);
}
