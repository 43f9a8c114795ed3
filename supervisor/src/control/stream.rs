//! Live views: the logs by id, and the status as it changes, until the client leaves (DECISIONS 45).

use std::{sync::Arc, time::Duration};

use ipc_proto::{
    channel::{ChannelError, Receiver, Sender},
    control::{Log, Request, Response, Status},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::sleep,
};

use crate::{
    hub::{
        access::Role,
        command::{Client, Command, Progress},
    },
    store::{
        LOG_PAGE,
        log::{LogQuery, LogReader},
    },
};

/// Streams at the same time.
const MAX_STREAMS: usize = 32;
/// The shortest time between two answers of a stream.
const PACE: Duration = Duration::from_millis(100);

/// What front ends look at without asking the hub.
#[derive(Clone)]
pub struct Views {
    /// How far the worker is.
    pub progress: watch::Receiver<Progress>,
    logs: LogReader,
    status: watch::Sender<Option<Box<Status>>>,
    places: Arc<Semaphore>,
    hub: mpsc::Sender<Command>,
}

impl Views {
    /// Of this store and this hub.
    pub fn new(
        logs: LogReader,
        status: watch::Sender<Option<Box<Status>>>,
        progress: watch::Receiver<Progress>,
        hub: mpsc::Sender<Command>,
    ) -> Self {
        Self { progress, logs, status, places: Arc::new(Semaphore::new(MAX_STREAMS)), hub }
    }

    /// True for a request that is not the hub's.
    pub fn serves(&self, request: &Request) -> bool {
        matches!(request, Request::ShowLog { .. } | Request::WatchStatus)
    }

    /// Answers it; a stream ends with an error, for the connection is over with it.
    pub async fn serve(
        &mut self,
        request: Request,
        to: &mut Sender<Response>,
        from: &mut Receiver<Request>,
        limit: Duration,
    ) -> Result<(), ChannelError> {
        let follows = matches!(request, Request::ShowLog { follow: true, .. } | Request::WatchStatus);
        let _place = if follows {
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                let busy = format!("busy: {MAX_STREAMS} live views are open already: end some of them");
                return to.send(&Response::Refused(busy), limit).await;
            };
            Some(place)
        } else {
            None
        };
        let view = async {
            match request {
                Request::ShowLog { log, after_id, since, limit: newest, follow } => {
                    let in_use = self.progress.borrow().in_use;
                    let query = LogQuery { log, after_id, since, newest: Some(newest.max(1)), in_use };
                    self.log(query, follow, to, limit).await
                }
                _ => self.watch_status(to, limit).await,
            }
        };
        if !follows {
            return view.await;
        }
        tokio::select! {
            end = view => end,
            // Whatever a client says while it follows, or its leaving, is the end.
            said = from.receive() => said.and(Err(ChannelError::Closed)),
        }
    }

    /// Pages of lines up to the end of the log; then, while it is followed, what is added.
    async fn log(
        &mut self,
        mut query: LogQuery,
        follow: bool,
        to: &mut Sender<Response>,
        limit: Duration,
    ) -> Result<(), ChannelError> {
        let log: Log = query.log;
        loop {
            let seen = self.logs.added(log);
            query.in_use = self.progress.borrow().in_use;
            let lines = match self.logs.read(query).await {
                Ok(lines) => lines,
                Err(reason) => return to.send(&Response::Refused(reason), limit).await,
            };
            query.after_id = lines.last().map_or(query.after_id, |line| line.id);
            let first = query.newest.take().is_some();
            let full = lines.len() >= LOG_PAGE;
            let more = follow || full;
            // The first answer is given even without lines: it says that the view is open.
            if first || !lines.is_empty() || !more {
                to.send(&Response::Log { lines, more }, limit).await?;
            }
            if !more {
                return Ok(());
            }
            if !full {
                sleep(PACE).await;
                if !self.logs.more_than(log, seen).await {
                    return Err(ChannelError::Closed);
                }
            }
        }
    }

    async fn watch_status(&mut self, to: &mut Sender<Response>, limit: Duration) -> Result<(), ChannelError> {
        // From here on the hub computes it.
        let mut status = self.status.subscribe();
        let (answers, mut first) = mpsc::channel(1);
        let client = Client { who: String::new(), role: Role::Viewer, answers };
        let asked = self.hub.send(Command::Control(Request::WatchStatus, client)).await;
        if let (Ok(()), Some(answer)) = (asked, first.recv().await) {
            to.send(&answer.response, limit).await?;
        }
        loop {
            if status.changed().await.is_err() {
                return Err(ChannelError::Closed);
            }
            let now = status.borrow_and_update().clone();
            if let Some(now) = now {
                to.send(&Response::StatusNow(now), limit).await?;
            }
            sleep(PACE).await;
        }
    }
}
