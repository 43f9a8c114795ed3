//! What a stored parameter takes beside its type: length, range, a list of words, a pattern (TYPE-08).

use ipc_proto::{ParamType, Value};
use regex_lite::Regex;

/// The longest text of a value, in bytes: with a page before it, it must fit a frame between the daemons.
const MAX_TEXT: usize = 1024 * 1024;

/// Limits of a parameter; all of them count.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Characters of a string, bytes of base64 and hexBinary, at the most.
    pub max_length: Option<u32>,
    /// The only texts that are taken; empty: any.
    pub enumeration: Vec<String>,
    /// A regular expression that the whole text must fit.
    pub pattern: Option<Regex>,
    /// Smallest number.
    pub min: Option<i64>,
    /// Largest number.
    pub max: Option<i64>,
}

impl Limits {
    /// The text to keep of a value that came as text, or what would be accepted.
    pub fn parse(&self, param_type: ParamType, text: &str) -> Result<String, String> {
        let value = Value::parse(param_type, text).map_err(|e| e.to_string())?;
        if text.len() > MAX_TEXT {
            return Err(format!("must be no longer than {MAX_TEXT} bytes; this is {}", text.len()));
        }
        if let Some(max) = self.max_length {
            let length = match &value {
                Value::String(text) => text.chars().count(),
                Value::Base64(bytes) | Value::HexBinary(bytes) => bytes.len(),
                _ => 0,
            };
            if u32::try_from(length).is_ok_and(|length| length > max) || u32::try_from(length).is_err() {
                return Err(format!("must be no longer than {max}; this is {length}"));
            }
        }
        if let Some(number) = number(&value) {
            let low = self.min.is_some_and(|min| number < i128::from(min));
            let high = self.max.is_some_and(|max| number > i128::from(max));
            if low || high {
                return Err(match (self.min, self.max) {
                    (Some(min), Some(max)) => format!("must be from {min} to {max}"),
                    (Some(min), None) => format!("must be {min} or more"),
                    (_, Some(max)) => format!("must be {max} or less"),
                    (None, None) => "is out of range".to_owned(),
                });
            }
        }
        let text = value.to_string();
        if !self.enumeration.is_empty() && !self.enumeration.contains(&text) {
            return Err(format!("must be one of {}", self.enumeration.join(", ")));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
            return Err("does not fit the pattern of this parameter".to_owned());
        }
        Ok(text)
    }
}

fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Int(n) => Some((*n).into()),
        Value::UnsignedInt(n) => Some((*n).into()),
        Value::Long(n) => Some((*n).into()),
        Value::UnsignedLong(n) => Some((*n).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_refuses_and_says_what_it_takes() {
        let limits = Limits { max_length: Some(3), ..Limits::default() };
        assert_eq!(
            limits.parse(ParamType::String, "\u{20ac}\u{20ac}\u{20ac}").as_deref(),
            Ok("\u{20ac}\u{20ac}\u{20ac}")
        );
        assert!(limits.parse(ParamType::String, "abcd").unwrap_err().contains("no longer than 3"));
        assert!(limits.parse(ParamType::HexBinary, "00112233").is_err());

        let any = Limits::default();
        assert!(any.parse(ParamType::String, &"x".repeat(MAX_TEXT)).is_ok());
        let error = any.parse(ParamType::String, &"x".repeat(MAX_TEXT + 1)).unwrap_err();
        assert!(error.contains("no longer than 1048576 bytes"), "{error}");

        let limits = Limits { min: Some(-1), max: Some(5), ..Limits::default() };
        assert_eq!(limits.parse(ParamType::Int, " 5 ").as_deref(), Ok("5"));
        assert_eq!(limits.parse(ParamType::Int, "6").unwrap_err(), "must be from -1 to 5");
        assert!(limits.parse(ParamType::UnsignedLong, "18446744073709551615").is_err());

        let limits = Limits { enumeration: vec!["Up".to_owned(), "Down".to_owned()], ..Limits::default() };
        assert!(limits.parse(ParamType::String, "Up").is_ok());
        assert_eq!(limits.parse(ParamType::String, "up").unwrap_err(), "must be one of Up, Down");

        let pattern = Some(Regex::new("^(?:[a-z]+)$").unwrap());
        let limits = Limits { pattern, ..Limits::default() };
        assert!(limits.parse(ParamType::String, "abc").is_ok());
        assert!(limits.parse(ParamType::String, "abc1").is_err());
        assert!(limits.parse(ParamType::Boolean, "yes").unwrap_err().contains("0 or 1"));
    }
}
