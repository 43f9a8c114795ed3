//! What an ACS changes, between the daemons: values and rows, and how it went.

use serde::{Deserialize, Serialize};

use crate::ParamType;

/// One parameter of a SetParameterValues, as the ACS sent it; the supervisor judges all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetValue {
    /// The name.
    pub name: String,
    /// xsi:type, where one was given.
    pub declared: DeclaredType,
    /// The text of the value.
    pub text: String,
}

/// The xsi:type of a value from the ACS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclaredType {
    /// None given: the data model's type is meant.
    Absent,
    /// One of the data model's types.
    Known(ParamType),
    /// Some other type: fits nothing.
    Unknown,
}

/// Status of a SetParameterValuesResponse (TR-069 A.3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetStatus {
    /// 0: in force.
    Applied,
    /// 1: stored, in force later.
    Later,
}

/// What is to happen to a row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowChange {
    /// AddObject
    Add,
    /// DeleteObject
    Delete,
}
