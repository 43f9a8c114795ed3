//! Where the ACS asks for a session: a port that follows the configuration (TR-069 3.2.2).

mod budget;
mod digest;
mod judge;
mod listener;
mod record;
mod refusals;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ipc_proto::worker::ConnectionRequest;
use judge::Judge;
use record::Record;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// The first wait before another attempt to get the port; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The port, and what comes in by it. It lasts over links to the supervisor.
pub struct Port {
    judge: Arc<Mutex<Judge>>,
    /// Room for one: however many requests came, they ask for one session.
    accepted: mpsc::Sender<()>,
    record: Arc<Record>,
    wanted: Option<SocketAddr>,
    /// The kernel gave a key to sign nonces with; without one nobody may come in.
    has_key: bool,
    state: State,
}

/// What the port has to tell.
#[derive(Debug)]
pub enum News {
    /// A later attempt has got the port.
    Opened,
    /// Lines of the client log about refused requests.
    Refused(Vec<String>),
}

enum State {
    Closed,
    Open { port: u16, task: JoinHandle<()> },
    Failed { reason: String, wait: Duration, again: Instant },
}

impl Port {
    /// A closed one, and where accepted requests arrive.
    pub fn new() -> (Self, mpsc::Receiver<()>) {
        let mut key = [0; 64];
        let has_key = getrandom::fill(&mut key).is_ok();
        let (accepted, requests) = mpsc::channel(1);
        let state = State::Closed;
        let judge = Arc::new(Mutex::new(Judge::new(key)));
        let record = Arc::new(Record::new());
        let port = Self { judge, accepted, record, wanted: None, has_key, state };
        if !has_key {
            tracing::error!("no connection requests: the kernel gives no random bytes");
        }
        (port, requests)
    }

    /// Follows the configuration: a login counts at once, another address is bound at once.
    pub fn follow(&mut self, wanted: Option<&ConnectionRequest>) {
        let wanted = wanted.filter(|_| self.has_key);
        let listen = wanted.map(|wanted| wanted.listen);
        self.judge().want(wanted.cloned());
        if self.wanted != listen {
            self.close();
            self.wanted = listen;
            self.open(FIRST_WAIT);
        }
    }

    /// Whether there is a supervisor that could open a session.
    pub fn link(&self, linked: bool) {
        self.judge().link(linked);
    }

    /// The port, or why there is none.
    pub fn listening(&self) -> Result<u16, String> {
        match &self.state {
            State::Open { port, .. } => Ok(*port),
            State::Closed => Err("connection requests are not wanted".to_owned()),
            State::Failed { reason, .. } => Err(reason.clone()),
        }
    }

    /// Waits for the next news; nothing is lost when it is cancelled.
    pub async fn news(&mut self) -> News {
        loop {
            let failed = match &self.state {
                State::Failed { wait, again, .. } => Some((*wait, *again)),
                State::Open { .. } | State::Closed => None,
            };
            let again = failed.map_or_else(Instant::now, |(_, again)| again);
            tokio::select! {
                lines = self.record.told() => return News::Refused(lines),
                () = sleep_until(again), if failed.is_some() => {}
            }
            self.open(failed.map_or(FIRST_WAIT, |(wait, _)| LONGEST_WAIT.min(wait * 2)));
            if matches!(self.state, State::Open { .. }) {
                return News::Opened;
            }
        }
    }

    fn open(&mut self, wait: Duration) {
        let Some(address) = self.wanted else { return };
        let bound = listener::bind(address).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
        self.state = match bound {
            Ok((port, socket)) => {
                tracing::info!("connection requests come in by port {port}");
                let serving = listener::serve(
                    socket,
                    Arc::clone(&self.judge),
                    self.accepted.clone(),
                    Arc::clone(&self.record),
                );
                State::Open { port, task: tokio::spawn(serving) }
            }
            Err(error) => {
                let reason = format!("cannot listen on {address}: {error}");
                tracing::warn!("no connection requests: {reason}");
                State::Failed { reason, wait, again: Instant::now() + wait }
            }
        };
    }

    fn close(&mut self) {
        if let State::Open { task, .. } = std::mem::replace(&mut self.state, State::Closed) {
            task.abort();
        }
    }

    fn judge(&self) -> std::sync::MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.close();
    }
}
