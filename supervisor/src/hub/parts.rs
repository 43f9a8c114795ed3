//! What the hub is made of, as the start hands it over.

use ipc_proto::{control::Status, worker::DeviceId};
use tokio::sync::{mpsc, watch};

use super::{command::Progress, state::State};
use crate::{
    launch::{Launcher, News},
    settings::Settings,
    store::Store,
};

/// What the hub is made of.
pub struct Parts {
    /// The settings.
    pub settings: Settings,
    /// Who the device is.
    pub device: DeviceId,
    /// As on disk.
    pub state: State,
    /// The disk.
    pub store: Store,
    /// Starts the worker.
    pub launcher: Launcher,
    /// What the launcher tells.
    pub news: mpsc::Receiver<News>,
    /// For the status.
    pub warnings: Vec<String>,
    /// Followed by front ends.
    pub progress: watch::Sender<Progress>,
    /// The status whenever it changes, while someone watches it.
    pub status: watch::Sender<Option<Box<Status>>>,
}
