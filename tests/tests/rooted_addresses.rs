//! An address of the device changes while it runs: the ACS hears at once where it can ask for a session.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::process::Command;

use tests::acs::decode::Inform;
use tests::device::PATIENCE;
use tests::{Acs, Device, may_unshare};

const URL: &str = "Device.ManagementServer.ConnectionRequestURL";

/// A network of two: the ACS's side here, the device's in a namespace of its own.
struct Network {
    name: String,
    third: u32,
}

impl Network {
    /// None, and said, where there can be no such thing.
    fn new() -> Option<Self> {
        if !may_unshare() {
            return None;
        }
        let pid = std::process::id();
        let network = Self { name: format!("cwmp{pid}"), third: pid % 250 };
        let (name, third) = (&network.name, network.third);
        // The device's side gets another address every time, so it begins without one.
        ip(&format!("netns add {name}"));
        ip(&format!("link add {name} type veth peer name eth0 netns {name}"));
        ip(&format!("address add 198.18.{third}.1/24 dev {name}"));
        ip(&format!("link set {name} up"));
        network.inside("link set lo up");
        network.inside("link set eth0 up");
        Some(network)
    }

    fn inside(&self, words: &str) {
        ip(&format!("-n {} {words}", self.name));
    }

    fn address(&self, last: u32) -> String {
        format!("198.18.{}.{last}", self.third)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.name]).status();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("there is ip (Debian: iproute2)");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn host(inform: &Inform) -> &str {
    let url = inform.value(URL).unwrap();
    url.strip_prefix("http://").unwrap().split(':').next().unwrap()
}

#[test]
#[ignore = "rooted"]
fn another_address_is_told_at_once_and_serves() {
    let Some(network) = Network::new() else { return };
    network.inside(&format!("address add {}/24 dev eth0", network.address(2)));
    let acs = Acs::start_at(format!("{}:0", network.address(1)).parse().unwrap());
    let device = Device::builder()
        .factory("cwmp.con_req_username", "\"acs\"")
        .factory("cwmp.con_req_password", "\"secret\"")
        .connection_requests("0.0.0.0", "")
        .started_through(&["ip", "netns", "exec", &network.name])
        .start();
    device.use_acs(&acs.url());
    let first = acs.wait_inform(1, PATIENCE);
    assert_eq!((first.event_codes(), host(&first)), (vec!["0 BOOTSTRAP", "1 BOOT"], &*network.address(2)));
    device.wait_status("connected", |s| s["acs"]["state"] == "connected" && s["open_session"].is_null());

    // Replaced, as a lease of DHCP that ran out.
    network.inside(&format!("address delete {}/24 dev eth0", network.address(2)));
    network.inside(&format!("address add {}/24 dev eth0", network.address(3)));
    let changed = acs.wait_inform(2, PATIENCE);
    assert_eq!((changed.event_codes(), host(&changed)), (vec!["4 VALUE CHANGE"], &*network.address(3)));
    let status = device.wait_status("the session's end", |s| s["open_session"].is_null());
    let url = status["connection_request_url"].as_str().unwrap();
    assert_eq!(changed.value(URL), Some(url));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--digest", "--user", "acs:secret", "--noproxy", "*", url]);
    assert!(curl.status().unwrap().success(), "{url} serves");
    assert_eq!(acs.wait_inform(3, PATIENCE).event_codes(), ["6 CONNECTION REQUEST"]);
    device.wait_status("the session's end", |s| s["open_session"].is_null());

    // Both are there, and a route prefers the other one.
    network.inside(&format!("address add {}/24 dev eth0", network.address(4)));
    let to = network.address(1);
    network.inside(&format!("route replace {to}/32 dev eth0 src {}", network.address(4)));
    let routed = acs.wait_inform(4, PATIENCE);
    assert_eq!((routed.event_codes(), host(&routed)), (vec!["4 VALUE CHANGE"], &*network.address(4)));
}
