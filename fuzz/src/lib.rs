//! The pure modules of cwmpd, which is a program and no library: the same files, compiled for the fuzz targets.
#![allow(dead_code)] // the targets use a part of it

#[path = "../../cwmpd/src/rpc/mod.rs"]
pub mod rpc;
#[path = "../../cwmpd/src/soap/mod.rs"]
pub mod soap;

/// The port where the ACS knocks, without its sockets.
#[path = "../../cwmpd/src/connection_request"]
pub mod connection_request {
    mod budget;
    pub mod digest;
    pub mod judge;
}
