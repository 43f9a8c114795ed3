//! How the worker comes to run: as a child that is started again, or by someone else.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use ipc_proto::{retry::RetryPolicy, worker::ToWorker};
use nix::{
    sys::signal::{Signal, kill as send_signal},
    unistd::{Pid, User},
};
use tokio::{
    process::{Child, Command as Process},
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::settings::{Launch, Settings};

/// Waits before the worker is started again, in the ranges of the CWMP retry table; never gives up.
const BACK_OFF: RetryPolicy = RetryPolicy { min_wait: 1, multiplier: 2000 };
/// How long a worker that was told to stop may take before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// A worker that ran so long starts the table anew.
const CALM: Duration = Duration::from_secs(60);
/// News that may wait for the hub.
const MAX_NEWS: usize = 16;
/// How long the worker may take to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Why no worker can be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The settings name a user that is not there.
    #[error("[worker] user: there is no user {0} on this system")]
    NoUser(String),
    /// Another user needs root.
    #[error(
        "[worker] user: only root can start the worker as {0}; start the supervisor as root or leave it empty"
    )]
    NotRoot(String),
}

/// What the launcher tells of the worker's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A process was started.
    Started,
    /// It ended, for this reason, and is started again later.
    Waiting(String),
}

/// Starts, restarts and stops the worker.
pub struct Launcher {
    child: Option<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
}

/// A worker that is connected.
pub struct Connected {
    /// By the kernel's word.
    pub pid: i32,
    /// Gone when the link is.
    pub link: mpsc::WeakSender<ToWorker>,
}

enum Order {
    Restart(Duration),
    End(Duration),
}

/// The user that the worker runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerUser {
    /// Its number.
    pub uid: u32,
    gid: u32,
    other: bool,
}

/// Finds the user of `[worker] user`.
pub fn worker_user(settings: &Settings) -> Result<WorkerUser, LaunchError> {
    let own = nix::unistd::geteuid();
    let name = &settings.worker.user;
    if name.is_empty() {
        return Ok(WorkerUser { uid: own.as_raw(), gid: nix::unistd::getegid().as_raw(), other: false });
    }
    let user = User::from_name(name).ok().flatten().ok_or_else(|| LaunchError::NoUser(name.clone()))?;
    let other = user.uid != own;
    if other && !own.is_root() && settings.worker.launch == Launch::Child {
        return Err(LaunchError::NotRoot(name.clone()));
    }
    Ok(WorkerUser { uid: user.uid.as_raw(), gid: user.gid.as_raw(), other })
}

impl Launcher {
    /// For tests of the hub: nobody is launched.
    #[cfg(test)]
    pub fn none() -> (Self, mpsc::Receiver<News>) {
        (Self { child: None }, mpsc::channel(1).1)
    }

    /// Starts to launch as the settings say.
    pub fn start(settings: &Settings, user: WorkerUser, socket: PathBuf) -> (Self, mpsc::Receiver<News>) {
        let (news, told) = mpsc::channel(MAX_NEWS);
        if settings.worker.launch == Launch::External {
            return (Self { child: None }, told);
        }
        let (orders, queue) = mpsc::unbounded_channel();
        let child = Keeper {
            program: settings.worker.program.clone(),
            socket,
            user,
            second: Duration::from_millis(settings.timing.second_ms.into()),
            news,
            orders: queue,
        };
        (Self { child: Some((orders, tokio::spawn(child.keep_running()))) }, told)
    }

    /// The one way to restart: a worker that is connected was asked to stop, and is killed if it is still there
    /// after a second; one that is not is killed at once. A child is started again, any other by whoever
    /// started it.
    pub fn restart(&self, connected: Option<Connected>) {
        match (&self.child, connected) {
            (Some((orders, _)), connected) => {
                let grace = if connected.is_some() { STOP_GRACE } else { Duration::ZERO };
                // The keeper ends only with us.
                let _ = orders.send(Order::Restart(grace));
            }
            (None, Some(Connected { pid, link })) => {
                tokio::spawn(async move {
                    sleep(STOP_GRACE).await;
                    // A link that is gone may have left its pid to another process.
                    if link.upgrade().is_some() {
                        kill(pid);
                    }
                });
            }
            (None, None) => {}
        }
    }

    /// Ends the child: at once, or if it was told to stop, by force when it does not.
    pub async fn shutdown(self, told: bool) {
        if let Some((orders, keeper)) = self.child {
            let grace = if told { SHUTDOWN_GRACE } else { Duration::ZERO };
            let _ = orders.send(Order::End(grace));
            if keeper.await.is_err() {
                tracing::error!("the worker's keeper ended badly");
            }
        }
    }
}

/// Kills a process that the kernel named as our peer.
pub fn kill(pid: i32) {
    // It may have ended by itself.
    let _ = send_signal(Pid::from_raw(pid), Signal::SIGKILL);
}

struct Keeper {
    program: PathBuf,
    socket: PathBuf,
    user: WorkerUser,
    second: Duration,
    news: mpsc::Sender<News>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Keeper {
    async fn keep_running(mut self) {
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let reason = match self.spawn() {
                Ok(mut child) => {
                    self.tell(News::Started).await;
                    tokio::select! {
                        status = child.wait() => status.map_or_else(|e| e.to_string(), |status| status.to_string()),
                        order = self.orders.recv() => match order {
                            Some(Order::Restart(grace)) => {
                                end(&mut child, grace).await;
                                failures = 0;
                                continue;
                            }
                            Some(Order::End(grace)) => return end(&mut child, grace).await,
                            None => return end(&mut child, SHUTDOWN_GRACE).await,
                        },
                    }
                }
                Err(error) => format!("{} cannot be started: {error}", self.program.display()),
            };
            failures = if started.elapsed() > CALM { 1 } else { failures + 1 };
            self.tell(News::Waiting(reason)).await;
            // Without randomness the lower end of the range serves.
            let random = getrandom::u32().unwrap_or(0);
            tokio::select! {
                () = sleep(BACK_OFF.wait(failures, random, self.second)) => {}
                order = self.orders.recv() => match order {
                    Some(Order::Restart(_)) => failures = 0,
                    Some(Order::End(_)) | None => return,
                },
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut process = Process::new(&self.program);
        process.arg("--socket").arg(&self.socket).arg("--child");
        process.stdin(Stdio::null()).kill_on_drop(true);
        if self.user.other {
            // Setting a uid as root drops the supplementary groups as well.
            process.uid(self.user.uid).gid(self.user.gid);
        }
        process.spawn()
    }

    async fn tell(&self, news: News) {
        // The hub is gone only when everything ends.
        let _ = self.news.send(news).await;
    }
}

/// Waits for a child that was told to stop, then kills it.
async fn end(child: &mut Child, grace: Duration) {
    if timeout(grace, child.wait()).await.is_err() {
        tracing::warn!("the worker did not stop when asked: killed");
        if let Err(error) = child.kill().await {
            tracing::warn!("the worker cannot be killed: {error}");
        }
    }
}
