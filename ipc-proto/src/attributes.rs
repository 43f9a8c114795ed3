//! Attributes of a parameter (TR-069 A.3.2.4): whether its changes are told, and who else may set it.

use serde::{Deserialize, Serialize};

/// Whether the ACS is told of changes that it did not make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notification {
    /// 0: no.
    #[default]
    Off,
    /// 1: in the next Inform.
    Passive,
    /// 2: at once.
    Active,
}

impl Notification {
    /// All that there are without lightweight notifications.
    pub const ALL: [Self; 3] = [Self::Off, Self::Passive, Self::Active];

    /// As it stands in a SOAP message.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Off => "0",
            Self::Passive => "1",
            Self::Active => "2",
        }
    }

    /// Reads its number; none for those of lightweight notifications, and for no number.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.text() == text.trim())
    }
}

/// Attributes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Whether changes are told.
    pub notification: Notification,
    /// AccessList holds `Subscriber`: others than the ACS and root may set it too.
    pub subscriber: bool,
}

/// One entry of a SetParameterAttributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAttributes {
    /// A parameter, or an object for all below it.
    pub name: String,
    /// None: as it was.
    pub notification: Option<Notification>,
    /// None: as it was.
    pub subscriber: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lightweight_notifications_are_not_known() {
        for known in Notification::ALL {
            assert_eq!(Notification::parse(known.text()), Some(known));
        }
        for text in ["3", "4", "5", "6", "-1", "", "off"] {
            assert_eq!(Notification::parse(text), None, "{text}");
        }
    }
}
