//! The files of TLS to the ACS: read for the worker, which opens none, and checked when a person names them.

use std::{
    fs::{self, Metadata, OpenOptions},
    future::pending,
    io::Read,
    os::unix::fs::OpenOptionsExt as _,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use ipc_proto::{Secret, worker::Trust};
use nix::fcntl::OFlag;
use tokio::task::JoinHandle;

use super::Hub;
use crate::config::{layers::Layers, table::name};

/// The bundle of the distribution, for a device that names no other.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The largest file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The trust that was read last, and what it was read for: files are read when they are named, not at every commit.
#[derive(Debug, Default)]
pub struct Kept {
    names: Option<Names>,
    trust: Trust,
    /// Being read again, off the hub's loop.
    reading: Option<JoinHandle<Trust>>,
}

/// The values of [`FILES`].
type Names = [String; 4];

impl Kept {
    /// The trust of these layers; of no files while there is no ACS. One over http may redirect to https.
    pub fn of(&mut self, layers: &Layers, any_acs: bool) -> &Trust {
        let names = any_acs.then(|| FILES.map(|name| layers.text(name).to_owned()));
        if self.names != names {
            self.trust = names.as_ref().map(trust).unwrap_or_default();
            self.names = names;
            self.reading = None;
        }
        &self.trust
    }

    /// Begins to read the same files again: they may have been changed in place.
    pub fn read_again(&mut self) {
        if let Some(names) = self.names.clone().filter(|_| self.reading.is_none()) {
            self.reading = Some(tokio::task::spawn_blocking(move || trust(&names)));
        }
    }

    /// What was read again, once it is; never when nothing is being read.
    pub async fn read(&mut self) -> Option<Trust> {
        let Some(reading) = &mut self.reading else { return pending().await };
        let read = reading.await.ok();
        self.reading = None;
        read
    }

    /// Keeps what was read again; true if it is something new.
    pub fn replace(&mut self, trust: Trust) -> bool {
        let new = self.trust != trust;
        self.trust = trust;
        new
    }
}

impl Hub {
    /// Files that were changed in place count from the next session on (after a failure of TLS, and at a restart).
    pub(super) fn read_trust_again(&mut self) {
        self.trust.read_again();
    }

    pub(super) fn trust_is(&mut self, trust: Option<Trust>) {
        if trust.is_some_and(|trust| self.trust.replace(trust)) {
            tracing::info!("the files of TLS to the ACS have changed and are in use");
            self.refresh_config();
            self.mended();
        }
    }

    /// What may have made the last session fail is another now: the next attempt need not wait (DECISIONS 13).
    pub(super) fn mended(&mut self) {
        self.nudged = true;
        if self.session.is_none() {
            self.tell_due();
        }
    }
}

/// What the ACS is believed by and believes us by: once that is another after a failure, the next attempt need not
/// wait (DECISIONS 13).
pub fn means(layers: &Layers) -> Vec<String> {
    let login = [name::ACS_USERNAME, name::ACS_PASSWORD];
    FILES.into_iter().chain(login).map(|name| layers.text(name).to_owned()).collect()
}

const FILES: [&str; 4] = [name::CA_FILE, name::CLIENT_CERT, name::CLIENT_KEY, name::ACS_CERT_SHA256];

/// Whom the worker is to believe; what cannot be read is left out and logged, and the session then says what is missing.
fn trust([authorities, certificate, key, pin]: &Names) -> Trust {
    let authorities = match authorities.as_str() {
        "" => SYSTEM_AUTHORITIES,
        file => file,
    };
    Trust {
        authorities: or_warn(pem(authorities, "CERTIFICATE")),
        certificate: or_warn(pem(certificate, "CERTIFICATE")),
        key: Secret::new(or_warn(pem(key, "PRIVATE KEY"))),
        pin: fingerprint(pin),
    }
}

/// Why a value of one of these parameters would not work.
pub fn refusal(parameter: &str, value: &str) -> Option<String> {
    let wrong = match parameter {
        _ if value.is_empty() => return None,
        name::CA_FILE | name::CLIENT_CERT => pem(value, "CERTIFICATE").err(),
        name::CLIENT_KEY => pem(value, "PRIVATE KEY").err(),
        name::ACS_CERT_SHA256 if fingerprint(value).is_none() => {
            Some("must be 64 hexadecimal digits; colons between them are ignored".to_owned())
        }
        _ => None,
    };
    wrong.map(|why| format!("{parameter}: {why}"))
}

/// Why a certificate and a key do not make a pair.
pub fn half_a_pair(certificate: &str, key: &str) -> Option<&'static str> {
    match (certificate.is_empty(), key.is_empty()) {
        (true, false) => Some("cwmp.client_key is set without its certificate: set cwmp.client_cert as well"),
        (false, true) => Some("cwmp.client_cert is set without its key: set cwmp.client_key as well"),
        _ => None,
    }
}

