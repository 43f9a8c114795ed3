//! How a session ended, and which link of the chain to the ACS broke.

use serde::{Deserialize, Serialize};

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Both sides were done (SESS-11).
    Succeeded,
    /// It broke off.
    Failed(Failure),
}

/// Where a session failed and what a technician should read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{stage}: {reason}")]
pub struct Failure {
    /// The link of the chain that broke.
    pub stage: Stage,
    /// A sentence that can be acted on.
    pub reason: String,
}

/// The links of the chain to the ACS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// No route.
    Network,
    /// The name does not resolve.
    Dns,
    /// No connection, or it broke.
    Tcp,
    /// The TLS handshake failed.
    Tls,
    /// The ACS's certificate was refused.
    Certificate,
    /// An HTTP status or message that no ACS should send.
    Http,
    /// Redirected where we do not go.
    Redirect,
    /// The ACS did not accept our login.
    Auth,
    /// The ACS's message cannot be read.
    Soap,
    /// The ACS answered with a fault.
    Fault,
    /// The ACS did not answer in time.
    Timeout,
    /// The worker died or was stopped.
    Worker,
}

impl Stage {
    /// All of them, in the order of the chain.
    pub const ALL: [Self; 12] = [
        Self::Network,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Certificate,
        Self::Http,
        Self::Redirect,
        Self::Auth,
        Self::Soap,
        Self::Fault,
        Self::Timeout,
        Self::Worker,
    ];
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Http => "http",
            Self::Redirect => "redirect",
            Self::Auth => "auth",
            Self::Soap => "soap",
            Self::Fault => "fault",
            Self::Timeout => "timeout",
            Self::Worker => "worker",
        })
    }
}
