//! The first message each way: good peers, peers of another version, and strangers.

use ipc_proto::{
    channel::{ChannelError, Connection},
    version::{BUILD, Hello, HelloError, Protocol},
};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use crate::{
    LONG, SHORT, accepted_from_raw, channels, connected_to_raw, frame, message, read_frame, receive, shake,
};

/// What a side makes of a peer that opens with these bytes.
async fn error(side: (Connection, UnixStream), opening: &[u8]) -> (ChannelError, UnixStream) {
    let (connection, mut raw) = side;
    raw.write_all(opening).await.unwrap();
    (shake(connection, LONG).await.err().expect("taken for one of ours"), raw)
}

#[tokio::test]
async fn two_of_the_same_version_meet() {
    let ((.., theirs), (.., ours)) = channels().await;
    assert_eq!((&theirs, &ours), (&Hello::ours(Protocol::Worker), &Hello::ours(Protocol::Worker)));
}

#[tokio::test]
async fn another_build_of_the_same_number_is_welcome() {
    let (connection, mut raw) = accepted_from_raw().await;
    let hello = Hello { build: "cwmpd 0.0.1-other".into(), ..Hello::ours(Protocol::Worker) };
    raw.write_all(&frame(&hello.to_bytes())).await.unwrap();
    let (.., read) = shake(connection, LONG).await.unwrap();
    assert_eq!(read, hello);
}

#[tokio::test]
async fn an_older_and_a_newer_peer_are_named_on_both_sides() {
    let ours = Protocol::Worker.number();
    for theirs in [ours - 1, ours + 1, u16::MAX] {
        for side in [accepted_from_raw().await, connected_to_raw().await] {
            let hello = Hello { number: theirs, build: "cwmpd 9.9".into(), ..Hello::ours(Protocol::Worker) };
            let (error, mut raw) = error(side, &frame(&hello.to_bytes())).await;
            let text = error.to_string();
            let ChannelError::Hello(error) = error else { panic!("{error}") };
            let expected =
                HelloError::Version { protocol: Protocol::Worker, ours, theirs, build: "cwmpd 9.9".into() };
            assert_eq!(error, expected);
            assert!(text.contains(&format!("{theirs} (cwmpd 9.9)")), "{text}");
            assert!(text.contains(&format!("{ours} ({BUILD})")), "{text}");
            // The peer can say the same: it was told our number and build before the connection closed.
            assert_eq!(
                Hello::from_bytes(&read_frame(&mut raw).await).unwrap(),
                Hello::ours(Protocol::Worker)
            );
        }
    }
}

#[tokio::test]
async fn a_control_client_on_the_worker_socket_is_told_so() {
    let hello = Hello::ours(Protocol::Control).to_bytes();
    let (error, _raw) = error(accepted_from_raw().await, &frame(&hello)).await;
    assert!(matches!(
        error,
        ChannelError::Hello(HelloError::OtherProtocol {
            expected: Protocol::Worker,
            found: Protocol::Control
        })
    ));
    assert!(error.to_string().contains("check the socket path"), "{error}");
}

#[tokio::test]
async fn a_stranger_is_known_as_one() {
    let hello = Hello::ours(Protocol::Worker).to_bytes();
    for opening in [
        frame(b"hello?"),
        frame(b""),
        frame(&hello[..hello.len() - 1]),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        vec![0xff; 100],
    ] {
        let (error, _raw) = error(accepted_from_raw().await, &opening).await;
        assert!(matches!(error, ChannelError::Hello(HelloError::NotHello)), "{opening:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_has_stalled() {
    for opening in [&b""[..], &[7, 0], &[7, 0, 0, 0, b'C']] {
        for (connection, mut raw) in [accepted_from_raw().await, connected_to_raw().await] {
            raw.write_all(opening).await.unwrap();
            let ended =
                tokio::time::timeout(LONG, shake(connection, SHORT)).await.expect("waits past its limit");
            let error = ended.err().expect("taken for one of ours");
            assert!(matches!(error, ChannelError::Stalled(limit) if limit == SHORT), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_leaves_without_a_word_is_no_stall() {
    let (connection, raw) = accepted_from_raw().await;
    drop(raw);
    let error = shake(connection, LONG).await.err().expect("taken for one of ours");
    assert!(matches!(error, ChannelError::Closed | ChannelError::Io(_)), "{error:?}");
}

#[tokio::test]
async fn messages_right_behind_the_hello_are_not_kept_waiting() {
    let (connection, mut raw) = accepted_from_raw().await;
    let hello = frame(&Hello::ours(Protocol::Worker).to_bytes());
    let half = frame(&message("three"));
    let all = [hello, frame(&message("one")), frame(&message("two")), half[..6].to_vec()].concat();
    raw.write_all(&all).await.unwrap();
    let (_sender, mut receiver, _) = shake(connection, LONG).await.unwrap();
    assert_eq!(receive(&mut receiver).await.unwrap(), "one");
    assert_eq!(receive(&mut receiver).await.unwrap(), "two");
    raw.write_all(&half[6..]).await.unwrap();
    assert_eq!(receive(&mut receiver).await.unwrap(), "three");
}