/// The text of a PEM file that holds this, or nothing for no path.
fn pem(path: &str, what: &str) -> Result<String, String> {
    if path.is_empty() {
        return Ok(String::new());
    }
    if !path.starts_with('/') {
        return Err(format!("{path} is no absolute path"));
    }
    let cannot = |error: std::io::Error| format!("{path} cannot be read ({error})");
    // Files of the kernel have no size: reading some of them waits for what is to come.
    let may_be_read = |kind: &Metadata| match (kind.is_file(), kind.len()) {
        (false, _) => Err(format!("{path} is no file")),
        (true, 0) => Err(format!("{path} is empty")),
        (true, _) => Ok(()),
    };
    // Before it is opened, for that alone starts some devices; and after, for it may be another one by then.
    may_be_read(&fs::metadata(path).map_err(cannot)?)?;
    let mut text = String::new();
    let no_wait = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path).map_err(cannot)?;
    may_be_read(&file.metadata().map_err(cannot)?)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("{path} is larger than 1 MiB"));
    }
    if text.trim().is_empty() {
        return Err(format!("{path} is empty"));
    }
    let begins =
        |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{what}-----"));
    if !text.lines().any(begins) {
        return Err(format!("{path} holds no {what} in PEM (text that begins with -----BEGIN)"));
    }
    Ok(text)
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

fn or_warn(text: Result<String, String>) -> String {
    text.unwrap_or_else(|why| {
        tracing::warn!("{why}");
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_cannot_work_is_refused_with_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let why = |path: &str| refusal(name::CA_FILE, path).unwrap_or_default();
        assert!(why(directory.path().to_str().unwrap()).contains("is no file"));
        assert!(why(&file("empty", "\n")).contains("is empty"));
        assert!(why(&file("text", "hello")).contains("holds no CERTIFICATE"));
        assert!(why(&file("large", &"x".repeat(1 << 21))).contains("1 MiB"));
        assert!(why("/nonexistent/ca.pem").contains("cannot be read"));
        assert!(why("ca.pem").contains("absolute"));
        let good = file("good", "-----BEGIN CERTIFICATE-----\n");
        assert_eq!((refusal(name::CA_FILE, &good), refusal(name::CA_FILE, "")), (None, None));
        assert!(refusal(name::CLIENT_KEY, &good).is_some());
        assert_eq!(refusal(name::CLIENT_KEY, &file("key", "-----BEGIN EC PRIVATE KEY-----\n")), None);
    }

    #[test]
    fn what_would_be_waited_for_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.to_str().unwrap(), "/proc/kmsg", "/proc/version", "/dev/tty", "/dev/zero"] {
            let (answers, answer) = std::sync::mpsc::channel();
            let named = path.to_owned();
            std::thread::spawn(move || answers.send(refusal(name::CA_FILE, &named)));
            let why = answer.recv_timeout(std::time::Duration::from_secs(10)).unwrap().unwrap();
            assert!(why.contains("is no file") || why.contains("is empty"), "{path}: {why}");
        }
    }

    #[test]
    fn files_are_read_when_they_are_named_and_not_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let mut layers = Layers::default();
        layers.factory.insert(name::CA_FILE, path.to_str().unwrap().to_owned());
        let mut kept = Kept::default();
        assert_eq!(*kept.of(&layers, false), Trust::default());
        assert!(!kept.of(&layers, true).authorities.is_empty());
        std::fs::remove_file(&path).unwrap();
        assert!(!kept.of(&layers, true).authorities.is_empty());
        layers.factory.insert(name::CA_FILE, "/nonexistent/other.pem".to_owned());
        assert!(kept.of(&layers, true).authorities.is_empty());
    }

    #[test]
    fn a_pin_is_64_hexadecimal_digits() {
        assert_eq!(fingerprint(&"AB:".repeat(32)), Some([0xab; 32]));
        assert!(refusal(name::ACS_CERT_SHA256, "abcd").is_some());
    }

    #[test]
    fn a_key_needs_its_certificate() {
        assert!(half_a_pair("", "/key").is_some() && half_a_pair("/cert", "").is_some());
        assert!(half_a_pair("", "").is_none() && half_a_pair("/cert", "/key").is_none());
    }
}
