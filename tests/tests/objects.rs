//! Tables of a model file: rows added and deleted by the ACS, their numbers, and what is kept of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::acs::envelope::{
    Envelope, change_row, get_parameter_names, get_parameter_values, set_parameter_values,
};
use tests::acs::{Ending, Session, decode, rules};
use tests::device::{Builder, PATIENCE};
use tests::{Acs, Device, Plan};

const KEY: &str = "Device.ManagementServer.ParameterKey";

const BENCH: &str = r#"
[[object]]
path = "Device.X_EXAMPLE_Bench.{i}."
access = "readWrite"
rows = 2
max_rows = 4
number_of_entries = true

[[object]]
path = "Device.X_EXAMPLE_Bench.{i}.Sub.{i}."
access = "readWrite"

[[object]]
path = "Device.X_EXAMPLE_Fixed.{i}."
rows = 1

[[parameter]]
path = "Device.X_EXAMPLE_Bench.{i}.Text"
type = "string"
default = "factory"
access = "readWrite"
backing = "stored"

[[parameter]]
path = "Device.X_EXAMPLE_Bench.{i}.Sub.{i}.Number"
type = "unsignedInt"
access = "readWrite"
backing = "stored"
"#;

/// A device with a model file, and the ACS that it talks to.
struct Bench {
    acs: Acs,
    device: Device,
    models: TempDir,
}

impl Bench {
    fn start(root: &str, files: &[(&str, &str)]) -> Self {
        let models = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(models.path().join(name), text).unwrap());
        let acs = Acs::start();
        let device = builder(root, models.path(), &acs).start();
        acs.wait_sessions(1, PATIENCE);
        Self { acs, device, models }
    }

    /// A session in which the ACS calls these, by itself from the next start on or asked for by a person.
    fn plan(&self, rpcs: &[Envelope]) -> usize {
        self.acs.plan(rpcs.iter().cloned().fold(Plan::new(), Plan::send));
        self.acs.sessions_so_far() + 1
    }

    fn session(&self, rpcs: &[Envelope]) -> Session {
        let number = self.plan(rpcs);
        self.device.ctl_ok(&["cwmp", "inform"]);
        let session = self.acs.wait_sessions(number, PATIENCE)[number - 1].clone();
        assert_eq!(session.ending, Ending::Clean, "{:?}", session.cpe_kinds());
        rules::assert_kept(std::slice::from_ref(&session));
        session
    }

    fn fault(&self, rpc: Envelope) -> u32 {
        decode::fault(&self.session(&[rpc]).nth("Fault", 0).body).code
    }

    fn values(&self, names: &[&str]) -> Vec<(String, String)> {
        values(&self.session(&[get_parameter_values(names)]))
    }
}

fn builder(root: &str, models: &Path, acs: &Acs) -> Builder {
    let dir: PathBuf = models.to_owned();
    Device::builder()
        .factory("cwmp.acs_url", &format!("\"{}\"", acs.url()))
        .extra_settings(&format!("\n[data_model]\nroot = \"{root}\"\ndir = {dir:?}\n"))
}

