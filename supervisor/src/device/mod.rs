//! The device itself: who it is, which boot this is, the values that are read when asked, its commands.

pub mod addresses;
pub mod boot;
pub mod command;
pub mod identity;
pub mod live;
