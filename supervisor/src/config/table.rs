//! The parameter table: one row a parameter; the command line, the data model and the manual follow from it.

use ipc_proto::{
    CwmpVersion, HttpUrl, ParamType, Value,
    text::check_chars,
    value::{DateTime, is_xml_char},
};

/// One parameter of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// CLI name.
    pub name: &'static str,
    /// For people.
    pub label: &'static str,
    /// Path in the data model, if it has one.
    pub path: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// Its value before anyone set it.
    pub default: Default,
    /// Who may write it.
    pub access: Access,
    /// Never shown, read as empty.
    pub secret: bool,
    /// DHCP may supply it: DECISIONS on precedence.
    pub from_dhcp: bool,
    /// When a change counts.
    pub effect: Effect,
    /// What it does and what it takes.
    pub help: &'static str,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0 or 1.
    Boolean,
    /// A whole number in this range, both ends included.
    Unsigned {
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// Text of at most so many characters.
    Text(usize),
    /// An http or https URL.
    Url,
    /// A version of CWMP, or empty.
    Version,
    /// A dateTime.
    DateTime,
}

/// Value of a parameter that nobody set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This text.
    Fixed(&'static str),
    /// OUI-ProductClass-SerialNumber (TR-069 3.4.4).
    DeviceName,
    /// 128 random bits, made at first start.
    Random,
}

/// Who may write a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone with the right role.
    Everyone,
    /// The ACS, the command line and a file; the web page only shows it.
    NotWeb,
    /// Only the CWMP stack.
    Stack,
}

/// When a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At once.
    Now,
    /// From the next session on.
    NextSession,
}

/// Who gives a value: an empty URL is a person's way to say "no ACS", but no ACS may say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A person or the settings.
    Person,
    /// The ACS.
    Acs,
}

/// No row of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no parameter {0}: `show cwmp` lists them")]
pub struct UnknownName(pub String);

/// A value that the row does not take, and what it would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {expected}")]
pub struct BadValue {
    /// CLI name.
    pub name: &'static str,
    /// Begins with "must be".
    pub expected: String,
}

impl Row {
    const fn new(name: &'static str, label: &'static str, kind: Kind, default: &'static str) -> Self {
        Self {
            name,
            label,
            path: None,
            kind,
            default: Default::Fixed(default),
            access: Access::Everyone,
            secret: false,
            from_dhcp: false,
            effect: Effect::NextSession,
            help: "",
        }
    }

    const fn path(self, path: &'static str) -> Self {
        Self { path: Some(path), ..self }
    }

    const fn default(self, default: Default) -> Self {
        Self { default, ..self }
    }

    const fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn dhcp(self) -> Self {
        Self { from_dhcp: true, ..self }
    }

    const fn at_once(self) -> Self {
        Self { effect: Effect::Now, ..self }
    }

    const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    /// Type of the parameter in the data model.
    pub const fn param_type(&self) -> ParamType {
        match self.kind {
            Kind::Boolean => ParamType::Boolean,
            Kind::Unsigned { .. } => ParamType::UnsignedInt,
            Kind::Text(_) | Kind::Url | Kind::Version => ParamType::String,
            Kind::DateTime => ParamType::DateTime,
        }
    }

