//! The events of an Inform, and the codes of those that this CPE sends (TR-069 3.7.1.5).

use serde::{Deserialize, Serialize};

use crate::text::CommandKey;

/// Of an event in the supervisor's keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u64);

/// An Inform event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// In the supervisor's keeping.
    pub id: EventId,
    /// Such as `0 BOOTSTRAP`.
    pub code: EventCode,
    /// Empty for all but M codes.
    pub command_key: CommandKey,
}

/// Event codes that this CPE sends (TR-069 3.7.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventCode {
    /// 0 BOOTSTRAP
    Bootstrap,
    /// 1 BOOT
    Boot,
    /// 2 PERIODIC
    Periodic,
    /// 6 CONNECTION REQUEST
    ConnectionRequest,
    /// 4 VALUE CHANGE
    ValueChange,
    /// 3 SCHEDULED
    Scheduled,
    /// M Reboot
    MReboot,
    /// M ScheduleInform
    MScheduleInform,
}

impl EventCode {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bootstrap,
        Self::Boot,
        Self::Periodic,
        Self::ConnectionRequest,
        Self::ValueChange,
        Self::Scheduled,
        Self::MReboot,
        Self::MScheduleInform,
    ];

    /// As it stands in an Inform.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Bootstrap => "0 BOOTSTRAP",
            Self::Boot => "1 BOOT",
            Self::Periodic => "2 PERIODIC",
            Self::ConnectionRequest => "6 CONNECTION REQUEST",
            Self::ValueChange => "4 VALUE CHANGE",
            Self::Scheduled => "3 SCHEDULED",
            Self::MReboot => "M Reboot",
            Self::MScheduleInform => "M ScheduleInform",
        }
    }
}
