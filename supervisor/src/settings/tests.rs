//! What a settings file may say, and what is refused.

use super::*;

fn error(text: &str) -> String {
    Settings::parse(Path::new("supervisor.toml"), text).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let error = error("state_dir = \"/x\"\n\n[device]\nserail_number = \"1\"\n");
    assert!(error.contains("line 4") && error.contains("serail_number"), "{error}");
}

#[test]
fn a_bad_value_is_refused_with_its_line() {
    assert!(
        error("[device]\noui = \"00aabb\"\n").contains("line 2: oui"),
        "{}",
        error("[device]\noui = \"00aabb\"\n")
    );
    assert!(error("[worker]\nlaunch = \"magic\"\n").contains("line 2"));
    assert!(error("[connection_request]\nhost = \"a/b\"\n").contains("line 2: host"));
    assert!(error("[acs]\nallow_hosts = [\"https://acs/\"]\n").contains("line 2: allow_hosts"));
    assert!(error("[clock]\nsynchronised = \"yes\"\n").contains("line 2: synchronised"));
    assert!(error("[timing]\nsecond_ms = 0\n").contains("line 2"));
    assert!(error("[actions]\nreboot = [\"reboot\"]\n").contains("line 2"));
}

#[test]
fn a_bad_factory_value_is_refused_with_its_line() {
    let text = error("[factory]\ncwmp.acs_url = \"http://acs/\"\ncwmp.periodicinforminterval = 0\n");
    assert!(text.contains("line 3"), "{text}");
    let text = error("[factory]\ncwmp.nonsense = 1\n");
    assert!(text.contains("line 2") && text.contains("cwmp.nonsense"), "{text}");
}

#[test]
fn factory_values_are_taken_by_their_cli_names() {
    let text = "[factory]\ncwmp.acs_url = \"http://acs/\"\ncwmp.periodicinformenable = false\n";
    let settings = Settings::parse(Path::new("x"), text).unwrap();
    let values = settings.factory.values().unwrap();
    assert_eq!(values["cwmp.acs_url"], "http://acs/");
    assert_eq!(values["cwmp.periodicinformenable"], "0");
}

#[test]
fn the_shipped_file_shows_every_key_with_its_default() {
    let shipped = include_str!("../../../packaging/etc/supervisor.toml");
    let as_shipped = Settings::parse(Path::new("shipped"), shipped).unwrap();
    assert_eq!(format!("{as_shipped:?}"), format!("{:?}", Settings::default()));
    let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented: String = shipped
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line).to_owned() + "\n")
        .collect();
    let all = Settings::parse(Path::new("uncommented"), &uncommented).unwrap();
    assert_eq!(format!("{all:?}"), format!("{:?}", Settings::default()));
}
