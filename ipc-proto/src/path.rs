//! Names in the data model: parameters, objects, instance numbers and `{i}` templates (TR-106).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::check_chars;

/// The longest name of a parameter or object, in characters (TR-069 A.3.2.2).
pub const MAX_PATH: usize = 256;

/// A well-formed name: `Device.DeviceInfo.UpTime` (a parameter), `Device.Hosts.Host.3.` (an object: a partial
/// path ends with a dot), `Device.Hosts.Host.{i}.Active` (a template), or empty (the whole tree).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamPath(String);

/// One part of a path between two dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// The name of an object or parameter.
    Name(&'a str),
    /// The number of a row, from 1.
    Instance(u32),
    /// `{i}`: any row, in a schema.
    Placeholder,
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Over [`MAX_PATH`].
    #[error("a name of {0} characters, at most {MAX_PATH} are allowed")]
    TooLong(usize),
    /// Two dots in a row, or one at the start.
    #[error("an empty part in the name")]
    EmptyPart,
    /// A part that is neither a name, nor an instance number, nor `{{i}}`.
    #[error("{0:?} is neither a name, nor an instance number from 1, nor {{i}}")]
    BadPart(String),
}

impl ParamPath {
    /// Checks the form of a name; whether it exists is the data model's business.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check_chars(text, MAX_PATH).map_err(|e| PathError::TooLong(e.found))?;
        let parts = text.strip_suffix('.').unwrap_or(text);
        if parts.is_empty() {
            return if text.is_empty() { Ok(Self(String::new())) } else { Err(PathError::EmptyPart) };
        }
        for part in parts.split('.') {
            parse_segment(part)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for an object or the whole tree: all parameters below are meant.
    pub fn is_partial(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('.')
    }

    /// True when a `{i}` stands in it: a name of the schema, not of a parameter.
    pub fn is_template(&self) -> bool {
        self.segments().any(|s| s == Segment::Placeholder)
    }

    /// The parts, from the root on.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.0.split('.').filter_map(|part| parse_segment(part).ok())
    }

    /// The schema's name of this path: each instance number becomes `{i}`.
    pub fn template(&self) -> Self {
        let mut text = String::with_capacity(self.0.len());
        for (n, segment) in self.segments().enumerate() {
            if n > 0 {
                text.push('.');
            }
            match segment {
                Segment::Name(name) => text.push_str(name),
                Segment::Instance(_) | Segment::Placeholder => text.push_str("{i}"),
            }
        }
        if self.0.ends_with('.') {
            text.push('.');
        }
        Self(text)
    }

    /// True when `other` is this path or lies below it.
    pub fn contains(&self, other: &ParamPath) -> bool {
        if self.is_partial() { other.0.starts_with(&self.0) } else { self == other }
    }
}

fn parse_segment(part: &str) -> Result<Segment<'_>, PathError> {
    if part.is_empty() {
        return Err(PathError::EmptyPart);
    }
    if part == "{i}" {
        return Ok(Segment::Placeholder);
    }
    let bad = || PathError::BadPart(part.to_owned());
    if part.starts_with(|c: char| c.is_ascii_digit()) {
        let canonical = part.bytes().all(|b| b.is_ascii_digit()) && !part.starts_with('0');
        return match part.parse() {
            Ok(number) if canonical => Ok(Segment::Instance(number)),
            _ => Err(bad()),
        };
    }
    let mut chars = part.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let rest = chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if first && rest { Ok(Segment::Name(part)) } else { Err(bad()) }
}

impl fmt::Display for ParamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ParamPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ParamPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ParamPath {
        ParamPath::parse(text).unwrap()
    }

    #[test]
    fn full_partial_and_empty_paths() {
        assert!(!path("Device.DeviceInfo.UpTime").is_partial());
        assert!(path("Device.DeviceInfo.").is_partial());
        assert!(path("").is_partial());
    }

    #[test]
    fn instance_numbers_become_placeholders_in_the_template() {
        let row = path("Device.Hosts.Host.3.IPv4Address.12.");
        assert_eq!(row.template(), path("Device.Hosts.Host.{i}.IPv4Address.{i}."));
        assert!(row.template().is_template() && !row.is_template());
        assert!(row.segments().any(|s| s == Segment::Instance(12)));
    }

    #[test]
    fn a_partial_path_contains_what_is_below_it_only() {
        assert!(path("Device.DeviceInfo.").contains(&path("Device.DeviceInfo.UpTime")));
        assert!(path("").contains(&path("Device.")));
        assert!(!path("Device.DeviceInfo.").contains(&path("Device.DeviceInfoX.UpTime")));
        assert!(!path("Device.A").contains(&path("Device.AB")));
    }

    #[test]
    fn malformed_names_are_refused() {
        for bad in [".", "..", ".Device", "Device..X", "Device.0.", "Device.01.", "Device.1x", "De vice."] {
            assert!(ParamPath::parse(bad).is_err(), "{bad}");
        }
        assert!(ParamPath::parse("Device.4294967296.").is_err(), "over u32");
        assert_eq!(ParamPath::parse(&"x".repeat(257)), Err(PathError::TooLong(257)));
        assert!(ParamPath::parse(&"x".repeat(256)).is_ok());
    }
}
