//! Attributes and what follows from them: which changes the ACS is told of, when, and what it is never told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::envelope::{
    Envelope, get_parameter_attributes, set_parameter_attributes, set_parameter_values,
};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";
const ENABLE: &str = "Device.ManagementServer.PeriodicInformEnable";
const PASSWORD: &str = "Device.ManagementServer.Password";
const PROVISIONING: &str = "Device.DeviceInfo.ProvisioningCode";
const SOFTWARE: &str = "Device.DeviceInfo.SoftwareVersion";
const URL: &str = "Device.ManagementServer.ConnectionRequestURL";
const UPTIME: &str = "Device.DeviceInfo.UpTime";

struct Bench {
    acs: Acs,
    device: Device,
}

impl Bench {
    fn start() -> Self {
        let acs = Acs::start();
        let device = Device::builder().factory("cwmp.acs_url", &format!("\"{}\"", acs.url())).start();
        acs.wait_sessions(1, PATIENCE);
        device.wait_status("connected", |s| s["acs"]["state"] == "connected");
        Self { acs, device }
    }

    /// The session that follows: asked for by a person, or one that comes by itself.
    fn next(&self, rpcs: &[Envelope], start: impl FnOnce(&Device)) -> Session {
        self.acs.plan(rpcs.iter().cloned().fold(Plan::new(), Plan::send));
        let number = self.acs.sessions_so_far() + 1;
        start(&self.device);
        let session = self.acs.wait_sessions(number, PATIENCE)[number - 1].clone();
        assert_eq!(session.ending, Ending::Clean, "{:?}", session.cpe_kinds());
        rules::assert_kept(std::slice::from_ref(&session));
        session
    }

    fn session(&self, rpcs: &[Envelope]) -> Session {
        self.next(rpcs, asked)
    }

    fn attributes(&self, names: &[&str]) -> Vec<(String, u32, Vec<String>)> {
        let session = self.session(&[get_parameter_attributes(names)]);
        decode::attributes(&session.nth("GetParameterAttributesResponse", 0).body)
    }

    fn fault(&self, rpc: Envelope) -> u32 {
        decode::fault(&self.session(&[rpc]).nth("Fault", 0).body).code
    }
}

fn asked(device: &Device) {
    device.ctl_ok(&["cwmp", "inform"]);
}

/// A person makes this running; the answer of `apply` waits for no session.
fn apply(device: &Device, change: &str) {
    device.ctl_ok(&["set", change]);
    device.ctl_ok(&["apply"]);
}

fn notify(name: &str, notification: &str) -> Envelope {
    set_parameter_attributes(&[(name, Some(notification), None)])
}

#[test]
fn attributes_are_set_read_kept_and_gone_with_a_factory_reset() {
    let mut bench = Bench::start();
    let subscriber = || vec!["Subscriber".to_owned()];
    let of = |name: &str, n, list: Vec<String>| (name.to_owned(), n, list);
    assert_eq!(
        bench.attributes(&[PROVISIONING, URL, INTERVAL]),
        [of(PROVISIONING, 2, subscriber()), of(URL, 2, subscriber()), of(INTERVAL, 0, subscriber())]
    );
    let session = bench.session(&[set_parameter_attributes(&[
        ("Device.ManagementServer.", Some("1"), None),
        (URL, Some("0"), None),
        (INTERVAL, None, Some(&[])),
        (PROVISIONING, Some("0"), None),
    ])]);
    assert_eq!(session.cpe_kinds().last().unwrap(), "SetParameterAttributesResponse");
    let names = [PROVISIONING, URL, INTERVAL, ENABLE];
    // Later entries override, and a forced one stays (ATTR-05, ATTR-09).
    let set = [
        of(PROVISIONING, 2, subscriber()),
        of(URL, 0, subscriber()),
        of(INTERVAL, 1, vec![]),
        of(ENABLE, 1, subscriber()),
    ];
    assert_eq!(bench.attributes(&names), set);
    bench.device.kill_supervisor();
    bench.device.start_again();
    assert_eq!(bench.attributes(&names), set);

    // All or nothing.
    let half = [(INTERVAL, Some("2"), None), ("Device.Nothing", Some("1"), None)];
    assert_eq!(bench.fault(set_parameter_attributes(&half)), 9005);
    assert_eq!(
        bench.fault(set_parameter_attributes(&[(INTERVAL, Some("2"), None), (UPTIME, Some("2"), None)])),
        9009
    );
    for bad in ["3", "4", "5", "6"] {
        assert_eq!(bench.fault(notify(INTERVAL, bad)), 9003);
    }
    let list: &[&str] = &["Anyone"];
    assert_eq!(bench.fault(set_parameter_attributes(&[(INTERVAL, None, Some(list))])), 9003);
    assert_eq!(bench.fault(get_parameter_attributes(&["Device.Nothing"])), 9005);
    assert_eq!(bench.attributes(&names), set);

    bench.next(&[], |device| drop(device.ctl_ok(&["factory", "reset", "--yes"])));
    assert_eq!(bench.attributes(&[URL, INTERVAL]), [of(URL, 2, subscriber()), of(INTERVAL, 0, subscriber())]);
}

