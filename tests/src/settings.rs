//! The settings file of the device under test, as text.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use ipc_proto::UtcTime;

/// To the first periodic point of a device whose test is not about it.
const FAR_MS: i64 = 400_000;

/// What a test may choose; the rest is the same for every test.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) launch: &'static str,
    pub(crate) worker: Option<PathBuf>,
    pub(crate) worker_user: String,
    pub(crate) second_ms: u32,
    pub(crate) heartbeat_ms: u32,
    pub(crate) reply_ms: u32,
    pub(crate) session_max_s: u32,
    pub(crate) send_ms: u32,
    pub(crate) listen: String,
    pub(crate) host: String,
    pub(crate) factory: Vec<(String, String)>,
    pub(crate) extra: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            launch: "child",
            worker: None,
            worker_user: String::new(),
            second_ms: 10,
            heartbeat_ms: 1000,
            reply_ms: 5000,
            session_max_s: 60,
            send_ms: 5000,
            listen: "127.0.0.1".to_owned(),
            host: "127.0.0.1".to_owned(),
            factory: Vec::new(),
            extra: String::new(),
        }
    }
}

/// A port that stays the device's own over its restarts: outside of those that the kernel gives away.
fn free_port() -> u16 {
    let random = || RandomState::new().build_hasher().finish();
    let ports = std::iter::repeat_with(|| 10_000 + (random() % 20_000) as u16).take(1000);
    ports.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

impl Settings {
    /// The TOML for a device whose files all lie in `directory`.
    pub(crate) fn text(&self, directory: &Path, worker: &Path) -> String {
        let path = |name: &str| quoted(&directory.join(name).display().to_string());
        // The longest that the standard's range allows, unless a test is about it: a busy machine is not a dead ACS.
        let patient = ("cwmp.acs_response_timeout".to_owned(), "600".to_owned());
        // A day of CWMP time is minutes here: its end must not fall into a test by chance.
        let far = quoted(&UtcTime::now().plus_millis(FAR_MS).to_string());
        let defaults = [patient, ("cwmp.periodicinformtime".to_owned(), far)];
        let unchosen =
            defaults.iter().filter(|(name, _)| self.factory.iter().all(|(chosen, _)| chosen != name));
        let factory: String =
            self.factory.iter().chain(unchosen).map(|(name, value)| format!("{name} = {value}\n")).collect();
        format!(
            r#"state_dir = {state}
runtime_dir = {run}

[device]
manufacturer = "Example Networks"
oui = "00AABB"
product_class = "Test Gateway"
serial_number = "SN-0001"
model_name = "TG 1"
hardware_version = "hw1"
software_version = "1.2.3"
boot_id = {boot_id}

[worker]
launch = "{launch}"
program = {worker}
user = {user}

[connection_request]
listen = "{listen}:{port}"
host = "{host}"

[timing]
second_ms = {second}
heartbeat_ms = {heartbeat}
reply_ms = {reply}
session_max_s = {session_max}
send_ms = {send}

[factory]
{factory}
{extra}
"#,
            listen = self.listen,
            host = self.host,
            port = free_port(),
            state = path("state"),
            run = path("run"),
            boot_id = path("boot-id"),
            launch = self.launch,
            worker = quoted(&self.worker.as_deref().unwrap_or(worker).display().to_string()),
            user = quoted(&self.worker_user),
            second = self.second_ms,
            heartbeat = self.heartbeat_ms,
            reply = self.reply_ms,
            session_max = self.session_max_s,
            send = self.send_ms,
            extra = self.extra,
        )
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
