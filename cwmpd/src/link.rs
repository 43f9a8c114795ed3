//! The connection to the supervisor: queries with their replies, pushes, reports, heartbeats.

mod lines;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ipc_proto::{
    channel::{ChannelError, Connection, Receiver, Sender, SocketError},
    version::Protocol,
    worker::{ClientLine, Push, Query, Reply, Report, Timing, ToSupervisor, ToWorker},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use lines::Lines;

/// How long the supervisor may take over its Hello.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// Messages that wait to be sent; more of them, and the supervisor does not read.
const OUTGOING: usize = 64;
/// Pushes that wait to be handled.
const INCOMING: usize = 16;
/// So many heartbeats missed mean that the other side is gone (DECISIONS 43).
const MISSED: u32 = 3;
/// Until the first configuration names its own.
const FIRST_TIMING: Timing =
    Timing { second_ms: 1000, heartbeat_ms: 10_000, reply_ms: 25_000, session_max_s: 600 };

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Whoever answers is not our supervisor.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// The link broke; what was asked has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link to the supervisor is lost")]
pub struct LinkLost;

/// What comes over the link unasked.
#[derive(Debug)]
pub enum Incoming {
    /// A push.
    Push(Push),
    /// The end of the link, and why.
    Lost(String),
}

/// A link that is up. Clones share it; it closes when the last is dropped.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    outgoing: mpsc::Sender<ToSupervisor>,
    incoming: mpsc::Sender<Incoming>,
    waiting: Waiting,
    lines: Arc<Lines>,
    next_id: AtomicU32,
    timing: watch::Receiver<Timing>,
    tasks: [JoinHandle<()>; 2],
}

/// Queries without a reply so far.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<HashMap<u32, oneshot::Sender<Reply>>>>);

impl Link {
    /// Connects, and says Hello.
    pub async fn connect(path: &Path) -> Result<(Self, mpsc::Receiver<Incoming>), ConnectError> {
        let connection = Connection::connect(path).await?;
        let (sender, receiver, hello) = connection.hello(Protocol::Worker, HELLO_LIMIT).await?;
        tracing::info!(supervisor = %hello.build, "connected to the supervisor");
        let (outgoing, to_send) = mpsc::channel(OUTGOING);
        let (incoming, pushes) = mpsc::channel(INCOMING);
        let (set_timing, timing) = watch::channel(FIRST_TIMING);
        let waiting = Waiting::default();
        let reading = read(receiver, waiting.clone(), incoming.clone(), set_timing);
        let lines = Arc::new(Lines::default());
        let writing = write(sender, to_send, Arc::clone(&lines), incoming.clone(), timing.clone());
        let tasks = [tokio::spawn(reading), tokio::spawn(writing)];
        let next_id = AtomicU32::new(1);
        let shared = Shared { outgoing, incoming, waiting, lines, next_id, timing, tasks };
        Ok((Self(Arc::new(shared)), pushes))
    }

    /// Asks the supervisor. A reply that does not come in time means that the link is lost.
    pub async fn query(&self, query: Query) -> Result<Reply, LinkLost> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let (reply, replied) = oneshot::channel();
        self.0.waiting.insert(id, reply);
        let limit = Duration::from_millis(self.0.timing.borrow().reply_ms.into());
        let exchange = async {
            self.0.outgoing.send(ToSupervisor::Query { id, query }).await.map_err(|_| LinkLost)?;
            replied.await.map_err(|_| LinkLost)
        };
        let answered = timeout(limit, exchange).await;
        self.0.waiting.take(id);
        answered.unwrap_or_else(|_| {
            self.lose(format!("the supervisor did not answer a query for {limit:?}"));
            Err(LinkLost)
        })
    }

    /// Tells the supervisor; a supervisor that takes nothing any more is gone.
    pub fn report(&self, report: Report) {
        if self.0.outgoing.try_send(ToSupervisor::Report(report)).is_err() {
            self.lose("the supervisor does not read its messages".to_owned());
        }
    }

    /// Adds a line to the client log; it goes when nothing else waits, and may be dropped.
    pub fn tell(&self, line: ClientLine) {
        self.0.lines.push(line);
    }

    fn lose(&self, why: String) {
        // When the queue is full the driver is about to hear of a loss anyway.
        let _ = self.0.incoming.try_send(Incoming::Lost(why));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Waiting {
    fn insert(&self, id: u32, reply: oneshot::Sender<Reply>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reply);
    }

    fn take(&self, id: u32) -> Option<oneshot::Sender<Reply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Lets every query fail.
    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn read(
    mut receiver: Receiver<ToWorker>,
    waiting: Waiting,
    incoming: mpsc::Sender<Incoming>,
    timing: watch::Sender<Timing>,
) {
    let why = loop {
        let limit = missed(timing.borrow().heartbeat_ms);
        match timeout(limit, receiver.receive()).await {
            Err(_) => break format!("no heartbeat of the supervisor for {limit:?}"),
            Ok(Err(error)) => break error.to_string(),
            Ok(Ok(ToWorker::Heartbeat)) => {}
            Ok(Ok(ToWorker::Reply { id, reply })) => {
                // Whoever asked may have left with its session.
                if let Some(asker) = waiting.take(id) {
                    let _ = asker.send(reply);
                }
            }
            Ok(Ok(ToWorker::Push(push))) => {
                if let Push::Config(config) = &push {
                    timing.send_replace(config.timing);
                }
                if incoming.send(Incoming::Push(push)).await.is_err() {
                    return;
                }
            }
        }
    };
    waiting.clear();
    let _ = incoming.send(Incoming::Lost(why)).await;
}

async fn write(
    mut sender: Sender<ToSupervisor>,
    mut to_send: mpsc::Receiver<ToSupervisor>,
    lines: Arc<Lines>,
    incoming: mpsc::Sender<Incoming>,
    mut timing: watch::Receiver<Timing>,
) {
    let error = loop {
        let heartbeat_ms = timing.borrow_and_update().heartbeat_ms;
        let mut beats = interval(Duration::from_millis(heartbeat_ms.max(1).into()));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            let message = tokio::select! {
                biased;
                changed = timing.changed() => match changed {
                    Ok(()) => break None,
                    Err(_) => return,
                },
                message = to_send.recv() => match message {
                    Some(message) => message,
                    None => return,
                },
                _ = beats.tick() => ToSupervisor::Heartbeat,
                lines = lines.take() => ToSupervisor::Report(Report::Log(lines)),
            };
            if let Err(error) = sender.send(&message, missed(heartbeat_ms)).await {
                break Some(error);
            }
        };
        if let Some(error) = ended {
            break error;
        }
    };
    let _ = incoming.send(Incoming::Lost(error.to_string())).await;
}

fn missed(heartbeat_ms: u32) -> Duration {
    Duration::from_millis(u64::from(heartbeat_ms.max(1)) * u64::from(MISSED))
}
