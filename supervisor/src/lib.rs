//! The device's side of CWMP that must be trusted: configuration, data model, store, privileged acts.
//!
//! [`daemon`] is `cwmp-supervisor`; [`cli`] is `cwmpctl`, a client of its management socket.

pub mod cli;
mod config;
mod control;
pub mod daemon;
mod device;
#[cfg(fuzzing)]
pub mod fuzzed;
mod hub;
mod launch;
mod model;
pub mod settings;
mod store;
mod test_points;
mod worker;
