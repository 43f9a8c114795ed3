//! The first message each way: hand-laid bytes that every version past and future can read.
//!
//! Layout: `CWMI`, one byte for the protocol (`W` worker, `C` control), the protocol number as u16
//! little-endian, one byte of length, then that many bytes of UTF-8: the build, for display only.

use std::fmt;

const MAGIC: &[u8; 4] = b"CWMI";

/// The longest Hello: head and 255 bytes of build.
pub const MAX_HELLO: usize = 8 + 255;

/// This build, for display.
pub const BUILD: &str = concat!("cwmpd ", env!("CARGO_PKG_VERSION"));

/// Which of the two protocols a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Supervisor and worker.
    Worker,
    /// Supervisor and its clients.
    Control,
}

impl Protocol {
    /// The number that must match on both sides. A change of any message's bytes needs a new one:
    /// `tests/golden.rs` fails otherwise.
    pub const fn number(self) -> u16 {
        match self {
            // 4: packed pages, rows, versions, the ACS's address, the clock, 4 VALUE CHANGE,
            // what the device is told to do, attributes.
            Self::Worker => 4,
            // 2: logs, the worker's configuration, a status that is watched.
            // 3: reboot, factory reset, changes that are undone, what waits.
            Self::Control => 3,
        }
    }

    const fn tag(self) -> u8 {
        match self {
            Self::Worker => b'W',
            Self::Control => b'C',
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "worker",
            Self::Control => "control",
        })
    }
}

/// What a side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
    /// The build, for display.
    pub build: String,
}

/// Why two sides cannot talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Not one of ours.
    #[error("the peer does not speak a cwmpd protocol")]
    NotHello,
    /// The other protocol of ours.
    #[error("the peer speaks the {found} protocol on the {expected} socket: check the socket path")]
    OtherProtocol {
        /// This socket's.
        expected: Protocol,
        /// The peer's.
        found: Protocol,
    },
    /// Another number.
    #[error(
        "{protocol} protocol {theirs} ({build}) does not fit {protocol} protocol {ours} ({BUILD}): install the same version of all programs"
    )]
    Version {
        /// The protocol.
        protocol: Protocol,
        /// Our number.
        ours: u16,
        /// Their number.
        theirs: u16,
        /// Their build.
        build: String,
    },
}

impl Hello {
    /// This side's Hello.
    pub fn ours(protocol: Protocol) -> Self {
        Self { protocol, number: protocol.number(), build: BUILD.to_owned() }
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let build = self.build.as_bytes();
        let build = build.get(..255).unwrap_or(build);
        let mut bytes = Vec::with_capacity(8 + build.len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(self.protocol.tag());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.push(u8::try_from(build.len()).unwrap_or(0));
        bytes.extend_from_slice(build);
        bytes
    }

    /// Reads a peer's Hello. Bytes after the build are of a later version and not looked at.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HelloError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(HelloError::NotHello)?;
        let &[tag, low, high, length, ref rest @ ..] = rest else { return Err(HelloError::NotHello) };
        let protocol = match tag {
            b'W' => Protocol::Worker,
            b'C' => Protocol::Control,
            _ => return Err(HelloError::NotHello),
        };
        let build = rest.get(..usize::from(length)).ok_or(HelloError::NotHello)?;
        let build = build.escape_ascii().to_string();
        Ok(Self { protocol, number: u16::from_le_bytes([low, high]), build })
    }

    /// Checks that the peer speaks what this side speaks; only protocol and number count.
    pub fn accept(self, protocol: Protocol) -> Result<Self, HelloError> {
        if self.protocol != protocol {
            return Err(HelloError::OtherProtocol { expected: protocol, found: self.protocol });
        }
        if self.number != protocol.number() {
            return Err(HelloError::Version {
                protocol,
                ours: protocol.number(),
                theirs: self.number,
                build: self.build,
            });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_laid_by_hand_and_stay() {
        let hello = Hello { protocol: Protocol::Worker, number: 258, build: "b".into() };
        assert_eq!(hello.to_bytes(), b"CWMIW\x02\x01\x01b");
        assert_eq!(Hello::from_bytes(b"CWMIW\x02\x01\x01b").unwrap(), hello);
    }

    #[test]
    fn a_later_version_may_append() {
        let read = Hello::from_bytes(b"CWMIC\x01\x00\x01bFUTURE").unwrap();
        assert_eq!(read.build, "b");
    }

    #[test]
    fn a_skewed_peer_is_named_on_both_sides() {
        for number in [0, Protocol::Worker.number() + 1] {
            let hello = Hello { protocol: Protocol::Worker, number, build: "cwmpd 9.9".into() };
            let text = hello.accept(Protocol::Worker).unwrap_err().to_string();
            assert!(text.contains(&format!("protocol {number} (cwmpd 9.9)")), "{text}");
            assert!(text.contains(BUILD), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_hello() {
        for bytes in
            [&b""[..], b"CWMI", b"CWMIW\x01", b"CWMIX\x01\x00\x00", b"CWMIW\x01\x00\x05ab", b"HTTP/1.1 200"]
        {
            assert_eq!(Hello::from_bytes(bytes), Err(HelloError::NotHello));
        }
        let other = Hello::ours(Protocol::Control).accept(Protocol::Worker).unwrap_err();
        assert!(matches!(other, HelloError::OtherProtocol { .. }));
    }
}
