//! Messages to bytes and back: bincode 2 with a limit, and every byte used.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Serialize, de::DeserializeOwned};

/// The largest frame on either socket: 4 MiB.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Truncated, of the wrong form, or with a value that its type refuses.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// More bytes than the message has.
    #[error("{0} bytes too many after the message")]
    Trailing(usize),
    /// Over the limit of its frame.
    #[error("a message of {size} bytes, at most {max} fit a frame")]
    TooLarge {
        /// The size, in bytes.
        size: usize,
        /// The limit, in bytes.
        max: usize,
    },
}

/// bincode counts what it reads by the width in memory: 8 bytes for a length that has 1 on the wire.
const MAX_COUNTED: usize = 8 * MAX_FRAME;

fn configuration() -> Configuration<LittleEndian, Varint, Limit<MAX_COUNTED>> {
    bincode::config::standard().with_limit::<MAX_COUNTED>()
}

/// The bytes of a message, at most `max`.
pub fn encode<T: Serialize>(message: &T, max: usize) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(message, configuration())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    if bytes.len() > max {
        return Err(CodecError::TooLarge { size: bytes.len(), max });
    }
    Ok(bytes)
}

/// The message that these bytes are, all of them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (message, used) = bincode::serde::decode_from_slice(bytes, configuration())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(message),
        trailing => Err(CodecError::Trailing(trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7u32, 64).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u32>(&bytes), Err(CodecError::Trailing(1))));
    }

    #[test]
    fn a_length_that_the_bytes_do_not_hold_allocates_nothing() {
        let lie = [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(decode::<String>(&lie), Err(CodecError::Malformed(_))));
        assert!(matches!(decode::<Vec<u64>>(&lie), Err(CodecError::Malformed(_))));
    }

    #[test]
    fn a_message_over_its_limit_is_not_sent() {
        let error = encode(&"x".repeat(100), 50).unwrap_err();
        assert!(matches!(error, CodecError::TooLarge { size: 101, max: 50 }));
    }
}
