//! The device itself: who it is, which boot this is, and the values that are read when asked.

pub mod addresses;
pub mod boot;
pub mod identity;
pub mod live;
