//! A person sets the ACS, and the device informs it, answers it, and keeps what it was told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use tests::acs::envelope::{
    get_parameter_names, get_parameter_values, get_rpc_methods, rpc, set_parameter_values,
};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::PATIENCE;
use tests::{Acs, Device, Plan};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";
const KEY: &str = "Device.ManagementServer.ParameterKey";
const PROVISIONING: &str = "Device.DeviceInfo.ProvisioningCode";

/// One session with this plan on a new device, checked by every rule.
fn first_session(plan: Plan) -> (Acs, Device, Session) {
    let acs = Acs::start();
    acs.plan(plan);
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    let sessions = acs.wait_sessions(1, PATIENCE);
    assert_eq!(sessions[0].ending, Ending::Clean, "{:?}", sessions[0].cpe_kinds());
    rules::assert_kept(&sessions[..1]);
    (acs, device, sessions[0].clone())
}

/// What the session's first GetParameterValuesResponse says about one parameter.
fn value_of(session: &Session, name: &str) -> String {
    let values = decode::values(&session.nth("GetParameterValuesResponse", 0).body);
    let found = values.into_iter().find(|p| p.name == name);
    found.unwrap_or_else(|| panic!("no {name} in the response")).value
}

#[test]
fn the_first_inform_says_who_and_why() {
    let (_acs, _device, session) = first_session(Plan::new());
    let inform = session.inform();
    assert_eq!(inform.event_codes(), ["0 BOOTSTRAP", "1 BOOT"]);
    assert!(inform.events.iter().all(|(_, key)| key.is_empty()), "{:?}", inform.events);
    assert_eq!(inform.device_id, ["Example Networks", "00AABB", "Test Gateway", "SN-0001"]);
    assert_eq!((inform.retry_count, inform.max_envelopes.as_str()), (0, "1"));
    // The forced parameters of Device:2, each once (INF-06, INF-08).
    let mut names: Vec<&str> = inform.parameters.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    let forced = [
        "Device.DeviceInfo.HardwareVersion",
        PROVISIONING,
        "Device.DeviceInfo.SoftwareVersion",
        "Device.ManagementServer.ConnectionRequestURL",
        KEY,
        "Device.RootDataModelVersion",
    ];
    assert_eq!(names, forced);
    assert_eq!(inform.value("Device.DeviceInfo.HardwareVersion"), Some("hw1"));
    assert_eq!(inform.value("Device.DeviceInfo.SoftwareVersion"), Some("1.2.3"));
    assert_eq!(inform.value(KEY), Some(""));
}

#[test]
fn a_bare_session_is_an_inform_and_an_empty_post_on_one_connection() {
    let (_acs, device, session) = first_session(Plan::new());
    assert_eq!(session.cpe_kinds(), ["Inform", "empty POST"]);
    assert_eq!(session.connections(), 1);
    let status = device.wait_status("connected", |s| s["acs"]["state"] == "connected");
    assert_eq!(status["retry_count"], 0);
    assert_eq!(status["worker"]["restarts"], 0);
    assert!(!status["last_session"]["ended"].is_null(), "{status:#}");
}

#[test]
fn the_acs_reads_names_values_and_methods() {
    let plan = Plan::new()
        .send(get_rpc_methods())
        .send(get_parameter_names("Device.", true))
        .send(get_parameter_names("Device.ManagementServer.", false))
        .send(get_parameter_values(&["Device.DeviceInfo.", INTERVAL]));
    let (_acs, _device, session) = first_session(plan);
    assert_eq!(session.connections(), 1);

    let methods = decode::methods(&session.nth("GetRPCMethodsResponse", 0).body);
    for method in ["GetRPCMethods", "GetParameterNames", "GetParameterValues", "SetParameterValues"] {
        assert!(methods.iter().any(|m| m == method), "no {method} in {methods:?}");
    }
    let top = decode::names(&session.nth("GetParameterNamesResponse", 0).body);
    for name in ["Device.DeviceInfo.", "Device.ManagementServer.", "Device.RootDataModelVersion"] {
        assert!(top.contains(&(name.to_owned(), false)), "no {name} in {top:?}");
    }
    assert!(!top.iter().any(|(name, _)| name == INTERVAL), "next level only: {top:?}");
    let server = decode::names(&session.nth("GetParameterNamesResponse", 1).body);
    assert!(server.contains(&(INTERVAL.to_owned(), true)), "{server:?}");
    let request_url = "Device.ManagementServer.ConnectionRequestURL".to_owned();
    assert!(server.contains(&(request_url, false)), "{server:?}");

    let values = decode::values(&session.nth("GetParameterValuesResponse", 0).body);
    let value = |name: &str| values.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(value("Device.DeviceInfo.SerialNumber").value, "SN-0001");
    assert_eq!(value("Device.DeviceInfo.ModelName").value, "TG 1");
    assert_eq!(value("Device.DeviceInfo.UpTime").kind, "xsd:unsignedInt");
    assert_eq!((value(INTERVAL).value.as_str(), value(INTERVAL).kind.as_str()), ("86400", "xsd:unsignedInt"));
}

#[test]
fn secrets_read_as_empty() {
    let names = ["Device.ManagementServer.Password", "Device.ManagementServer.ConnectionRequestPassword"];
    let (_acs, _device, session) = first_session(Plan::new().send(get_parameter_values(&names)));
    let values = decode::values(&session.nth("GetParameterValuesResponse", 0).body);
    assert_eq!(values.len(), 2);
    assert!(values.iter().all(|p| p.value.is_empty()), "{values:?}");
}

