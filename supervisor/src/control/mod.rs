//! The management socket: callers known by the kernel, one request after the other, answers in order.

use std::{sync::Arc, time::Duration};

use ipc_proto::{
    channel::{ChannelError, Connection, Listener, Peer},
    control::{Request, Response},
    version::Protocol,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

use crate::hub::{
    access,
    command::{Answer, Client, Command, Progress, Wait},
};

/// Clients at the same time; one more is told to come back later.
const MAX_CLIENTS: usize = 32;
/// Answers to one request: what it waits for, and the final one.
const MAX_ANSWERS: usize = 4;
/// How long `apply` waits for the worker to use the change.
const IN_USE_LIMIT: Duration = Duration::from_secs(2);
/// How long `cwmp restart` waits for the new worker.
const RESTART_LIMIT: Duration = Duration::from_secs(5);

/// Accepts clients for ever. A client that does not take its answer within `limit` is disconnected.
pub async fn serve(
    listener: Listener,
    limit: Duration,
    hub: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let (connection, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("management socket: {error}");
                // Out of descriptors: let others finish first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("pid {} turned away: {MAX_CLIENTS} clients are connected", peer.pid);
            continue;
        };
        let (hub, progress) = (hub.clone(), progress.clone());
        tokio::spawn(async move {
            match serve_one(connection, peer, limit, &hub, progress).await {
                Err(ChannelError::Closed) | Ok(()) => {}
                Err(error) => tracing::warn!("pid {} on the management socket: {error}", peer.pid),
            }
            drop(place);
        });
    }
}

async fn serve_one(
    connection: Connection,
    peer: Peer,
    limit: Duration,
    hub: &mpsc::Sender<Command>,
    mut progress: watch::Receiver<Progress>,
) -> Result<(), ChannelError> {
    let (mut sender, mut receiver, _) =
        connection.hello::<Response, Request>(Protocol::Control, limit).await?;
    let (role, who) = access::caller(&peer);
    loop {
        let request = receiver.receive().await?;
        let (answers, mut queue) = mpsc::channel(MAX_ANSWERS);
        let client = Client { who: who.clone(), role, answers };
        if hub.send(Command::Control(request, client)).await.is_err() {
            return Ok(());
        }
        // The hub drops its end after the final answer.
        while let Some(Answer { mut response, wait }) = queue.recv().await {
            if let Response::Done(notes) = &mut response {
                notes.extend(follow(wait, &mut progress).await);
            }
            sender.send(&response, limit).await?;
            if response.is_final() {
                break;
            }
        }
    }
}

/// Waits for what an answer promises, up to a limit; the note says what came of it.
async fn follow(wait: Wait, progress: &mut watch::Receiver<Progress>) -> Option<String> {
    match wait {
        Wait::No => None,
        Wait::InUse(revision) => {
            let in_use = timeout(IN_USE_LIMIT, progress.wait_for(|p| p.in_use >= revision)).await;
            let late =
                || format!("warning: the worker does not use revision {revision} yet: `cwmp show status`");
            in_use.is_err().then(late)
        }
        Wait::NewWorker(before) => {
            let back = timeout(RESTART_LIMIT, progress.wait_for(|p| p.workers > before)).await;
            Some(match back {
                Ok(_) => "the worker is back".to_owned(),
                Err(_) => "warning: the worker is not back yet: `cwmp show status` says why".to_owned(),
            })
        }
    }
}
