//! What the two daemons and their clients say to each other, and the CWMP vocabulary that they share.
//!
//! Two protocols run over Unix sockets: [`worker`] between `cwmp-supervisor` and `cwmpd`, and [`control`]
//! between `cwmp-supervisor` and `cwmpctl`. Both open with a [`version::Hello`] of hand-laid bytes and go on
//! with length-delimited bincode frames, which [`channel`] sends and receives, typed by direction.

pub mod attributes;
pub mod channel;
pub mod codec;
pub mod control;
pub mod cwmp_version;
pub mod event;
pub mod fault;
pub mod listing;
pub mod outcome;
pub mod path;
pub mod retry;
pub mod secret;
pub mod set_values;
pub mod shown;
pub mod test_points;
pub mod text;
pub mod time;
pub mod url;
pub mod value;
pub mod version;
pub mod worker;

pub use cwmp_version::CwmpVersion;
pub use fault::{Fault, FaultCode, ParameterFault};
pub use secret::Secret;
pub use text::Text;
pub use time::UtcTime;
pub use url::HttpUrl;
pub use value::{ParamType, Value};
