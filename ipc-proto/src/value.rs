//! Parameter values and their types, as the data model knows them (TR-106 3.2, TR-069 A.2).

use std::fmt;

use data_encoding::{BASE64, HEXUPPER, HEXUPPER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamType {
    /// Text.
    String,
    /// 32-bit signed.
    Int,
    /// 32-bit unsigned.
    UnsignedInt,
    /// 64-bit signed.
    Long,
    /// 64-bit unsigned.
    UnsignedLong,
    /// 0, 1, true or false.
    Boolean,
    /// Date and time, ISO 8601.
    DateTime,
    /// Bytes, written in base64.
    Base64,
    /// Bytes, written in hexadecimal.
    HexBinary,
}

impl ParamType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::String,
        Self::Int,
        Self::UnsignedInt,
        Self::Long,
        Self::UnsignedLong,
        Self::Boolean,
        Self::DateTime,
        Self::Base64,
        Self::HexBinary,
    ];

    /// The local name of the XML Schema type that xsi:type carries (TR-106 3.2.1).
    pub const fn xsd_name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::UnsignedInt => "unsignedInt",
            Self::Long => "long",
            Self::UnsignedLong => "unsignedLong",
            Self::Boolean => "boolean",
            Self::DateTime => "dateTime",
            Self::Base64 => "base64",
            Self::HexBinary => "hexBinary",
        }
    }

    /// The type of that XML Schema name; XML Schema's own `base64Binary` is taken for base64.
    pub fn from_xsd_name(name: &str) -> Option<Self> {
        if name == "base64Binary" {
            return Some(Self::Base64);
        }
        Self::ALL.into_iter().find(|t| t.xsd_name() == name)
    }
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.xsd_name())
    }
}

/// The value of a parameter. Display gives the text that stands in a SOAP message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Text.
    String(String),
    /// 32-bit signed.
    Int(i32),
    /// 32-bit unsigned.
    UnsignedInt(u32),
    /// 64-bit signed.
    Long(i64),
    /// 64-bit unsigned.
    UnsignedLong(u64),
    /// Truth.
    Boolean(bool),
    /// Date and time.
    DateTime(DateTime),
    /// Bytes, written in base64.
    Base64(Vec<u8>),
    /// Bytes, written in hexadecimal.
    HexBinary(Vec<u8>),
}

/// Why a text is not a value of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .expected {
    ParamType::Int | ParamType::Long => "must be a whole number that fits its type",
    ParamType::UnsignedInt | ParamType::UnsignedLong => "must be a whole number from 0 that fits its type",
    ParamType::Boolean => "must be 0 or 1 (or false or true)",
    ParamType::DateTime => "must be a date and time such as 2026-01-31T12:00:00Z",
    ParamType::Base64 => "must be base64",
    ParamType::HexBinary => "must be pairs of hexadecimal digits",
    ParamType::String => "holds a character that XML 1.0 does not allow",
})]
pub struct ValueError {
    /// The type that was asked for.
    pub expected: ParamType,
}

impl Value {
    /// Reads a text as a value of this type; white space around anything but a string does not count.
    pub fn parse(expected: ParamType, text: &str) -> Result<Self, ValueError> {
        let error = ValueError { expected };
        let word = text.trim_matches([' ', '\t', '\r', '\n']);
        let value = match expected {
            ParamType::String => text.chars().all(is_xml_char).then(|| Self::String(text.to_owned())),
            ParamType::Int => word.parse().ok().map(Self::Int),
            ParamType::UnsignedInt => word.parse().ok().map(Self::UnsignedInt),
            ParamType::Long => word.parse().ok().map(Self::Long),
            ParamType::UnsignedLong => word.parse().ok().map(Self::UnsignedLong),
            ParamType::Boolean => match word {
                "0" | "false" => Some(Self::Boolean(false)),
                "1" | "true" => Some(Self::Boolean(true)),
                _ => None,
            },
            ParamType::DateTime => DateTime::parse(word).map(Self::DateTime),
            ParamType::Base64 => BASE64.decode(word.as_bytes()).ok().map(Self::Base64),
            ParamType::HexBinary => HEXUPPER_PERMISSIVE.decode(word.as_bytes()).ok().map(Self::HexBinary),
        };
        value.ok_or(error)
    }

    /// Its type.
    pub const fn param_type(&self) -> ParamType {
        match self {
            Self::String(_) => ParamType::String,
            Self::Int(_) => ParamType::Int,
            Self::UnsignedInt(_) => ParamType::UnsignedInt,
            Self::Long(_) => ParamType::Long,
            Self::UnsignedLong(_) => ParamType::UnsignedLong,
            Self::Boolean(_) => ParamType::Boolean,
            Self::DateTime(_) => ParamType::DateTime,
            Self::Base64(_) => ParamType::Base64,
            Self::HexBinary(_) => ParamType::HexBinary,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Int(n) => n.fmt(f),
            Self::UnsignedInt(n) => n.fmt(f),
            Self::Long(n) => n.fmt(f),
            Self::UnsignedLong(n) => n.fmt(f),
            Self::Boolean(b) => b.fmt(f),
            Self::DateTime(at) => f.write_str(at.as_str()),
            Self::Base64(bytes) => f.write_str(&BASE64.encode(bytes)),
            Self::HexBinary(bytes) => f.write_str(&HEXUPPER.encode(bytes)),
        }
    }
}

/// True for the characters that may stand in an XML 1.0 document (XML 1.0, production 2).
pub const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// A dateTime as it was written: `YYYY-MM-DDThh:mm:ss`, fraction and zone optional. Without a zone and with a
/// year below 1000 it counts from the boot (TR-106 3.2, TYPE-03).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateTime(String);

