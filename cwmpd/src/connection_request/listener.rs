//! The sockets of connection requests: few, short-lived, and never kept by who is slow.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::socket::{setsockopt, sockopt::Ipv6V6Only},
    time::{ClockId, clock_gettime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    budget::Budget,
    judge::{Judge, Moment, Verdict},
};

/// Connections at the most.
const MAX_CLIENTS: usize = 16;
/// How long a client may take over its head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The largest head, in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// How long a client may go on sending after it has its answer.
const LINGER: Duration = Duration::from_secs(1);
/// Lines of the log: thirty at once, then one in two seconds.
const LINES: Budget = Budget::new(30, Duration::from_secs(2));

/// Opens the port, for both families where the address is `[::]`.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_one(address) {
        // A kernel without IPv6.
        Err(error)
            if address.ip() == IpAddr::from([0u16; 8])
                && error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32) =>
        {
            bind_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        result => result,
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        let socket = TcpSocket::new_v6()?;
        setsockopt(&socket, Ipv6V6Only, &false)?;
        socket
    } else {
        TcpSocket::new_v4()?
    };
    // A restart must not wait for connections of yesterday.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// A connection of someone.
struct Client {
    source: u128,
    task: AbortHandle,
}

/// Takes connections until it is dropped; all of them end with it.
pub async fn serve(listener: TcpListener, judge: Arc<Mutex<Judge>>, accepted: mpsc::Sender<()>) {
    let log = Arc::new(Mutex::new(Log { lines: LINES, left_out: 0 }));
    let mut tasks = JoinSet::new();
    let mut clients: VecDeque<Client> = VecDeque::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                note(&log, None, &format!("cannot take a connection: {error}"));
                // Out of file descriptors, most likely: they come back.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        clients.retain(|client| !client.task.is_finished());
        if clients.len() >= MAX_CLIENTS {
            drop_one(&mut clients);
            note(&log, None, "too many connections at once: an idle one was dropped");
        }
        let source = source(from.ip());
        let (judge, accepted, log) = (Arc::clone(&judge), accepted.clone(), Arc::clone(&log));
        let task = tasks.spawn(async move {
            if let Some(why) = client(stream, source, &judge, &accepted).await {
                note(&log, Some(from.ip()), why);
            }
        });
        clients.push_back(Client { source, task });
    }
}

/// Drops the oldest connection of the source that has the most of them: who has one keeps it.
fn drop_one(clients: &mut VecDeque<Client>) {
    let count = |source: u128| clients.iter().filter(|client| client.source == source).count();
    // Of several with the same count the last is taken, so the oldest is made the last.
    let worst = clients.iter().enumerate().rev().max_by_key(|(_, client)| count(client.source));
    if let Some(client) = worst.map(|(at, _)| at).and_then(|at| clients.remove(at)) {
        client.task.abort();
    }
}

/// Serves one request; says why it was refused, if it was.
async fn client(
    mut stream: TcpStream,
    source: u128,
    judge: &Mutex<Judge>,
    accepted: &mpsc::Sender<()>,
) -> Option<&'static str> {
    let head = match timeout(HEAD_TIME, read_head(&mut stream)).await {
        Err(_) => return Some("no whole request within 5 s"),
        Ok(Err(why)) => return why,
        Ok(Ok(head)) => head,
    };
    let verdict = match moment() {
        Some(at) => judge.lock().unwrap_or_else(PoisonError::into_inner).judge(at, source, &head),
        None => Verdict {
            status: "503 Service Unavailable",
            challenge: None,
            refusal: Some("the kernel gives no random bytes"),
        },
    };
    let granted = verdict.refusal.is_none().then(|| Granted(accepted));
    // The answer comes first, then the session (CR-10); who has left in between is served all the same.
    let _ = timeout(LINGER, stream.write_all(verdict.text().as_bytes())).await;
    drop(granted);
    let _ = stream.shutdown().await;
    // Unread bytes would make the close a reset, which could take the answer with it.
    let _ = timeout(LINGER, drain(&mut stream)).await;
    verdict.refusal
}

/// An accepted request; asks for its session when it is dropped, so that none is lost with its connection.
struct Granted<'a>(&'a mpsc::Sender<()>);

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        tracing::info!("connection request accepted");
        // A full channel asks for a session already.
        let _ = self.0.try_send(());
    }
}

/// Reads to the end of the head; what follows it is not looked at.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, Option<&'static str>> {
    let mut head = Vec::new();
    loop {
        let read = (&mut *stream).take((MAX_HEAD - head.len()) as u64).read_buf(&mut head).await;
        let had_all =
            head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n");
        match read {
            _ if had_all => return Ok(head),
            _ if head.len() >= MAX_HEAD => return Err(Some("a head of more than 8 KB")),
            // Somebody looks whether the port is open: not worth a line.
            Ok(0) if head.is_empty() => return Err(None),
            Ok(0) | Err(_) => return Err(Some("it left before its request was whole")),
            Ok(_) => {}
        }
    }
}

async fn drain(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

fn moment() -> Option<Moment> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).ok()?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).ok()?;
    Some(Moment { now, random })
}

/// Who sends, as limits see it: an IPv4 address, or the network of an IPv6 one.
fn source(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => u128::from(ip) >> 64 << 64,
    }
}

/// Lines that may still be written, and those that were not.
struct Log {
    lines: Budget,
    left_out: u32,
}

/// Writes a line, unless there are too many of them.
fn note(log: &Mutex<Log>, from: Option<IpAddr>, why: &str) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    if !log.lines.take(now) {
        log.left_out = log.left_out.saturating_add(1);
        return;
    }
    let left_out = std::mem::take(&mut log.left_out);
    let more =
        if left_out > 0 { format!(" ({left_out} lines like this were left out)") } else { String::new() };
    match from {
        Some(ip) => tracing::info!("connection request of {} refused: {why}{more}", ip.to_canonical()),
        None => tracing::info!("connection requests: {why}{more}"),
    }
}