    /// Checks a value; the answer is the text that the layers keep.
    pub fn parse(&self, text: &str, author: Author) -> Result<String, BadValue> {
        let bad = |expected: String| BadValue { name: self.name, expected };
        match self.kind {
            Kind::Boolean => match text {
                "0" | "false" => Ok("0".to_owned()),
                "1" | "true" => Ok("1".to_owned()),
                _ => Err(bad("must be 0 or 1".to_owned())),
            },
            Kind::Unsigned { min, max } => match text.trim().parse::<u32>() {
                Ok(n) if (min..=max).contains(&n) => Ok(n.to_string()),
                _ => Err(bad(format!("must be a whole number from {min} to {max}"))),
            },
            Kind::Text(max) => {
                check_chars(text, max)
                    .map_err(|e| bad(format!("must be at most {max} characters; this is {}", e.found)))?;
                if !text.chars().all(is_xml_char) {
                    return Err(bad("must be text without control characters".to_owned()));
                }
                Ok(text.to_owned())
            }
            Kind::Url if text.is_empty() && author == Author::Person => Ok(String::new()),
            Kind::Url => match HttpUrl::parse(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(e) => Err(bad(format!("must be an http or https URL of at most 256 characters: it {e}"))),
            },
            Kind::Version if text.is_empty() => Ok(String::new()),
            Kind::Version => match CwmpVersion::parse(text) {
                Some(version) => Ok(version.to_string()),
                None => Err(bad("must be 1.0, 1.1, 1.2, 1.3 or 1.4, or empty".to_owned())),
            },
            Kind::DateTime => match DateTime::parse(text) {
                Some(_) => Ok(text.to_owned()),
                None => Err(bad("must be a date and time such as 2026-01-31T12:00:00Z".to_owned())),
            },
        }
    }

    /// The value in the data model of a text that the layers keep.
    pub fn value(&self, text: &str) -> Value {
        let parsed = Value::parse(self.param_type(), text);
        // The layers hold only what `parse` gave; a damaged store shows as text.
        parsed.unwrap_or_else(|_| Value::String(text.to_owned()))
    }
}

/// The row of a CLI name.
pub fn row(name: &str) -> Result<&'static Row, UnknownName> {
    TABLE.iter().find(|row| row.name == name).ok_or_else(|| UnknownName(name.to_owned()))
}

/// Names that the code asks for.
pub mod name {
    #![allow(missing_docs)]
    pub const USE_DHCP: &str = "cwmp.use_dhcp";
    pub const ENABLE: &str = "cwmp.enable";
    pub const ACS_URL: &str = "cwmp.acs_url";
    pub const ACS_USERNAME: &str = "cwmp.acs_username";
    pub const ACS_PASSWORD: &str = "cwmp.acs_password";
    pub const ACS_RESPONSE_TIMEOUT: &str = "cwmp.acs_response_timeout";
    pub const PERIODIC_INFORM_ENABLE: &str = "cwmp.periodicinformenable";
    pub const PERIODIC_INFORM_INTERVAL: &str = "cwmp.periodicinforminterval";
    pub const PERIODIC_INFORM_TIME: &str = "cwmp.periodicinformtime";
    pub const RETRY_MIN_WAIT: &str = "cwmp.retry_min_wait";
    pub const RETRY_MULTIPLIER: &str = "cwmp.retry_multiplier";
    pub const CON_REQ_ENABLE: &str = "cwmp.con_req_enable";
    pub const CON_REQ_USERNAME: &str = "cwmp.con_req_username";
    pub const CON_REQ_PASSWORD: &str = "cwmp.con_req_password";
    pub const MAX_VERSION: &str = "cwmp.max_version";
    pub const CA_FILE: &str = "cwmp.ca_file";
    pub const CLIENT_CERT: &str = "cwmp.client_cert";
    pub const CLIENT_KEY: &str = "cwmp.client_key";
    pub const ACS_CERT_SHA256: &str = "cwmp.acs_cert_sha256";
    pub const CON_REQ_URL: &str = "cwmp.con_req_url";
    pub const PROVISIONING_CODE: &str = "cwmp.provisioning_code";
}

const BOOLEAN: Kind = Kind::Boolean;

