//! The body of a POST: none, a whole message, or one that comes piece by piece.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// What is sent to the ACS.
#[derive(Debug)]
pub enum Outgoing {
    /// Nothing; Content-Length 0.
    Empty,
    /// A message of known length.
    Whole(Bytes),
    /// A message in chunks.
    Pieces(Pieces),
}

/// The pieces of a message. Only [`Piece::Last`] ends it: a sender that is dropped breaks the connection,
/// so that half an answer never looks like a whole one (DECISIONS 40).
pub type Pieces = mpsc::Receiver<Piece>;

/// A piece of a message.
#[derive(Debug)]
pub enum Piece {
    /// More comes.
    More(Bytes),
    /// The message is whole.
    Last,
}

/// The message cannot be finished.
#[derive(Debug, thiserror::Error)]
#[error("the message was given up")]
pub struct GivenUp;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Pieces(pieces) => match pieces.poll_recv(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Piece::More(bytes))) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Poll::Ready(Some(Piece::Last)) => {
                    *this = Self::Empty;
                    Poll::Ready(None)
                }
                Poll::Ready(None) => Poll::Ready(Some(Err(GivenUp))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