#[test]
fn an_active_change_by_a_person_opens_a_session_and_is_told_once() {
    let bench = Bench::start();
    bench.session(&[notify(ENABLE, "2")]);
    let session = bench.next(&[], |device| apply(device, "cwmp.periodicinformenable=0"));
    assert_eq!(session.inform().event_codes(), ["4 VALUE CHANGE"]);
    assert_eq!(session.inform().value(ENABLE), Some("false"));
    let session = bench.session(&[]);
    assert_eq!(session.inform().event_codes(), ["2 PERIODIC"]);
    assert_eq!(session.inform().value(ENABLE), None);
}

#[test]
fn a_passive_change_waits_for_the_next_session_and_back_again_is_no_change() {
    let bench = Bench::start();
    bench.session(&[notify(INTERVAL, "1")]);
    let sessions = bench.acs.sessions_so_far();
    apply(&bench.device, "cwmp.periodicinforminterval=5000");
    let session = bench.session(&[]);
    assert_eq!(bench.acs.sessions_so_far(), sessions + 1, "it opened none of its own");
    assert_eq!(session.inform().event_codes(), ["2 PERIODIC", "4 VALUE CHANGE"]);
    assert_eq!(session.inform().value(INTERVAL), Some("5000"));
    apply(&bench.device, "cwmp.periodicinforminterval=6000");
    apply(&bench.device, "cwmp.periodicinforminterval=5000");
    assert_eq!(bench.session(&[]).inform().event_codes(), ["2 PERIODIC"]);
}

#[test]
fn what_the_acs_sets_and_secrets_are_no_change() {
    let bench = Bench::start();
    let session = bench.session(&[
        notify("Device.ManagementServer.", "1"),
        set_parameter_values(
            &[(INTERVAL, "xsd:unsignedInt", "4000"), (PASSWORD, "xsd:string", "canary")],
            "",
        ),
    ]);
    assert_eq!(session.cpe_kinds().last().unwrap(), "SetParameterValuesResponse");
    assert_eq!(bench.session(&[]).inform().event_codes(), ["2 PERIODIC"]);
    apply(&bench.device, "cwmp.acs_password=another");
    assert_eq!(bench.session(&[]).inform().event_codes(), ["2 PERIODIC"]);
}

#[test]
fn another_software_version_at_a_start_is_told() {
    let mut bench = Bench::start();
    bench.device.stop();
    let file = bench.device.settings_file();
    let settings = std::fs::read_to_string(&file).unwrap();
    assert!(settings.contains("\"1.2.3\""));
    std::fs::write(&file, settings.replace("\"1.2.3\"", "\"1.2.4\"")).unwrap();
    let number = bench.acs.sessions_so_far() + 1;
    bench.device.start_again();
    let session = bench.acs.wait_sessions(number, PATIENCE)[number - 1].clone();
    assert_eq!(session.inform().event_codes(), ["4 VALUE CHANGE"]);
    assert_eq!(session.inform().value(SOFTWARE), Some("1.2.4"));
}

#[test]
fn a_change_is_told_until_the_acs_has_it() {
    let bench = Bench::start();
    bench.acs.plan(Plan::at_inform(tests::acs::Trouble::Status(503)));
    let number = bench.acs.sessions_so_far() + 1;
    apply(&bench.device, "cwmp.provisioning_code=mine");
    let sessions = bench.acs.wait_sessions(number, PATIENCE);
    assert_eq!(sessions[number - 1].inform().event_codes(), ["4 VALUE CHANGE"]);
    bench.device.wait_status("a failure", |s| s["retry_count"] == 1);
    let session = bench.session(&[]);
    assert_eq!(session.inform().event_codes(), ["2 PERIODIC", "4 VALUE CHANGE"]);
    assert_eq!(session.inform().value(PROVISIONING), Some("mine"));
    assert_eq!(bench.session(&[]).inform().event_codes(), ["2 PERIODIC"]);
}
