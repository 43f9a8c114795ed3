//! Text with a limit in characters, as TR-069 counts them, not in bytes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text of at most `MAX` characters (Unicode scalar values).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Text<const MAX: usize>(String);

/// ParameterKey of SetParameterValues, AddObject and DeleteObject (TR-069 A.3.2.1).
pub type ParameterKey = Text<32>;
/// CommandKey of an event or a transfer (TR-069 A.3.3.1).
pub type CommandKey = Text<32>;

/// The text has more characters than its place in the standard allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} characters, at most {max} are allowed")]
pub struct TooLong {
    /// The limit, in characters.
    pub max: usize,
    /// What was given, in characters.
    pub found: usize,
}

/// Checks a length in characters.
pub fn check_chars(text: &str, max: usize) -> Result<(), TooLong> {
    // A character is 1 to 4 bytes: most texts need no count.
    if text.len() <= max {
        return Ok(());
    }
    let found = text.chars().count();
    if found > max { Err(TooLong { max, found }) } else { Ok(()) }
}

impl<const MAX: usize> Text<MAX> {
    /// Takes the text if it fits.
    pub fn new(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        check_chars(&text, MAX)?;
        Ok(Self(text))
    }

    /// Takes as much of the text as fits, for texts of our own making such as a FaultString.
    pub fn truncated(text: &str) -> Self {
        Self(text.chars().take(MAX).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_not_bytes() {
        let key = "\u{20ac}".repeat(32);
        assert_eq!(ParameterKey::new(key.clone()).unwrap().as_str(), key);
        assert_eq!(ParameterKey::new(key + "x"), Err(TooLong { max: 32, found: 33 }));
    }

    #[test]
    fn a_long_text_from_the_wire_is_refused() {
        let bytes = crate::codec::encode(&"x".repeat(33), 64).unwrap();
        assert!(crate::codec::decode::<ParameterKey>(&bytes).is_err());
    }
}
