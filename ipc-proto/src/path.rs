//! Names in the data model: parameters, objects, instance numbers and `{i}` templates (TR-106).

use crate::text::check_chars;

/// The longest name of a parameter or object, in characters (TR-069 A.3.2.2).
pub const MAX_PATH: usize = 256;

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

/// The parts of a well-formed name, from the root on: `Device.DeviceInfo.UpTime` (a parameter),
/// `Device.Hosts.Host.3.` (an object, which ends with a dot), `Device.Hosts.Host.{i}.Active` (a template), or
/// empty (the whole tree). Whether it exists is the data model's business.
pub fn segments(text: &str) -> Result<Vec<Segment<'_>>, PathError> {
    check_chars(text, MAX_PATH).map_err(|e| PathError::TooLong(e.found))?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.strip_suffix('.').unwrap_or(text).split('.').map(segment).collect()
}

/// One part of a name.
pub fn segment(part: &str) -> Result<Segment<'_>, PathError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_placeholders() {
        use Segment::{Instance, Name, Placeholder};
        assert_eq!(
            segments("Device.T.12.A-b_1"),
            Ok(vec![Name("Device"), Name("T"), Instance(12), Name("A-b_1")])
        );
        assert_eq!(segments("Device.T.{i}."), Ok(vec![Name("Device"), Name("T"), Placeholder]));
        assert_eq!(segments(""), Ok(Vec::new()));
    }

    #[test]
    fn malformed_names_are_refused() {
        for bad in [".", "..", ".Device", "Device..X", "Device.0.", "Device.01.", "Device.1x", "De vice."] {
            assert!(segments(bad).is_err(), "{bad}");
        }
        assert!(segments("Device.4294967296.").is_err(), "over u32");
        assert_eq!(segments(&"x".repeat(257)), Err(PathError::TooLong(257)));
        assert!(segments(&"x".repeat(256)).is_ok());
    }
}