/// Every parameter, in the order that people see them.
pub static TABLE: &[Row] = &[
    Row::new(name::ENABLE, "Enable CWMP", BOOLEAN, "1")
        .path("Device.ManagementServer.EnableCWMP")
        .help("0 stops all sessions with the ACS; only a person or a factory reset starts them again."),
    Row::new(name::USE_DHCP, "Use DHCP Option", BOOLEAN, "1")
        .help("1 takes the ACS URL and what else the DHCP server gives (option 43); 0 ignores DHCP. Not served yet: nothing is taken from DHCP so far."),
    Row::new(name::ACS_URL, "ACS URL", Kind::Url, "")
        .path("Device.ManagementServer.URL")
        .dhcp()
        .help("Where the ACS is: http://HOST:PORT/PATH or https. Empty: no ACS, no sessions."),
    Row::new(name::ACS_USERNAME, "ACS Username", Kind::Text(256), "")
        .path("Device.ManagementServer.Username")
        .default(Default::DeviceName)
        .help("The name that this device gives when the ACS asks for a login."),
    Row::new(name::ACS_PASSWORD, "ACS Password", Kind::Text(256), "")
        .path("Device.ManagementServer.Password")
        .secret()
        .help("The password for that login. Without `=` cwmpctl asks for it and shows nothing."),
    Row::new(name::PERIODIC_INFORM_ENABLE, "Period Inform Enable", BOOLEAN, "1")
        .path("Device.ManagementServer.PeriodicInformEnable")
        .at_once()
        .help("1 informs the ACS at every interval; 0 only when something happens."),
    Row::new(
        name::PERIODIC_INFORM_INTERVAL,
        "Inform Interval",
        Kind::Unsigned { min: 1, max: u32::MAX },
        "86400",
    )
    .path("Device.ManagementServer.PeriodicInformInterval")
    .at_once()
    .help("Seconds between two periodic informs, from 1."),
    Row::new(name::PERIODIC_INFORM_TIME, "Inform Time", Kind::DateTime, DateTime::UNKNOWN)
        .path("Device.ManagementServer.PeriodicInformTime")
        .at_once()
        .help("A point in time that periodic informs are counted from; year 0001: this device's own choice."),
    Row::new(name::CON_REQ_URL, "Connection Request URL", Kind::Text(256), "")
        .path("Device.ManagementServer.ConnectionRequestURL")
        .access(Access::Stack)
        .at_once()
        .help("Where the ACS asks for a session. Set by the device itself."),
    Row::new(name::CON_REQ_ENABLE, "Connection Request Enable", BOOLEAN, "1")
        .path("Device.ManagementServer.HTTPConnectionRequestEnable")
        .at_once()
        .help("1 lets the ACS ask for a session; 0 closes the port that it asks by."),
    Row::new(name::CON_REQ_USERNAME, "Connection Request Username", Kind::Text(256), "")
        .path("Device.ManagementServer.ConnectionRequestUsername")
        .default(Default::DeviceName)
        .access(Access::NotWeb)
        .at_once()
        .help("The name that the ACS gives when it asks for a session."),
    Row::new(name::CON_REQ_PASSWORD, "Connection Request Password", Kind::Text(256), "")
        .path("Device.ManagementServer.ConnectionRequestPassword")
        .default(Default::Random)
        .access(Access::NotWeb)
        .secret()
        .at_once()
        .help("The password for that; random at first start. The ACS usually sets its own."),
    Row::new("cwmp.manage_upgrade", "Manage Upgrades", BOOLEAN, "1")
        .path("Device.ManagementServer.UpgradesManaged")
        .at_once()
        .help("1: the ACS alone decides about firmware; 0: other means may be used."),
    Row::new(name::PROVISIONING_CODE, "Provisioning Code", Kind::Text(64), "")
        .path("Device.DeviceInfo.ProvisioningCode")
        .dhcp()
        .help("Tells the ACS how to provision this device, such as TLCO.GRP2; up to 64 characters."),
    Row::new(name::RETRY_MIN_WAIT, "Retry Minimum Wait", Kind::Unsigned { min: 1, max: 65_535 }, "5")
        .path("Device.ManagementServer.CWMPRetryMinimumWaitInterval")
        .dhcp()
        .at_once()
        .help("Seconds that the first retry of a failed session waits at the least, 1 to 65535."),
    Row::new(name::RETRY_MULTIPLIER, "Retry Multiplier", Kind::Unsigned { min: 1000, max: 65_535 }, "2000")
        .path("Device.ManagementServer.CWMPRetryIntervalMultiplier")
        .dhcp()
        .at_once()
        .help("How much longer each further retry waits, in thousandths, 1000 to 65535."),
    Row::new(name::ACS_RESPONSE_TIMEOUT, "ACS Response Timeout", Kind::Unsigned { min: 30, max: 600 }, "60")
        .help("Seconds to wait for each answer of the ACS, 30 to 600."),
    Row::new(name::MAX_VERSION, "Newest CWMP Version", Kind::Version, "").help(
        "The newest version of CWMP to offer to the ACS, 1.0 to 1.4. Empty: 1.4, and an older one after an ACS did not take it.",
    ),
    Row::new(name::CA_FILE, "ACS Authorities", Kind::Text(256), "")
        .help("A PEM file of the authorities that may vouch for an https ACS. Empty: the system's own."),
    Row::new(name::ACS_CERT_SHA256, "ACS Certificate SHA-256", Kind::Text(256), "").help(
        "SHA-256 of the ACS's certificate: that one is believed, whoever vouches for it, and no other. Empty: none is pinned.",
    ),
    Row::new(name::CLIENT_CERT, "Client Certificate", Kind::Text(256), "")
        .help("A PEM file with this device's own certificate and its chain, shown to an ACS that asks."),
    Row::new(name::CLIENT_KEY, "Client Key", Kind::Text(256), "")
        .help("A PEM file with the key of that certificate. The file, not its content, is the value."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_labels_and_paths_are_unique_and_every_row_has_help() {
        let distinct = |texts: Vec<&str>| texts.iter().collect::<HashSet<_>>().len() == texts.len();
        assert!(distinct(TABLE.iter().map(|r| r.name).collect()));
        assert!(distinct(TABLE.iter().map(|r| r.label).collect()));
        assert!(distinct(TABLE.iter().filter_map(|r| r.path).collect()));
        assert!(TABLE.iter().all(|r| r.help.len() > 20));
    }

    #[test]
    fn every_fixed_default_is_a_value_of_its_row() {
        for row in TABLE {
            if let Default::Fixed(text) = row.default {
                assert_eq!(row.parse(text, Author::Person).as_deref(), Ok(text), "{}", row.name);
            }
        }
    }

    #[test]
    fn a_bad_value_says_what_would_be_accepted() {
        let error =
            |name: &str, text: &str| row(name).unwrap().parse(text, Author::Person).unwrap_err().to_string();
        let interval = error("cwmp.periodicinforminterval", "0");
        assert_eq!(interval, "cwmp.periodicinforminterval must be a whole number from 1 to 4294967295");
        assert!(error("cwmp.acs_url", "acs.example.org").contains("http://"));
        assert!(error("cwmp.enable", "yes").contains("0 or 1"));
        assert!(error("cwmp.acs_username", &"x".repeat(257)).contains("257"));
        assert!(error("cwmp.acs_username", "a\u{1b}[31m").contains("control"));
    }

    #[test]
    fn only_a_person_may_take_the_acs_away() {
        let url = row(name::ACS_URL).unwrap();
        assert_eq!(url.parse("", Author::Person), Ok(String::new()));
        assert!(url.parse("", Author::Acs).is_err());
    }

    #[test]
    fn the_acs_gets_thirty_seconds_to_answer_at_the_least() {
        let timeout = row(name::ACS_RESPONSE_TIMEOUT).unwrap();
        assert!(timeout.parse("29", Author::Person).is_err());
        assert_eq!(timeout.parse("30", Author::Person).as_deref(), Ok("30"));
    }

    #[test]
    fn a_version_is_one_that_there_is() {
        let version = row(name::MAX_VERSION).unwrap();
        assert_eq!(version.parse(" 1.1", Author::Person).as_deref(), Ok("1.1"));
        assert_eq!(version.parse("", Author::Person).as_deref(), Ok(""));
        assert!(version.parse("1.5", Author::Person).unwrap_err().to_string().contains("1.4"));
    }

    #[test]
    fn limits_count_characters() {
        let code = row("cwmp.provisioning_code").unwrap();
        assert!(code.parse(&"\u{20ac}".repeat(64), Author::Acs).is_ok());
        assert!(code.parse(&"\u{20ac}".repeat(65), Author::Acs).is_err());
    }
}
