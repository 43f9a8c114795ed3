//! Points in time that travel as milliseconds and read as RFC 3339 to people.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UtcTime(i64);

impl UtcTime {
    /// 2026-01-01: no build of this program is older, so a clock that says less was never set.
    pub const BUILT: Self = Self(1_767_225_600_000);

    /// The clock's present time.
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// From milliseconds since 1970 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This time and `millis` more.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl From<std::time::SystemTime> for UtcTime {
    fn from(at: std::time::SystemTime) -> Self {
        Timestamp::try_from(at).map_or(Self(0), |at| Self(at.as_millisecond()))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => f.write_str("out of range"),
        }
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let time: Timestamp = String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(time.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_rfc_3339() {
        let at = UtcTime::from_millis(1_750_000_000_250);
        assert_eq!(at.to_string(), "2025-06-15T15:06:40.250Z");
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2025-06-15T15:06:40.250Z\"");
        assert_eq!(serde_json::from_str::<UtcTime>("\"2025-06-15T15:06:40.250Z\"").unwrap(), at);
    }
}
