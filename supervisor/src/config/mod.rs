//! The device's CWMP configuration: the table of parameters and the layers of their values.

pub mod layers;
pub mod table;
