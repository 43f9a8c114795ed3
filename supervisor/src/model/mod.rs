//! The CWMP data model: names and values over the configuration, the device and what is stored.

pub mod attributes;
pub mod files;
pub mod limits;
pub mod objects;
pub mod read;
pub mod root;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod tree;
