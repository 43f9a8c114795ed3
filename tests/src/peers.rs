//! Peers of the daemons' sockets that keep to no protocol: frames laid by hand over a raw Unix socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ipc_proto::codec::{self, MAX_FRAME};
use ipc_proto::control::Request;
use ipc_proto::version::{Hello, Protocol};

use crate::device::PATIENCE;

/// A connection that says what it wants.
pub struct RawPeer(UnixStream);

impl RawPeer {
    /// Connects and says nothing.
    pub fn connect(socket: &Path) -> Self {
        Self::new(UnixStream::connect(socket).expect("the supervisor's socket takes connections"))
    }

    /// Takes a connection over, such as one that a listener accepted.
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has time limits");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket has time limits");
        Self(stream)
    }

    /// Connects and exchanges Hellos of this protocol, as a right peer does.
    pub fn greeted(socket: &Path, protocol: Protocol) -> Self {
        let mut peer = Self::connect(socket);
        peer.hello(protocol, protocol.number());
        peer.frame().expect("the supervisor answers a Hello");
        peer
    }

    /// Sends a Hello with this protocol number.
    pub fn hello(&mut self, protocol: Protocol, number: u16) {
        let hello = Hello { protocol, number, build: "cwmpd 99.0".to_owned() };
        self.send_frame(&hello.to_bytes());
    }

    /// Sends a request of the management protocol.
    pub fn request(&mut self, request: &Request) {
        self.send_frame(&codec::encode(request, MAX_FRAME).expect("a request can be encoded"));
    }

    /// Sends bytes with their length before them.
    pub fn send_frame(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a frame's length fits");
        self.send(&length.to_le_bytes());
        self.send(bytes);
    }

    /// Sends bytes as they are; a peer that has closed already is no error here.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.0.write_all(bytes) {
            Err(e) if !matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("cannot send: {e}")
            }
            _ => {}
        }
    }

    /// Sends these bytes over and over until the other side takes no more of them; true if it hung up.
    pub fn flood(&mut self, bytes: &[u8]) -> bool {
        loop {
            match self.0.write_all(bytes) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
                Err(_) => return true,
            }
        }
    }

    /// The next frame without its length, or `None` at the end of the connection.
    pub fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        if !self.fill(&mut length) {
            return None;
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.fill(&mut bytes).then_some(bytes)
    }

    /// Reads until the other side closes; panics when it does not.
    pub fn wait_closed(&mut self) {
        let mut sink = [0; 4096];
        loop {
            match self.0.read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return,
                Err(e) => panic!("the supervisor keeps the connection: {e}"),
            }
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        match self.0.read_exact(bytes) {
            Ok(()) => true,
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => false,
            Err(e) => panic!("nothing comes from the supervisor: {e}"),
        }
    }
}
