//! From the ACS's URL to an open connection: look up, connect, shake hands.

use std::net::{IpAddr, SocketAddr};

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use ipc_proto::HttpUrl;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::rustls::pki_types::ServerName;

use super::{
    HttpError, Patience,
    body::Outgoing,
    tls::{self, Tls},
};
use crate::session::told::{Told, clean};

/// How long a name look-up may take, in CWMP seconds.
const LOOK_UP_SECONDS: u32 = 20;
/// How long each address may take to answer, in CWMP seconds.
const CONNECT_SECONDS: u32 = 20;
/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;
/// Characters of what was tried.
const MAX_NOTE: usize = 1000;
/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// How many headers it may have.
const MAX_HEADERS: usize = 2000;

/// An open connection.
pub struct Open {
    /// Takes one request at a time.
    pub sender: SendRequest<Outgoing>,
    /// Of the ACS.
    pub address: SocketAddr,
    /// Of our end.
    pub local: Option<IpAddr>,
    /// It has carried a whole exchange before.
    pub kept: bool,
    _task: Task,
}

/// The task that drives a connection; it ends with the handle, and the socket with it.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens a connection to the first address that takes one and, over TLS, shows a certificate that is believed:
/// another address may be another machine. What was tried is noted where it was more than one. The error is that of
/// the first certificate refusal, else of the last address.
pub async fn open(
    url: &HttpUrl,
    tls: Option<&Tls>,
    patience: Patience,
    notes: &mut Vec<Told>,
) -> Result<Open, HttpError> {
    let addresses = look_up(url, patience.at_most(LOOK_UP_SECONDS)).await?;
    open_one_of(url, addresses, tls, patience, notes).await
}

/// The same, where the addresses are known.
pub async fn open_one_of(
    url: &HttpUrl,
    addresses: Vec<SocketAddr>,
    tls: Option<&Tls>,
    patience: Patience,
    notes: &mut Vec<Told>,
) -> Result<Open, HttpError> {
    let name = tls.map(|_| tls::server_name(url.host())).transpose()?;
    let mut tried = Vec::new();
    let mut shown = None;
    let mut opened = None;
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match open_at(address, tls.zip(name.clone()), patience).await {
            Ok(open) => {
                tried.push(format!("{address}: connected"));
                opened = Some(open);
                break;
            }
            Err(error) => {
                tried.push(format!("{address}: {}", error.brief()));
                if !shown.as_ref().is_some_and(HttpError::is_certificate) {
                    shown = Some(error);
                }
            }
        }
    }
    if tried.len() > 1 {
        let detail = clean(&format!("{} has several addresses: {}", url.host(), tried.join(", ")), MAX_NOTE);
        tracing::info!("{detail}");
        notes.push(Told { what: "connection".to_owned(), detail });
    }
    if let Some(detail) = tls.filter(|_| opened.is_some()).and_then(Tls::waived) {
        tracing::warn!("{detail}");
        notes.push(Told { what: "clock".to_owned(), detail });
    }
    let nowhere = || HttpError::Name { host: url.host().to_owned(), error: "it has no address".to_owned() };
    opened.ok_or_else(|| shown.unwrap_or_else(nowhere))
}

async fn open_at(
    address: SocketAddr,
    tls: Option<(&Tls, ServerName<'static>)>,
    patience: Patience,
) -> Result<Open, HttpError> {
    let stream = connect(address, patience.at_most(CONNECT_SECONDS)).await?;
    let local = stream.local_addr().ok().map(|address| address.ip().to_canonical());
    match tls {
        None => shake_hands(stream, address, local).await,
        Some((tls, name)) => {
            let stream = timeout(patience.limit(), tls.connector.connect(name, stream))
                .await
                .map_err(|_| HttpError::SlowTls { address, seconds: patience.seconds })?
                .map_err(|error| tls.explain(&error))?;
            shake_hands(stream, address, local).await
        }
    }
}

async fn look_up(url: &HttpUrl, patience: Patience) -> Result<Vec<SocketAddr>, HttpError> {
    let host = url.host();
    match timeout(patience.limit(), lookup_host((host, url.port()))).await {
        Err(_) => Err(HttpError::SlowName { host: host.to_owned(), seconds: patience.seconds }),
        Ok(Err(error)) => Err(HttpError::Name { host: host.to_owned(), error: error.to_string() }),
        Ok(Ok(addresses)) => Ok(addresses.collect()),
    }
}

async fn connect(address: SocketAddr, patience: Patience) -> Result<TcpStream, HttpError> {
    let stream = timeout(patience.limit(), TcpStream::connect(address))
        .await
        .map_err(|_| HttpError::SlowConnect { address, seconds: patience.seconds })?
        .map_err(|e| HttpError::connect(address, e))?;
    // A request is written at once; waiting for more would only delay it.
    stream.set_nodelay(true).map_err(|e| HttpError::Connect(address, e))?;
    Ok(stream)
}

async fn shake_hands<S>(stream: S, address: SocketAddr, local: Option<IpAddr>) -> Result<Open, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        // `Content-Length : 5`, as some old ACSs write it.
        .allow_spaces_after_header_name_in_responses(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| HttpError::exchange(address, &e))?;
    // What goes wrong in it is told to the sender.
    let task = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Open { sender, address, local, kept: false, _task: Task(task) })
}
