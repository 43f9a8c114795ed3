//! What is stored of a reboot or factory reset before anything is done, and what a new boot makes of it.

use ipc_proto::{
    UtcTime,
    text::CommandKey,
    worker::{EventCode, EventId},
};
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::store::{Fact, StoredEvent, Write};

/// Tries of a reboot in all.
pub const TRIES: u32 = 3;

/// What is under way; stored before anything is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What is done.
    pub kind: Kind,
    /// Who asked for it.
    pub origin: Origin,
    /// The boot in which it was asked for.
    pub boot_id: String,
    /// How often its command was run.
    pub tries: u32,
    /// How far it is.
    pub stage: Stage,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The device restarts.
    Reboot,
    /// What the device has to reset beside our own state, which is reset already.
    FactoryReset,
}

/// Who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A person, by name.
    Person(String),
    /// The ACS.
    Acs {
        /// Of each of its calls, oldest first: a reboot is told it by an M Reboot for each.
        command_keys: Vec<CommandKey>,
    },
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Not run yet.
    Asked,
    /// A factory reset that the ACS asked for: after its session our own state comes first.
    OursToo,
    /// Its command was run at this time.
    Run(UtcTime),
    /// The command was run, and long after it the device still has not restarted: run again after a session.
    Again,
    /// It failed for this reason; nothing more is done.
    Failed(String),
}

impl Record {
    /// Nothing is done of it yet.
    pub fn new(kind: Kind, origin: Origin, boot_id: &str) -> Self {
        Self { kind, origin, boot_id: boot_id.to_owned(), tries: 0, stage: Stage::Asked }
    }

    /// It waits for its turn.
    pub fn is_due(&self) -> bool {
        matches!(self.stage, Stage::Asked | Stage::OursToo | Stage::Again)
    }

    /// Keeps it.
    pub fn write(&self) -> Write {
        // Of text and numbers: this cannot fail.
        Write::Fact(Fact::Action, serde_json::to_string(self).unwrap_or_default())
    }

    /// The device did not restart after its command.
    pub fn not_restarted(self) -> Self {
        let stage = if self.tries < TRIES {
            Stage::Again
        } else {
            Stage::Failed(format!(
                "the device has not restarted after {TRIES} tries: look at [actions] reboot"
            ))
        };
        Self { stage, ..self }
    }
}

/// What a new boot does to the record: whatever was run is done by it.
///
/// A reboot that the ACS asked for is told it by M Reboot, from `next` on; not one that had failed, since this boot
/// is by other hands (EVT-09).
pub fn after_boot(state: &State, next: EventId) -> Vec<Write> {
    let Some(record) = record(state) else { return Vec::new() };
    // A power cut between our own reset and the device's, or before both.
    if record.kind == Kind::FactoryReset && record.tries == 0 {
        return Vec::new();
    }
    let told = match record.origin {
        Origin::Acs { command_keys } if !matches!(record.stage, Stage::Failed(_)) => command_keys,
        _ => Vec::new(),
    };
    let told = (next.0..).zip(told).map(|(id, command_key)| {
        Write::AddEvent(StoredEvent { id: EventId(id), code: EventCode::MReboot, command_key })
    });
    [Write::Fact(Fact::Action, String::new())].into_iter().chain(told).collect()
}

/// The record, if there is one.
pub fn record(state: &State) -> Option<Record> {
    serde_json::from_str(state.fact(Fact::Action)).ok()
}
