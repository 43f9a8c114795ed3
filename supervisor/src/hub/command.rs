//! What the front ends send the hub, and what they get back.

use ipc_proto::{
    control::{Request, Response},
    worker::{ToSupervisor, ToWorker},
};
use tokio::sync::mpsc;

use super::access::Role;

/// Sent by a front end; the hub alone acts on it.
pub enum Command {
    /// From a client of the management socket.
    Control(Request, Client),
    /// A worker said Hello.
    WorkerConnected(Link),
    /// A message of the worker on that link.
    FromWorker(LinkId, ToSupervisor),
    /// That link is gone.
    WorkerLost(LinkId, String),
    /// A worker with another protocol number was turned away.
    WorkerIncompatible(String),
    /// An address or a route of this device has changed.
    AddressesChanged,
    /// Stop the worker and end.
    Shutdown,
}

/// A client that waits for an answer.
pub struct Client {
    /// For the log: user name or number.
    pub who: String,
    /// What it may do.
    pub role: Role,
    /// Takes all its answers; the last one is final.
    pub answers: mpsc::Sender<Answer>,
}

/// An answer, and what the front end waits for before it passes it on.
pub struct Answer {
    /// For the client.
    pub response: Response,
    /// To wait for, up to a limit of its own.
    pub wait: Wait,
}

/// What follows a change on the worker's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    No,
    /// The worker uses this revision.
    InUse(u64),
    /// More workers than this have connected since the start.
    NewWorker(u64),
}

/// Counts connections of workers.
pub type LinkId = u64;

/// A connected worker.
pub struct Link {
    /// Which connection.
    pub id: LinkId,
    /// By the kernel's word.
    pub pid: i32,
    /// Bounded: a worker that does not read is disconnected.
    pub messages: mpsc::Sender<ToWorker>,
}

/// What front ends may watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The revision that the worker uses; 0 while there is none.
    pub in_use: u64,
    /// How many workers have connected since the start.
    pub workers: u64,
}