fn values(session: &Session) -> Vec<(String, String)> {
    let values = decode::values(&session.nth("GetParameterValuesResponse", 0).body);
    values.into_iter().map(|p| (p.name, p.value)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn add(name: &str, key: &str) -> Envelope {
    change_row("AddObject", name, key)
}

fn delete(name: &str, key: &str) -> Envelope {
    change_row("DeleteObject", name, key)
}

#[test]
fn rows_come_and_go_and_their_numbers_are_not_given_again() {
    let mut bench = Bench::start("Device", &[("bench.toml", BENCH)]);
    let session = bench.session(&[
        add("Device.X_EXAMPLE_Bench.", "k1"),
        set_parameter_values(&[("Device.X_EXAMPLE_Bench.3.Text", "xsd:string", "mine")], "k2"),
        add("Device.X_EXAMPLE_Bench.3.Sub.", "k3"),
        delete("Device.X_EXAMPLE_Bench.2.", "k4"),
        get_parameter_values(&["Device.X_EXAMPLE_Bench.", "Device.X_EXAMPLE_BenchNumberOfEntries", KEY]),
    ]);
    let added = |n| decode::added(&session.nth("AddObjectResponse", n).body);
    assert_eq!((added(0), added(1)), (3, 1));
    let kept = pairs(&[
        ("Device.X_EXAMPLE_Bench.1.Text", "factory"),
        ("Device.X_EXAMPLE_Bench.3.Text", "mine"),
        ("Device.X_EXAMPLE_Bench.3.Sub.1.Number", "0"),
        ("Device.X_EXAMPLE_BenchNumberOfEntries", "2"),
        (KEY, "k4"),
    ]);
    assert_eq!(values(&session), kept);

    let shown = bench.device.ctl_ok(&["cwmp", "show", "log"]);
    for line in [
        "Device.X_EXAMPLE_Bench.3.: (empty) -> row added",
        "Device.X_EXAMPLE_Bench.3.Text: factory -> mine",
        "Device.X_EXAMPLE_Bench.2.: row -> row deleted",
    ] {
        assert!(shown.contains(line) && shown.contains("by acs (acs)"), "no {line}: {shown}");
    }

    // Over a kill and over a reboot, with what was read from disk.
    let read =
        [get_parameter_values(&["Device.X_EXAMPLE_Bench.", "Device.X_EXAMPLE_BenchNumberOfEntries", KEY])];
    bench.device.kill_supervisor();
    bench.device.start_again();
    assert_eq!(values(&bench.session(&read)), kept);
    let number = bench.plan(&read);
    bench.device.reboot();
    assert_eq!(values(&bench.acs.wait_sessions(number, PATIENCE)[number - 1]), kept);

    let session = bench.session(&[
        delete("Device.X_EXAMPLE_Bench.3.", "k5"),
        add("Device.X_EXAMPLE_Bench.", "k6"),
        get_parameter_values(&["Device.X_EXAMPLE_Bench.4."]),
    ]);
    assert_eq!(decode::added(&session.nth("AddObjectResponse", 0).body), 4);
    assert_eq!(values(&session), pairs(&[("Device.X_EXAMPLE_Bench.4.Text", "factory")]));

    let shown = bench.device.ctl_ok(&["cwmp", "show", "client", "log"]);
    assert!(
        shown.contains("AddObject") && shown.contains("Device.X_EXAMPLE_Bench. -> row 4, status 0"),
        "{shown}"
    );
}

#[test]
fn a_factory_reset_brings_the_first_rows_and_values_back() {
    let mut bench = Bench::start("Device", &[("bench.toml", BENCH)]);
    bench.session(&[
        set_parameter_values(&[("Device.X_EXAMPLE_Bench.1.Text", "xsd:string", "mine")], ""),
        delete("Device.X_EXAMPLE_Bench.2.", ""),
        add("Device.X_EXAMPLE_Bench.", ""),
    ]);
    let number = bench.acs.sessions_so_far() + 1;
    bench.device.ctl_ok(&["factory", "reset", "--yes"]);
    bench.acs.wait_sessions(number, PATIENCE);
    let first =
        pairs(&[("Device.X_EXAMPLE_Bench.1.Text", "factory"), ("Device.X_EXAMPLE_Bench.2.Text", "factory")]);
    assert_eq!(bench.values(&["Device.X_EXAMPLE_Bench."]), first);
    bench.device.kill_supervisor();
    bench.device.start_again();
    assert_eq!(bench.values(&["Device.X_EXAMPLE_Bench."]), first, "on disk too");
}

#[test]
fn what_cannot_be_added_or_deleted_is_refused_and_leaves_the_parameter_key() {
    let bench = Bench::start("Device", &[("bench.toml", BENCH)]);
    bench.session(&[add("Device.X_EXAMPLE_Bench.", ""), add("Device.X_EXAMPLE_Bench.", "good")]);
    assert_eq!(bench.fault(add("Device.X_EXAMPLE_Bench.", "full")), 9004);
    for name in [
        "Device.X_EXAMPLE_Bench",
        "Device.X_EXAMPLE_Bench.1.",
        "Device.X_EXAMPLE_Bench.*.Sub.",
        "Device.X_EXAMPLE_Fixed.",
        "Device.DeviceInfo.",
        "Device.Nothing.",
        "",
    ] {
        assert_eq!(bench.fault(add(name, "bad")), 9005, "{name}");
    }
    for name in [
        "Device.X_EXAMPLE_Bench.9.",
        "Device.X_EXAMPLE_Bench.1",
        "Device.X_EXAMPLE_Bench.",
        "Device.X_EXAMPLE_Bench.*.",
        "Device.X_EXAMPLE_Fixed.1.",
        "Device.X_EXAMPLE_Bench.1.Text",
    ] {
        assert_eq!(bench.fault(delete(name, "bad")), 9005, "{name}");
    }
    assert_eq!(bench.values(&[KEY]), pairs(&[(KEY, "good")]));
}

#[test]
fn names_say_what_may_come_and_go_and_a_star_is_every_row() {
    let bench = Bench::start("Device", &[("bench.toml", BENCH)]);
    let names = |path: &str, next_level| {
        decode::names(
            &bench.session(&[get_parameter_names(path, next_level)]).nth("GetParameterNamesResponse", 0).body,
        )
    };
    let of = |pairs: &[(&str, bool)]| pairs.iter().map(|(n, w)| ((*n).to_owned(), *w)).collect::<Vec<_>>();
    assert_eq!(
        names("Device.X_EXAMPLE_Bench.", true),
        of(&[("Device.X_EXAMPLE_Bench.1.", true), ("Device.X_EXAMPLE_Bench.2.", true)])
    );
    assert_eq!(
        names("Device.X_EXAMPLE_Bench.1.", false),
        of(&[
            ("Device.X_EXAMPLE_Bench.1.", true),
            ("Device.X_EXAMPLE_Bench.1.Text", true),
            ("Device.X_EXAMPLE_Bench.1.Sub.", true),
        ])
    );
    assert_eq!(
        names("Device.X_EXAMPLE_Fixed.", false),
        of(&[("Device.X_EXAMPLE_Fixed.", false), ("Device.X_EXAMPLE_Fixed.1.", false)])
    );
    // A table without rows (GPN-09, GPV-05).
    assert_eq!(names("Device.X_EXAMPLE_Bench.1.Sub.", true), of(&[]));
    assert_eq!(bench.values(&["Device.X_EXAMPLE_Bench.1.Sub."]), pairs(&[]));
    assert_eq!(
        names("Device.X_EXAMPLE_Bench.*.Text", false),
        of(&[("Device.X_EXAMPLE_Bench.1.Text", true), ("Device.X_EXAMPLE_Bench.2.Text", true)])
    );
    assert_eq!(
        bench.values(&["Device.X_EXAMPLE_Bench.*.Text"]),
        pairs(&[("Device.X_EXAMPLE_Bench.1.Text", "factory"), ("Device.X_EXAMPLE_Bench.2.Text", "factory"),])
    );
    assert_eq!(bench.fault(get_parameter_values(&["Device.*.Text"])), 9005);
}

#[test]
fn the_other_root_informs_with_its_own_forced_parameters() {
    let bench = Bench::start("InternetGatewayDevice", &[]);
    let inform = bench.acs.wait_inform(1, PATIENCE);
    let mut names: Vec<&str> = inform.parameters.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    let forced = [
        "DeviceInfo.HardwareVersion",
        "DeviceInfo.ProvisioningCode",
        "DeviceInfo.SoftwareVersion",
        "DeviceInfo.SpecVersion",
        "DeviceSummary",
        "ManagementServer.ConnectionRequestURL",
        "ManagementServer.ParameterKey",
    ];
    assert_eq!(names, forced.map(|name| format!("InternetGatewayDevice.{name}")));
    let session = bench.session(&[get_parameter_names("", true)]);
    let names = decode::names(&session.nth("GetParameterNamesResponse", 0).body);
    assert_eq!(names, [("InternetGatewayDevice.".to_owned(), false)]);
}

#[test]
fn a_bad_model_file_is_named_in_the_status_and_the_others_load() {
    let bad = BENCH.replace("\"unsignedInt\"", "\"number\"");
    let good = BENCH.replace("X_EXAMPLE_Bench", "X_EXAMPLE_Good").replace("X_EXAMPLE_Fixed", "X_EXAMPLE_Too");
    let bench = Bench::start("Device", &[("1.toml", &bad), ("2.toml", &good)]);
    let warnings = bench.device.status()["warnings"].to_string();
    let file = bench.models.path().join("1.toml");
    assert!(warnings.contains(&format!("model file {}: line 2", file.display())), "{warnings}");
    assert!(!warnings.contains("2.toml"), "{warnings}");
    assert_eq!(bench.values(&["Device.X_EXAMPLE_Good.1.Text"]).len(), 1);
    assert_eq!(bench.fault(get_parameter_values(&["Device.X_EXAMPLE_Bench."])), 9005);
}
