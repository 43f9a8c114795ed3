//! A password or key that shows itself only to code that asks for it by name.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in the place of a secret wherever people or logs can see it.
pub const MASK: &str = "********";

/// Text that Debug, Display and JSON mask; an empty secret shows as empty, so that "not set" can be seen.
///
/// On the wire between the daemons (a format that is not human-readable) it travels as it is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; every caller is listed in `tests/tests/tidy.rs`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown: the mask, or nothing when nothing is set.
    pub fn masked(&self) -> &'static str {
        if self.0.is_empty() { "" } else { MASK }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.masked())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = if serializer.is_human_readable() { self.masked() } else { &self.0 };
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_itself_in_debug_display_and_json() {
        let secret = Secret::new("canary");
        let shown = format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, "******** ******** \"********\"");
    }

    #[test]
    fn an_empty_secret_shows_as_empty() {
        assert_eq!(Secret::default().to_string(), "");
    }

    #[test]
    fn travels_whole_on_the_wire() {
        let bytes = crate::codec::encode(&Secret::new("canary"), 64).unwrap();
        assert_eq!(crate::codec::decode::<Secret>(&bytes).unwrap().expose(), "canary");
    }
}
