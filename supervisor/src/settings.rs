//! The daemon's own settings: one TOML file, unknown keys refused, every key with a default.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ipc_proto::HttpUrl;
use serde::Deserialize;
use toml::Spanned;

use crate::{
    config::table::{self, Author},
    model::root::Root,
};

/// All settings. `packaging/etc/supervisor.toml` shows each key with its default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the store lives; made with mode 0700.
    pub state_dir: PathBuf,
    /// Where the log lives, which may be lost; empty: in `state_dir`.
    pub log_dir: PathBuf,
    /// Where `supervisor.sock` and `worker.sock` are bound.
    pub runtime_dir: PathBuf,
    /// Who the device is.
    pub device: DeviceSettings,
    /// What is in the data model beside what every device has.
    pub data_model: DataModelSettings,
    /// How the worker comes to run.
    pub worker: WorkerSettings,
    /// What is allowed towards the ACS.
    pub acs: AcsSettings,
    /// How the clock is known to be right.
    pub clock: ClockSettings,
    /// Where the ACS may knock.
    pub connection_request: ConnectionRequestSettings,
    /// Commands for privileged acts.
    pub actions: ActionSettings,
    /// Factory values by CLI name.
    pub factory: FactorySettings,
    /// Clocks.
    pub timing: TimingSettings,
}

/// `[device]`: what is empty is found out from the device itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceSettings {
    /// DeviceInfo.Manufacturer, up to 64 characters.
    pub manufacturer: String,
    /// DeviceInfo.ManufacturerOUI, six upper-case hexadecimal digits.
    pub oui: String,
    /// DeviceInfo.ProductClass, up to 64 characters.
    pub product_class: String,
    /// DeviceInfo.SerialNumber, up to 64 characters.
    pub serial_number: String,
    /// DeviceInfo.ModelName, up to 64 characters.
    pub model_name: String,
    /// DeviceInfo.HardwareVersion, up to 64 characters.
    pub hardware_version: String,
    /// DeviceInfo.SoftwareVersion, up to 64 characters.
    pub software_version: String,
    /// `kernel`, or a file whose content changes with every boot.
    pub boot_id: BootIdSource,
}

/// `[device] boot_id`.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "String")]
pub enum BootIdSource {
    /// The kernel's random boot id.
    #[default]
    Kernel,
    /// A file's content.
    File(PathBuf),
}

impl From<String> for BootIdSource {
    fn from(text: String) -> Self {
        if text == "kernel" { Self::Kernel } else { Self::File(text.into()) }
    }
}

/// `[data_model]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataModelSettings {
    /// `Device` or `InternetGatewayDevice`.
    pub root: Root,
    /// Model files: every `*.toml` in it.
    pub dir: PathBuf,
}

/// `[worker]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Who starts cwmpd.
    pub launch: Launch,
    /// The program, for `launch = "child"`.
    pub program: PathBuf,
    /// The user that cwmpd runs as; empty: the supervisor's own.
    pub user: String,
}

/// `[worker] launch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Launch {
    /// The supervisor.
    Child,
    /// Someone else.
    External,
}

/// `[clock]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockSettings {
    /// `auto`, or a file that exists once the clock is synchronised.
    pub synchronised: ClockSource,
}

/// `[clock] synchronised`.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "String")]
pub enum ClockSource {
    /// systemd-timesyncd where it runs, else any time that is past the build.
    #[default]
    Auto,
    /// A file that exists once the clock is synchronised.
    File(PathBuf),
}

impl From<String> for ClockSource {
    fn from(text: String) -> Self {
        if text == "auto" { Self::Auto } else { Self::File(text.into()) }
    }
}

/// `[acs]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcsSettings {
    /// Sessions over http are opened.
    pub allow_http: bool,
    /// A Basic challenge over http is answered.
    pub allow_basic_http: bool,
    /// Host names and addresses that the ACS URL may hold; empty: any.
    pub allow_hosts: Vec<String>,
    /// Messages with prefixes that are not declared are read all the same.
    pub lenient: bool,
    /// Header SessionTimeout: how many seconds the ACS should wait for the device.
    pub session_timeout_s: u32,
}

