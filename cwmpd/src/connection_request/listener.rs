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
    judge::{Judge, Moment, Verdict},
    record::Record,
    refusals::as_limited,
};

/// Connections at the most.
const MAX_CLIENTS: usize = 16;
/// How long a client may take over its head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The largest head, in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// How long a client may go on sending after it has its answer.
const LINGER: Duration = Duration::from_secs(1);

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
    source: IpAddr,
    task: AbortHandle,
}

/// Takes connections until it is dropped; all of them end with it.
pub async fn serve(
    listener: TcpListener,
    judge: Arc<Mutex<Judge>>,
    accepted: mpsc::Sender<()>,
    record: Arc<Record>,
) {
    let mut tasks = JoinSet::new();
    let mut clients: VecDeque<Client> = VecDeque::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("cannot take a connection: {error}");
                record.refused(None, "the system gives no connection");
                // Out of file descriptors, most likely: they come back.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        clients.retain(|client| !client.task.is_finished());
        if clients.len() >= MAX_CLIENTS
            && let Some(source) = drop_one(&mut clients)
        {
            record.refused(Some(source), "too many connections at once");
        }
        let source = as_limited(from.ip());
        let (judge, accepted, record) = (Arc::clone(&judge), accepted.clone(), Arc::clone(&record));
        let task = tasks.spawn(async move { client(stream, from.ip(), &judge, &accepted, &record).await });
        clients.push_back(Client { source, task });
    }
}

/// Drops the oldest connection of the source that has the most of them, and says which: who has one keeps it.
fn drop_one(clients: &mut VecDeque<Client>) -> Option<IpAddr> {
    let count = |source: IpAddr| clients.iter().filter(|client| client.source == source).count();
    // Of several with the same count the last is taken, so the oldest is made the last.
    let worst = clients.iter().enumerate().rev().max_by_key(|(_, client)| count(client.source));
    let client = worst.map(|(at, _)| at).and_then(|at| clients.remove(at))?;
    client.task.abort();
    Some(client.source)
}

/// Serves one request. Whoever refused it says so to the record before it is answered.
async fn client(
    mut stream: TcpStream,
    from: IpAddr,
    judge: &Mutex<Judge>,
    accepted: &mpsc::Sender<()>,
    record: &Record,
) {
    let head = match timeout(HEAD_TIME, read_head(&mut stream)).await {
        Err(_) => return record.refused(Some(from), "no whole request within 5 s"),
        Ok(Err(None)) => return,
        Ok(Err(Some(why))) => return record.refused(Some(from), why),
        Ok(Ok(head)) => head,
    };
    let verdict = match moment() {
        Some(at) => judge.lock().unwrap_or_else(PoisonError::into_inner).judge(at, as_limited(from), &head),
        None => Verdict {
            status: "503 Service Unavailable",
            challenge: None,
            refusal: Some("the kernel gives no random bytes"),
        },
    };
    match verdict.refusal {
        Some(why) => record.refused(Some(from), why),
        None => record.accepted(from),
    }
    let granted = verdict.refusal.is_none().then(|| Granted(accepted));
    // The answer comes first, then the session (CR-10); who has left in between is served all the same.
    let _ = timeout(LINGER, stream.write_all(verdict.text().as_bytes())).await;
    drop(granted);
    let _ = stream.shutdown().await;
    // Unread bytes would make the close a reset, which could take the answer with it.
    let _ = timeout(LINGER, drain(&mut stream)).await;
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