#[test]
fn what_the_acs_sets_is_kept_over_a_killed_supervisor_and_a_reboot() {
    let plan = Plan::new()
        .send(set_parameter_values(
            &[(INTERVAL, "xsd:unsignedInt", "600"), (PROVISIONING, "xsd:string", "Zürich <&> \"1\"")],
            "key-1",
        ))
        .send(get_parameter_values(&[INTERVAL, PROVISIONING, KEY]));
    let (acs, mut device, session) = first_session(plan);
    assert_eq!(decode::set_status(&session.nth("SetParameterValuesResponse", 0).body), 0);
    let read = |session: &Session| [INTERVAL, PROVISIONING, KEY].map(|name| value_of(session, name));
    let wanted = ["600", "Zürich <&> \"1\"", "key-1"];
    assert_eq!(read(&session), wanted);

    device.kill_supervisor();
    acs.plan(Plan::new().send(get_parameter_values(&[INTERVAL, PROVISIONING, KEY])));
    device.start_again();
    assert!(device.ctl_ok(&["get", "cwmp.periodicinforminterval"]).contains("600"));
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    // Neither acknowledged event comes back: a restarted daemon is not a boot (decision on BOOTSTRAP and BOOT).
    assert_eq!(sessions[1].inform().event_codes(), ["2 PERIODIC"]);
    assert_eq!(read(&sessions[1]), wanted);

    acs.plan(Plan::new().send(get_parameter_values(&[INTERVAL, PROVISIONING, KEY])));
    device.reboot();
    let sessions = acs.wait_sessions(3, PATIENCE);
    assert_eq!(sessions[2].inform().event_codes(), ["1 BOOT"]);
    assert_eq!(read(&sessions[2]), wanted);
    rules::assert_kept(&sessions);
}

#[test]
fn a_set_is_all_or_nothing_and_names_each_bad_parameter() {
    let url = "Device.ManagementServer.ConnectionRequestURL";
    let plan = Plan::new()
        .send(set_parameter_values(
            &[
                (PROVISIONING, "xsd:string", "changed"),
                (INTERVAL, "xsd:unsignedInt", "0"),
                ("Device.ManagementServer.Nothing", "xsd:string", "x"),
                (url, "xsd:string", "http://example.org/"),
                ("Device.ManagementServer.PeriodicInformEnable", "xsd:boolean", "perhaps"),
            ],
            "key-2",
        ))
        .send(get_parameter_values(&[PROVISIONING, INTERVAL, KEY]));
    let (_acs, _device, session) = first_session(plan);
    let fault = decode::fault(&session.nth("Fault", 0).body);
    assert_eq!(
        (fault.code, fault.soap_code.as_str(), fault.soap_text.as_str()),
        (9003, "Client", "CWMP fault")
    );
    let mut bad: Vec<(&str, u32)> =
        fault.parameters.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
    bad.sort_unstable();
    let named = [
        (url, 9008),
        ("Device.ManagementServer.Nothing", 9005),
        ("Device.ManagementServer.PeriodicInformEnable", 9007),
        (INTERVAL, 9007),
    ];
    assert_eq!(bad, named);
    let values = [PROVISIONING, INTERVAL, KEY].map(|name| value_of(&session, name));
    assert_eq!(values, ["", "86400", ""]);
}

#[test]
fn what_it_does_not_know_gets_the_fault_that_says_so() {
    let plan = Plan::new()
        .send(rpc("MakeCoffee"))
        .send(get_parameter_values(&["Device.Nothing.Here"]))
        .send(get_parameter_names("Device.Nothing.", false))
        .send(get_rpc_methods());
    let (_acs, _device, session) = first_session(plan);
    let codes: Vec<u32> =
        session.from_cpe().filter(|m| m.kind() == "Fault").map(|m| decode::fault(&m.body).code).collect();
    assert_eq!(codes, [9000, 9005, 9005]);
    assert_eq!(session.cpe_kinds().last().unwrap(), "GetRPCMethodsResponse");
}

#[test]
fn cookies_live_as_long_as_the_session() {
    let (acs, device, session) = first_session(Plan::new().send(get_rpc_methods()));
    let last = session.from_cpe().last().unwrap();
    assert_eq!(rules::cookies_of(last).len(), 2);
    device.ctl_ok(&["cwmp", "inform"]);
    let sessions = acs.wait_sessions(2, PATIENCE);
    assert!(sessions[1].messages[0].header("Cookie").is_none());
    rules::assert_kept(&sessions);
}

#[test]
fn a_session_survives_each_way_an_acs_may_write_its_answers() {
    let acs = Acs::start();
    for plan in
        [Plan::new().closing_each(), Plan::new().http10(), Plan::new().chunked(), Plan::new().byte_by_byte()]
    {
        acs.plan(plan.send(get_rpc_methods()).send(get_parameter_values(&["Device.DeviceInfo."])));
    }
    let device = Device::builder().start();
    device.use_acs(&acs.url());
    for number in 1..=4 {
        let sessions = acs.wait_sessions(number, PATIENCE);
        let kinds = ["Inform", "empty POST", "GetRPCMethodsResponse", "GetParameterValuesResponse"];
        assert_eq!(sessions[number - 1].cpe_kinds(), kinds, "session {number}");
        device.ctl_ok(&["cwmp", "inform"]);
    }
    let sessions = acs.wait_sessions(5, PATIENCE);
    let connections: Vec<usize> = sessions.iter().map(Session::connections).collect();
    assert_eq!(connections, [4, 4, 1, 1, 1]);
    rules::assert_kept(&sessions);
}