impl AcsSettings {
    /// Why no session is opened with this ACS URL.
    pub fn refusal(&self, url: &HttpUrl) -> Option<String> {
        let host = url.host();
        if !self.allow_hosts.is_empty() && !self.allow_hosts.iter().any(|it| it.eq_ignore_ascii_case(host)) {
            return Some(format!(
                "the host {host} of the ACS URL is not one of [acs] allow_hosts ({}): set one of them, or add it there",
                self.allow_hosts.join(", ")
            ));
        }
        (!self.allow_http && !url.is_https()).then(|| {
            "the ACS URL is http, which [acs] allow_http = false forbids: set an https URL".to_owned()
        })
    }
}

/// `[connection_request]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionRequestSettings {
    /// Address and port to listen on.
    pub listen: String,
    /// Host of ConnectionRequestURL; empty: the local address of the session.
    pub host: String,
}

/// `[actions]`: program and arguments, never a shell; empty: the act is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActionSettings {
    /// Reboots the device.
    pub reboot: Vec<String>,
    /// Does what a factory reset needs beside our own state.
    pub factory_reset: Vec<String>,
}

/// `[factory]`: values that replace the table's defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FactorySettings {
    cwmp: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
}

/// `[timing]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingSettings {
    /// How long a CWMP second lasts, in milliseconds; 1000 but in tests.
    pub second_ms: u32,
    /// Between two heartbeats of the worker link; three missed ones end it.
    pub heartbeat_ms: u32,
    /// How long the worker waits for an answer of the supervisor.
    pub reply_ms: u32,
    /// The longest session, in seconds.
    pub session_max_s: u32,
    /// How long a client of either socket may take to take a message.
    pub send_ms: u32,
    /// The first session after a boot waits so many CWMP seconds at the most, drawn; 0: it does not wait.
    pub start_spread_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/cwmp".into(),
            log_dir: PathBuf::new(),
            runtime_dir: "/run/cwmp".into(),
            device: DeviceSettings::default(),
            data_model: DataModelSettings::default(),
            worker: WorkerSettings::default(),
            acs: AcsSettings::default(),
            clock: ClockSettings::default(),
            connection_request: ConnectionRequestSettings::default(),
            actions: ActionSettings::default(),
            factory: FactorySettings::default(),
            timing: TimingSettings::default(),
        }
    }
}

impl Default for DataModelSettings {
    fn default() -> Self {
        Self { root: Root::Device, dir: "/etc/cwmp/model.d".into() }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { launch: Launch::Child, program: "/usr/sbin/cwmpd".into(), user: String::new() }
    }
}

impl Default for AcsSettings {
    fn default() -> Self {
        Self {
            allow_http: true,
            allow_basic_http: true,
            allow_hosts: Vec::new(),
            lenient: true,
            session_timeout_s: 60,
        }
    }
}

impl Default for ConnectionRequestSettings {
    fn default() -> Self {
        Self { listen: "[::]:7547".to_owned(), host: String::new() }
    }
}

