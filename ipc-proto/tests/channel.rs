//! The sockets between the programs, with good peers and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

#[path = "channel/bind.rs"]
mod bind;
#[path = "channel/hello.rs"]
mod hello;
#[path = "channel/messages.rs"]
mod messages;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ipc_proto::{
    channel::{ChannelError, Connection, Listener, Receiver, Sender},
    version::{Hello, Protocol},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

/// Where a peer is to answer; long enough for a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// Where a peer is not to answer.
const SHORT: Duration = Duration::from_millis(50);

type Channel = (Sender<String>, Receiver<String>, Hello);

/// A directory for sockets; it goes when this is dropped.
struct Place {
    directory: TempDir,
    socket: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("s");
        Self { directory, socket }
    }

    fn socket(&self) -> &Path {
        &self.socket
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

async fn shake(connection: Connection, limit: Duration) -> Result<Channel, ChannelError> {
    connection.hello(Protocol::Worker, limit).await
}

/// A connection that was accepted, and the raw stream on its other side.
async fn accepted_from_raw() -> (Connection, UnixStream) {
    let place = Place::new();
    let listener = Listener::bind(place.socket(), 0o600).await.unwrap();
    let raw = UnixStream::connect(place.socket()).await.unwrap();
    (listener.accept().await.unwrap().0, raw)
}

/// A connection that connected, and the raw stream on its other side.
async fn connected_to_raw() -> (Connection, UnixStream) {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let connection = Connection::connect(place.socket()).await.unwrap();
    (connection, listener.accept().await.unwrap().0)
}

/// A channel after its Hello, and the raw stream on its other side.
async fn channel_to_raw() -> (Sender<String>, Receiver<String>, UnixStream) {
    let (connection, mut raw) = accepted_from_raw().await;
    raw.write_all(&frame(&Hello::ours(Protocol::Worker).to_bytes())).await.unwrap();
    let (sender, receiver, _) = shake(connection, LONG).await.unwrap();
    read_frame(&mut raw).await;
    (sender, receiver, raw)
}

/// Both ends of a channel.
async fn channels() -> (Channel, Channel) {
    let place = Place::new();
    let listener = Listener::bind(place.socket(), 0o600).await.unwrap();
    let ours = Connection::connect(place.socket()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let (ours, theirs) = tokio::join!(shake(ours, LONG), shake(theirs, LONG));
    (ours.unwrap(), theirs.unwrap())
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

async fn read_frame(raw: &mut UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; raw.read_u32_le().await.unwrap() as usize];
    raw.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Waits for a message that is on its way.
async fn receive(receiver: &mut Receiver<String>) -> Result<String, ChannelError> {
    tokio::time::timeout(LONG, receiver.receive()).await.expect("nothing came, and no error either")
}

/// An encoded message.
fn message(text: &str) -> Vec<u8> {
    ipc_proto::codec::encode(&text, 1000).unwrap()
}
