//! Unix sockets that carry typed messages: bind, connect, Hello, send, receive.

use std::{
    io,
    marker::PhantomData,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use interprocess::local_socket::{
    GenericFilePath, ListenerOptions, ToFsName,
    tokio::{Listener as Socket, Stream},
    traits::{StreamCommon as _, tokio::Listener as _, tokio::Stream as _},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{ReadHalf, WriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec, length_delimited};

use crate::{
    codec::{self, CodecError, MAX_FRAME},
    version::{Hello, HelloError, MAX_HELLO, Protocol},
};

/// The longest path that a Unix socket may have, in bytes (sun_path less its NUL).
const MAX_SOCKET_PATH: usize = 107;

/// The bytes of the length before each frame.
const LENGTH: usize = 4;

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Over the kernel's limit.
    #[error("the socket path {0} has {1} bytes, at most {MAX_SOCKET_PATH} fit: choose a shorter runtime_dir")]
    PathTooLong(PathBuf, usize),
    /// A live process answers there.
    #[error("the socket {0} is in use by a running process: stop that one first")]
    InUse(PathBuf),
    /// Something else stands there, and is not touched.
    #[error("{0} exists and is not a socket: move it away")]
    NotASocket(PathBuf),
    /// The operating system said no.
    #[error("{what} {path}: {error}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Read or write failed, or a frame was over its limit.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// A frame that is no message.
    #[error("the peer sent bytes that are no message: {0}")]
    Codec(#[from] CodecError),
    /// Not the peer that was expected.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer took too long.
    #[error("the peer did not answer for {0:?}")]
    Stalled(Duration),
}

/// Who is on the other side, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id at the time it connected.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// A bound socket.
pub struct Listener {
    socket: Socket,
}

impl Listener {
    /// Binds `path` with these permissions. A socket that a dead process left is replaced; one that a live
    /// process answers on, or a file that is no socket, is left alone.
    pub async fn bind(path: &Path, mode: u32) -> Result<Self, SocketError> {
        let os = |what, error| SocketError::Os { what, path: path.to_owned(), error };
        check_length(path)?;
        match std::fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(os("cannot look at", e)),
            Ok(meta) if !meta.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            Ok(_) => match stream(path).await {
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(|e| os("cannot remove the dead socket", e))?;
                }
                Ok(_) => return Err(SocketError::InUse(path.to_owned())),
                Err(e) => return Err(os("cannot tell who owns", e)),
            },
        }
        let name = path.to_fs_name::<GenericFilePath>().map_err(|e| os("cannot name", e))?;
        let socket =
            ListenerOptions::new().name(name).create_tokio().map_err(|e| os("cannot bind the socket", e))?;
        // The umask masks the mode that bind(2) would give.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|e| os("cannot set the permissions of", e))?;
        Ok(Self { socket })
    }

    /// Waits for a connection and asks the kernel who it is.
    pub async fn accept(&self) -> io::Result<(Connection, Peer)> {
        let stream = self.socket.accept().await?;
        let creds = stream.peer_creds()?;
        let missing = || io::Error::other("the kernel does not say who connected");
        let peer = Peer {
            pid: creds.pid().ok_or_else(missing)?,
            uid: creds.euid().ok_or_else(missing)?,
            gid: creds.egid().ok_or_else(missing)?,
        };
        Ok((Connection(stream), peer))
    }
}

/// A connection before its Hello.
pub struct Connection(Stream);

impl Connection {
    /// Connects to a bound socket.
    pub async fn connect(path: &Path) -> Result<Self, SocketError> {
        check_length(path)?;
        let os = |error| SocketError::Os { what: "cannot connect to", path: path.to_owned(), error };
        stream(path).await.map(Self).map_err(os)
    }

    /// Exchanges Hellos within `limit`. Both sides send theirs first, so that each can name the other even
    /// when they do not fit.
    pub async fn hello<Out: Serialize, In: DeserializeOwned>(
        self,
        protocol: Protocol,
        limit: Duration,
    ) -> Result<(Sender<Out>, Receiver<In>, Hello), ChannelError> {
        let (read, write) = tokio::io::split(self.0);
        let mut reader = FramedRead::new(read, incoming(MAX_HELLO));
        let mut writer = FramedWrite::new(write, frames(MAX_FRAME).new_codec());
        let exchange = async {
            writer.send(Bytes::from(Hello::ours(protocol).to_bytes())).await?;
            let frame = next_frame(&mut reader).await.map_err(|e| match e {
                // What a stranger sends has no length of ours.
                ChannelError::Io(e) if e.kind() == io::ErrorKind::InvalidData => HelloError::NotHello.into(),
                e => e,
            })?;
            Ok::<_, ChannelError>(Hello::from_bytes(&frame)?.accept(protocol)?)
        };
        let hello =
            tokio::time::timeout(limit, exchange).await.map_err(|_| ChannelError::Stalled(limit))??;
        // The same reader goes on: frames that came right behind the Hello are in it.
        reader.decoder_mut().set_max_frame_length(MAX_FRAME);
        Ok((Sender { writer, message: PhantomData }, Receiver { reader, message: PhantomData }, hello))
    }
}

/// Sends messages of one type.
pub struct Sender<M> {
    writer: FramedWrite<WriteHalf<Stream>, LengthDelimitedCodec>,
    message: PhantomData<fn(M)>,
}

impl<M: Serialize> Sender<M> {
    /// Sends one message; a peer that does not take it within `limit` counts as stalled.
    pub async fn send(&mut self, message: &M, limit: Duration) -> Result<(), ChannelError> {
        let bytes = Bytes::from(codec::encode(message, MAX_FRAME)?);
        let sent = tokio::time::timeout(limit, self.writer.send(bytes)).await;
        sent.map_err(|_| ChannelError::Stalled(limit))??;
        Ok(())
    }
}

/// Receives messages of one type.
pub struct Receiver<M> {
    reader: Reader,
    message: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Receiver<M> {
    /// The next message; [`ChannelError::Closed`] at the end. May be cancelled without loss.
    pub async fn receive(&mut self) -> Result<M, ChannelError> {
        Ok(codec::decode(&next_frame(&mut self.reader).await?)?)
    }
}

type Reader = FramedRead<ReadHalf<Stream>, LengthDelimitedCodec>;

/// The next frame without its length.
async fn next_frame(reader: &mut Reader) -> Result<BytesMut, ChannelError> {
    let mut frame = reader.next().await.ok_or(ChannelError::Closed)??;
    frame.advance(LENGTH);
    Ok(frame)
}

fn frames(max: usize) -> length_delimited::Builder {
    let mut builder = LengthDelimitedCodec::builder();
    builder.little_endian().length_field_length(LENGTH).max_frame_length(max);
    builder
}

/// Leaves the length before the frame: taken off ahead of it, an end right behind it would look like a clean one.
fn incoming(max: usize) -> LengthDelimitedCodec {
    frames(max).num_skip(0).length_adjustment(LENGTH as isize).new_codec()
}

async fn stream(path: &Path) -> io::Result<Stream> {
    Stream::connect(path.to_fs_name::<GenericFilePath>()?).await
}

fn check_length(path: &Path) -> Result<(), SocketError> {
    match path.as_os_str().len() {
        length if length > MAX_SOCKET_PATH => Err(SocketError::PathTooLong(path.to_owned(), length)),
        _ => Ok(()),
    }
}
