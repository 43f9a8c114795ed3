//! The CWMP data model: names and values over the configuration, the device and what is stored.

pub mod read;
pub mod schema;
pub mod transaction;
