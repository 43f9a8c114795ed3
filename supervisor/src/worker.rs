//! The worker socket: one worker at a time, of one user, by the kernel's word.

use std::time::Duration;

use ipc_proto::{
    channel::{ChannelError, Connection, Listener, Peer, Receiver, Sender},
    version::{HelloError, Protocol},
    worker::{ToSupervisor, ToWorker},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    hub::command::{Command, Link, LinkId},
    launch,
    settings::TimingSettings,
};

/// Messages that may wait for a worker that does not read.
const MAX_QUEUED: usize = 64;

/// Accepts workers for ever.
pub async fn serve(listener: Listener, uid: u32, timing: TimingSettings, hub: mpsc::Sender<Command>) {
    let mut id: LinkId = 0;
    loop {
        let (connection, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("worker socket: {error}");
                // Out of descriptors: let others finish first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if peer.uid != uid {
            tracing::warn!("uid {} (pid {}) is not the worker's user: turned away", peer.uid, peer.pid);
            continue;
        }
        id += 1;
        tokio::spawn(serve_one(id, connection, peer, timing, hub.clone()));
    }
}

async fn serve_one(
    id: LinkId,
    connection: Connection,
    peer: Peer,
    timing: TimingSettings,
    hub: mpsc::Sender<Command>,
) {
    let limit = Duration::from_millis(timing.send_ms.into());
    let (sender, receiver) = match connection.hello(Protocol::Worker, limit).await {
        Ok((sender, receiver, _)) => (sender, receiver),
        Err(error) => {
            tracing::warn!("pid {} on the worker socket: {error}", peer.pid);
            if let ChannelError::Hello(HelloError::Version { .. }) = error {
                // The hub is gone only when everything ends.
                let _ = hub.send(Command::WorkerIncompatible(error.to_string())).await;
            }
            return;
        }
    };
    let (messages, queue) = mpsc::channel(MAX_QUEUED);
    let link = Link { id, pid: peer.pid, messages };
    if hub.send(Command::WorkerConnected(link)).await.is_err() {
        return;
    }
    let heartbeat = Duration::from_millis(timing.heartbeat_ms.into());
    let reason = tokio::select! {
        error = write(sender, queue, heartbeat, limit) => error,
        error = read(id, receiver, heartbeat, &hub) => error,
    };
    if let Some(ChannelError::Stalled(_)) = reason {
        launch::kill(peer.pid);
    }
    let reason = reason.map_or_else(|| "the link was replaced".to_owned(), |error| error.to_string());
    let _ = hub.send(Command::WorkerLost(id, reason)).await;
}

/// Sends what the hub says, and heartbeats; ends without error when the hub drops the link.
async fn write(
    mut sender: Sender<ToWorker>,
    mut queue: mpsc::Receiver<ToWorker>,
    heartbeat: Duration,
    limit: Duration,
) -> Option<ChannelError> {
    let mut beats = interval(heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = queue.recv() => message?,
            _ = beats.tick() => ToWorker::Heartbeat,
        };
        if let Err(error) = sender.send(&message, limit).await {
            return Some(error);
        }
    }
}

/// Passes messages on; three missed heartbeats end it.
async fn read(
    id: LinkId,
    mut receiver: Receiver<ToSupervisor>,
    heartbeat: Duration,
    hub: &mpsc::Sender<Command>,
) -> Option<ChannelError> {
    let silence = heartbeat * 3;
    loop {
        match timeout(silence, receiver.receive()).await {
            Ok(Ok(ToSupervisor::Heartbeat)) => {}
            Ok(Ok(message)) => hub.send(Command::FromWorker(id, message)).await.ok()?,
            Ok(Err(error)) => return Some(error),
            Err(_) => return Some(ChannelError::Stalled(silence)),
        }
    }
}
