//! The management socket: callers known by the kernel, one request after the other, answers in order.

mod stream;

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

pub use stream::Views;

use crate::hub::{
    access::{self, Role},
    command::{Answer, Client, Command, Progress, Wait},
};

/// Clients that are being told that there is no place for them; more are dropped.
const MAX_TURNED_AWAY: usize = 8;
/// Answers to one request: what it waits for, and the final one.
const MAX_ANSWERS: usize = 4;
/// How long `apply` waits for the worker to use the change.
const IN_USE_LIMIT: Duration = Duration::from_secs(2);
/// How long `cwmp restart` waits for the new worker.
const RESTART_LIMIT: Duration = Duration::from_secs(5);

/// Accepts clients for ever. A client that does not take its answer within `limit` is disconnected.
pub async fn serve(listener: Listener, limit: Duration, hub: mpsc::Sender<Command>, views: Views) {
    let places = Places::default();
    let refusals = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
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
        let (role, who) = access::caller(&peer);
        let (hub, views) = (hub.clone(), views.clone());
        let caller = Caller { connection, role, who, limit };
        if let Ok(place) = Arc::clone(places.of(role)).try_acquire_owned() {
            tokio::spawn(async move {
                report(&peer, caller.serve(&hub, views).await);
                drop(place);
            });
        } else if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
            tracing::warn!("pid {} turned away: {} clients are connected", peer.pid, places_for(role));
            tokio::spawn(async move {
                report(&peer, caller.turn_away().await);
                drop(refusal);
            });
        }
    }
}

/// Clients of one role at the same time.
const fn places_for(role: Role) -> usize {
    match role {
        // More than there are live views: who looks does not keep out who acts.
        Role::Root | Role::Admin => 40,
        Role::Viewer => 16,
        Role::Nobody => 4,
    }
}

/// Each role has places of its own, so that those who may do less cannot keep out those who may do more.
struct Places {
    admins: Arc<Semaphore>,
    viewers: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let [admins, viewers, strangers] =
            [Role::Admin, Role::Viewer, Role::Nobody].map(|role| Arc::new(Semaphore::new(places_for(role))));
        Self { admins, viewers, strangers }
    }
}

impl Places {
    fn of(&self, role: Role) -> &Arc<Semaphore> {
        match role {
            Role::Root | Role::Admin => &self.admins,
            Role::Viewer => &self.viewers,
            Role::Nobody => &self.strangers,
        }
    }
}

fn report(peer: &Peer, end: Result<(), ChannelError>) {
    match end {
        Err(ChannelError::Closed) | Ok(()) => {}
        Err(error) => tracing::warn!("pid {} on the management socket: {error}", peer.pid),
    }
}

/// A connection and who the kernel says it is.
struct Caller {
    connection: Connection,
    role: Role,
    who: String,
    limit: Duration,
}

impl Caller {
    async fn serve(self, hub: &mpsc::Sender<Command>, mut views: Views) -> Result<(), ChannelError> {
        let Self { connection, role, who, limit } = self;
        let (mut sender, mut receiver, _) =
            connection.hello::<Response, Request>(Protocol::Control, limit).await?;
        loop {
            let request = match role {
                Role::Root | Role::Admin | Role::Viewer => receiver.receive().await?,
                // Whoever may do nothing need not stay to do it.
                Role::Nobody => soon(limit, receiver.receive()).await?,
            };
            if views.serves(&request) {
                let refusal = access::refusal(role, &who, &request);
                if let Some(refusal) = &refusal {
                    tracing::warn!("refused {who}: {refusal}");
                    sender.send(&Response::Refused(refusal.clone()), limit).await?;
                    continue;
                }
                views.serve(request, &mut sender, &mut receiver, limit).await?;
                continue;
            }
            let (answers, mut queue) = mpsc::channel(MAX_ANSWERS);
            let client = Client { who: who.clone(), role, answers };
            if hub.send(Command::Control(request, client)).await.is_err() {
                return Ok(());
            }
            loop {
                // The hub drops its end after the final answer, and a client that got none would wait for ever.
                let Answer { mut response, wait } = queue.recv().await.unwrap_or_else(unanswered);
                if let Response::Done(notes) = &mut response {
                    notes.extend(follow(wait, &mut views.progress).await);
                }
                sender.send(&response, limit).await?;
                if response.is_final() {
                    break;
                }
            }
        }
    }

    /// Answers its first request with the reason why it is not served.
    async fn turn_away(self) -> Result<(), ChannelError> {
        let Self { connection, role, limit, .. } = self;
        let (mut sender, mut receiver, _) =
            connection.hello::<Response, Request>(Protocol::Control, limit).await?;
        soon(limit, receiver.receive()).await?;
        let count = places_for(role);
        let busy =
            format!("busy: {count} clients are connected already: end some of them, or try again later");
        sender.send(&Response::Refused(busy), limit).await
    }
}

fn unanswered() -> Answer {
    let why = "the supervisor gave it up: look at `cwmp show status`, then ask again";
    Answer { response: Response::Refused(why.to_owned()), wait: Wait::No }
}

async fn soon<T>(
    limit: Duration,
    what: impl Future<Output = Result<T, ChannelError>>,
) -> Result<T, ChannelError> {
    timeout(limit, what).await.map_err(|_| ChannelError::Stalled(limit))?
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_request_that_the_hub_drops_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            let listener = Listener::bind(&path, 0o600).await.unwrap();
            let (store, _, _) = Store::open(dir.path(), dir.path(), dir.path()).unwrap();
            let (hub, mut commands) = mpsc::channel(1);
            let progress = watch::Sender::new(Progress::default());
            let views =
                Views::new(store.log_reader(), watch::Sender::new(None), progress.subscribe(), hub.clone());
            tokio::spawn(serve(listener, LIMIT, hub, views));
            tokio::spawn(async move { while commands.recv().await.is_some() {} });
            let connection = Connection::connect(&path).await.unwrap();
            let hello = connection.hello::<Request, Response>(Protocol::Control, LIMIT);
            let (mut sender, mut receiver, _) = hello.await.unwrap();
            sender.send(&Request::Save, LIMIT).await.unwrap();
            soon(LIMIT, receiver.receive()).await.unwrap()
        });
        let Response::Refused(why) = answer else { panic!("{answer:?}") };
        assert!(why.contains("gave it up"), "{why}");
    }
}
