//! Messages after the Hello: whole ones, and every way in which they can be broken.

use std::future::ready;

use ipc_proto::{
    channel::{ChannelError, Receiver},
    codec::{CodecError, MAX_FRAME},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{LONG, SHORT, channel_to_raw, channels, frame, message, receive};

/// What the receiver makes of these bytes, with the connection still open or closed behind them.
async fn error(bytes: &[u8], close: bool) -> ChannelError {
    let (_sender, mut receiver, mut raw) = channel_to_raw().await;
    raw.write_all(bytes).await.unwrap();
    if close {
        raw.shutdown().await.unwrap();
    }
    receive(&mut receiver).await.expect_err("a message")
}

#[tokio::test]
async fn messages_go_both_ways_in_order() {
    let ((mut a, mut from_b, _), (mut b, mut from_a, _)) = channels().await;
    for text in ["one", "", "gr\u{fc}n"] {
        a.send(&text.to_owned(), LONG).await.unwrap();
        b.send(&format!("{text}!"), LONG).await.unwrap();
    }
    for text in ["one", "", "gr\u{fc}n"] {
        assert_eq!(receive(&mut from_a).await.unwrap(), text);
        assert_eq!(receive(&mut from_b).await.unwrap(), format!("{text}!"));
    }
}

#[tokio::test]
async fn an_over_long_frame_is_refused_by_its_length_alone() {
    for length in [u32::MAX, u32::try_from(MAX_FRAME + 1).unwrap()] {
        // The peer sends no more than the length and stays: a receiver that waited for the rest would hang.
        let error = error(&length.to_le_bytes(), false).await;
        assert!(matches!(error, ChannelError::Io(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_frame_of_garbage_is_no_message() {
    for garbage in [&[0xff; 20][..], b"", &[3, b'a', 0xc3, 0x28]] {
        let error = error(&frame(garbage), false).await;
        assert!(matches!(error, ChannelError::Codec(CodecError::Malformed(_))), "{error:?}");
    }
}

#[tokio::test]
async fn bytes_behind_a_message_in_its_frame_are_refused() {
    let bytes = [message("one"), vec![0, 0]].concat();
    let error = error(&frame(&bytes), false).await;
    assert!(matches!(error, ChannelError::Codec(CodecError::Trailing(2))), "{error:?}");
}

#[tokio::test]
async fn a_frame_that_breaks_off_is_no_clean_end() {
    let whole = frame(&message("one"));
    for end in 1..whole.len() {
        let error = error(&whole[..end], true).await;
        assert!(matches!(error, ChannelError::Io(_)), "{end} of {} bytes: {error:?}", whole.len());
    }
}

#[tokio::test]
async fn a_peer_that_closes_between_messages_has_closed() {
    let (_sender, mut receiver, mut raw) = channel_to_raw().await;
    raw.write_all(&frame(&message("last"))).await.unwrap();
    raw.shutdown().await.unwrap();
    assert_eq!(receive(&mut receiver).await.unwrap(), "last");
    for _ in 0..2 {
        assert!(matches!(receive(&mut receiver).await, Err(ChannelError::Closed)));
    }
}

#[tokio::test]
async fn a_channel_that_is_dropped_closes_the_other_end() {
    let ((sender, receiver, _), (_b, mut from_a, _)) = channels().await;
    drop((sender, receiver));
    assert!(matches!(receive(&mut from_a).await, Err(ChannelError::Closed)));
}

#[tokio::test]
async fn a_peer_that_does_not_read_has_stalled() {
    let (mut sender, _receiver, _raw) = channel_to_raw().await;
    let text = "x".repeat(64 * 1024);
    for _ in 0..10_000 {
        let sent = tokio::time::timeout(LONG, sender.send(&text, SHORT)).await;
        match sent.expect("waits past its limit") {
            Ok(()) => {}
            Err(error) => {
                assert!(matches!(error, ChannelError::Stalled(limit) if limit == SHORT), "{error:?}");
                return;
            }
        }
    }
    panic!("a socket buffer without an end");
}

#[tokio::test]
async fn a_message_that_fills_its_frame_arrives() {
    let ((mut a, ..), (_b, mut from_a, _)) = channels().await;
    let text = "x".repeat(MAX_FRAME - 5);
    let (sent, received) = tokio::join!(a.send(&text, LONG), receive(&mut from_a));
    sent.unwrap();
    assert!(received.unwrap() == text);
}

#[tokio::test]
async fn a_message_over_the_limit_is_not_sent_and_the_channel_goes_on() {
    let ((mut a, ..), (_b, mut from_a, _)) = channels().await;
    let error = a.send(&"x".repeat(MAX_FRAME - 4), LONG).await.unwrap_err();
    assert!(
        matches!(error, ChannelError::Codec(CodecError::TooLarge { size, max: MAX_FRAME }) if size == MAX_FRAME + 1),
        "{error:?}"
    );
    a.send(&"next".to_owned(), LONG).await.unwrap();
    assert_eq!(receive(&mut from_a).await.unwrap(), "next");
}

/// Looks for a message once, and gives up when there is none yet.
async fn glance(receiver: &mut Receiver<String>) -> Option<Result<String, ChannelError>> {
    tokio::select! {
        biased;
        message = receiver.receive() => Some(message),
        () = ready(()) => None,
    }
}

#[tokio::test]
async fn a_receive_that_is_given_up_loses_nothing() {
    let whole = frame(&message("a message in two halves"));
    for half in 0..whole.len() {
        let (_sender, mut receiver, mut raw) = channel_to_raw().await;
        raw.write_all(&whole[..half]).await.unwrap();
        for _ in 0..3 {
            assert!(glance(&mut receiver).await.is_none());
            // Lets the runtime hear of the bytes, so that a later glance reads them.
            tokio::task::yield_now().await;
        }
        raw.write_all(&whole[half..]).await.unwrap();
        assert_eq!(receive(&mut receiver).await.unwrap(), "a message in two halves");
    }
}

#[tokio::test]
async fn frames_are_a_length_of_four_bytes_little_endian_and_the_message() {
    let (mut sender, _receiver, mut raw) = channel_to_raw().await;
    sender.send(&"ab".to_owned(), LONG).await.unwrap();
    let mut bytes = [0; 7];
    raw.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"\x03\x00\x00\x00\x02ab");
}