impl Default for TimingSettings {
    fn default() -> Self {
        Self {
            second_ms: 1000,
            heartbeat_ms: 10_000,
            reply_ms: 25_000,
            session_max_s: 600,
            send_ms: 5_000,
            start_spread_s: 0,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Not TOML, an unknown key, a wrong type, a value that cannot be. Never the line itself: it may hold a secret.
    #[error("{path}, line {line}: {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong, or what would be accepted.
        reason: String,
    },
}

impl Settings {
    /// Where the log lives.
    pub fn log_dir(&self) -> &Path {
        if self.log_dir.as_os_str().is_empty() { &self.state_dir } else { &self.log_dir }
    }

    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::Read { path: path.to_owned(), error })?;
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let at = |line, reason| SettingsError::Value { path: path.to_owned(), line, reason };
        let settings: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(line_of_offset(text, offset), error.message().to_owned())
        })?;
        settings.factory.values().map_err(|(offset, reason)| at(line_of_offset(text, offset), reason))?;
        settings.check().map_err(|(key, reason)| at(line_of_key(text, key), format!("{key}: {reason}")))?;
        Ok(settings)
    }

    /// The first key whose value cannot be, and what would be accepted.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let device = &self.device;
        for (key, text) in [
            ("manufacturer", &device.manufacturer),
            ("product_class", &device.product_class),
            ("serial_number", &device.serial_number),
            ("model_name", &device.model_name),
            ("hardware_version", &device.hardware_version),
            ("software_version", &device.software_version),
        ] {
            ipc_proto::text::check_chars(text, 64).map_err(|e| (key, e.to_string()))?;
        }
        let oui = device.oui.as_bytes();
        let hex = |b: &u8| b.is_ascii_digit() || (b'A'..=b'F').contains(b);
        if !(oui.is_empty() || oui.len() == 6 && oui.iter().all(hex)) {
            return Err(("oui", "six upper-case hexadecimal digits are needed, such as 00AABB".to_owned()));
        }
        if self.connection_request.listen.parse::<std::net::SocketAddr>().is_err() {
            return Err(("listen", "an address and a port are needed, such as [::]:7547".to_owned()));
        }
        if let ClockSource::File(file) = &self.clock.synchronised
            && !file.is_absolute()
        {
            return Err(("synchronised", "\"auto\" or the absolute path of a file is needed".to_owned()));
        }
        if self.acs.allow_hosts.iter().any(|host| host.is_empty() || host.contains(['/', '*', '['])) {
            return Err((
                "allow_hosts",
                "each must be a name such as acs.example.org, or an address without brackets".to_owned(),
            ));
        }
        let in_url = |c: char| c.is_ascii_alphanumeric() || "-._~:[]".contains(c);
        if !self.connection_request.host.chars().all(in_url) || self.connection_request.host.len() > 128 {
            return Err(("host", "a name or an address is needed, such as cpe.example.org".to_owned()));
        }
        for (key, argv) in [("reboot", &self.actions.reboot), ("factory_reset", &self.actions.factory_reset)]
        {
            if argv.first().is_some_and(|program| !program.starts_with('/')) {
                return Err((key, "the program must be an absolute path".to_owned()));
            }
        }
        // Longer than the worker waits for the supervisor, which waits for commands (DECISIONS 6).
        if !(30..=86_400).contains(&self.acs.session_timeout_s) {
            return Err(("session_timeout_s", "must be from 30 to 86400".to_owned()));
        }
        let timing = &self.timing;
        for (key, value) in [
            ("second_ms", timing.second_ms),
            ("heartbeat_ms", timing.heartbeat_ms),
            ("reply_ms", timing.reply_ms),
            ("session_max_s", timing.session_max_s),
            ("send_ms", timing.send_ms),
        ] {
            if !(1..=86_400_000).contains(&value) {
                return Err((key, "must be from 1 to 86400000".to_owned()));
            }
        }
        if timing.start_spread_s > 86_400 {
            return Err(("start_spread_s", "must be from 0 to 86400".to_owned()));
        }
        Ok(())
    }
}

impl FactorySettings {
    /// The values as the table writes them, or the offset of a bad one and what would be accepted.
    pub fn values(&self) -> Result<BTreeMap<&'static str, String>, (usize, String)> {
        let mut values = BTreeMap::new();
        for (key, value) in &self.cwmp {
            let name = format!("cwmp.{}", key.get_ref());
            let row = table::row(&name).map_err(|e| (key.span().start, e.to_string()))?;
            let text = match value.get_ref() {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let text = row.parse(&text, Author::Person).map_err(|e| (value.span().start, e.to_string()))?;
            values.insert(row.name, text);
        }
        Ok(values)
    }
}

fn line_of_offset(text: &str, offset: usize) -> usize {
    text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
}

/// The line that sets `key`; keys are unique over all our tables.
fn line_of_key(text: &str, key: &str) -> usize {
    let sets =
        |line: &str| line.trim_start().strip_prefix(key).is_some_and(|r| r.trim_start().starts_with('='));
    text.lines().position(sets).map_or(1, |n| n + 1)
}

#[cfg(test)]
mod tests;