impl DateTime {
    /// The Unknown Time of TR-106.
    pub const UNKNOWN: &'static str = "0001-01-01T00:00:00Z";

    /// Takes a dateTime of the right form whose fields are in range.
    pub fn parse(text: &str) -> Option<Self> {
        let (date_time, zone) = split_zone(text)?;
        let shape = date_time.get(..19)?.bytes().enumerate().all(|(n, b)| match n {
            4 | 7 => b == b'-',
            10 => b == b'T',
            13 | 16 => b == b':',
            _ => b.is_ascii_digit(),
        });
        let fraction = date_time.get(19..)?;
        let fraction_fits = fraction.is_empty()
            || fraction.strip_prefix('.').is_some_and(|digits| {
                !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit())
            });
        let exists = date_time.parse::<jiff::civil::DateTime>().is_ok();
        (shape && fraction_fits && zone && exists).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The point in time, or `None` when it is the Unknown Time, relative to the boot, or has no zone.
    pub fn instant(&self) -> Option<crate::UtcTime> {
        let at: jiff::Timestamp = self.0.parse().ok()?;
        let known = self.0.get(..4).is_some_and(|year| year >= "1000");
        known.then(|| crate::UtcTime::from_millis(at.as_millisecond()))
    }
}

/// Splits off `Z` or `+hh:mm`; the second half says whether what was split off is a zone, or nothing.
fn split_zone(text: &str) -> Option<(&str, bool)> {
    if let Some(rest) = text.strip_suffix('Z') {
        return Some((rest, true));
    }
    let at = text.get(19..)?.find(['+', '-']).map(|n| n + 19);
    let Some(at) = at else { return Some((text, true)) };
    let (rest, zone) = text.split_at_checked(at)?;
    let &[_, h1, h2, b':', m1, m2] = zone.as_bytes() else { return Some((rest, false)) };
    let digits = [h1, h2, m1, m2].iter().all(u8::is_ascii_digit);
    let hours = zone.get(1..3)?.parse::<u8>().is_ok_and(|h| h <= 14);
    let minutes = zone.get(4..6)?.parse::<u8>().is_ok_and(|m| m <= 59);
    Some((rest, digits && hours && minutes))
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a dateTime"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(expected: ParamType, text: &str) -> Option<String> {
        Value::parse(expected, text).ok().map(|v| v.to_string())
    }

    #[test]
    fn numbers_keep_their_range() {
        assert_eq!(text(ParamType::Int, "-2147483648").as_deref(), Some("-2147483648"));
        assert_eq!(text(ParamType::Int, "2147483648"), None);
        assert_eq!(text(ParamType::UnsignedInt, " 7\n").as_deref(), Some("7"));
        assert_eq!(text(ParamType::UnsignedInt, "-1"), None);
        assert_eq!(
            text(ParamType::UnsignedLong, "18446744073709551615").as_deref(),
            Some("18446744073709551615")
        );
        assert_eq!(text(ParamType::Long, "1.5"), None);
        assert_eq!(text(ParamType::Long, ""), None);
    }

    #[test]
    fn booleans_are_taken_in_all_four_forms() {
        for (given, taken) in [("0", "false"), ("false", "false"), ("1", "true"), ("true", "true")] {
            assert_eq!(text(ParamType::Boolean, given).as_deref(), Some(taken));
        }
        assert_eq!(text(ParamType::Boolean, "yes"), None);
    }

    #[test]
    fn strings_are_kept_to_the_letter_and_must_fit_xml() {
        assert_eq!(text(ParamType::String, "  a\n<&>\u{1F600} ").as_deref(), Some("  a\n<&>\u{1F600} "));
        assert_eq!(text(ParamType::String, "a\u{0}b"), None);
        assert_eq!(text(ParamType::String, "a\u{ffff}b"), None);
    }

    #[test]
    fn date_times_have_one_form() {
        for good in [
            DateTime::UNKNOWN,
            "2026-01-31T23:59:59Z",
            "2026-01-31T12:00:00.123456+14:00",
            "0001-01-03T03:04:05",
            "2024-02-29T00:00:00-00:30",
        ] {
            assert_eq!(text(ParamType::DateTime, good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-02-30T00:00:00Z",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00+15:00",
            "2026-01-31T25:00:00Z",
            "-2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00Z\u{20ac}",
        ] {
            assert_eq!(text(ParamType::DateTime, bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_known_time_is_a_point_in_time() {
        let instant = |text| DateTime::parse(text).unwrap().instant().map(|at| at.millis());
        assert_eq!(instant("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(instant(DateTime::UNKNOWN), None);
        assert_eq!(instant("0001-01-03T03:04:05"), None);
    }

    #[test]
    fn bytes_round_trip() {
        assert_eq!(text(ParamType::Base64, "AQID").as_deref(), Some("AQID"));
        assert_eq!(text(ParamType::Base64, "AQI"), None);
        assert_eq!(text(ParamType::HexBinary, "0aFF").as_deref(), Some("0AFF"));
        assert_eq!(text(ParamType::HexBinary, "0aF"), None);
    }

    #[test]
    fn every_type_is_found_by_its_name() {
        for t in ParamType::ALL {
            assert_eq!(ParamType::from_xsd_name(t.xsd_name()), Some(t));
        }
        assert_eq!(ParamType::from_xsd_name("base64Binary"), Some(ParamType::Base64));
        assert_eq!(ParamType::from_xsd_name("Int"), None);
    }
}
