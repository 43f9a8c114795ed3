//! What is sent is what is read, and nothing else is read; texts from outside are parsed without a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

#[path = "round_trips/strategies.rs"]
mod strategies;

use std::fmt::Debug;

use ipc_proto::{
    HttpUrl, ParamType, Text, Value,
    codec::{CodecError, MAX_FRAME, decode, encode},
    control::{Request, Response},
    path::{Segment, segments},
    value::DateTime,
    version::{Hello, MAX_HELLO, Protocol},
    worker::{Page, Reply, ToSupervisor, ToWorker},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::{Serialize, de::DeserializeOwned};

/// A message arrives as it left; with less or more bytes, or a wrong one, it is refused or at least sound.
fn travels<T>(message: &T, at: Index, flip: u8) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = encode(message, MAX_FRAME).unwrap();
    prop_assert_eq!(&decode::<T>(&bytes).unwrap(), message);
    for end in 0..bytes.len() {
        let read = decode::<T>(&bytes[..end]);
        prop_assert!(matches!(read, Err(CodecError::Malformed(_))), "{} of {}: {:?}", end, bytes.len(), read);
    }
    let longer = [bytes.as_slice(), &[flip]].concat();
    prop_assert!(matches!(decode::<T>(&longer), Err(CodecError::Trailing(1))));
    let mut other = bytes;
    let at = at.index(other.len());
    other[at] ^= flip;
    reads_or_refuses::<T>(&other)
}

/// Bytes that are read as a message are one: it can be sent on.
fn reads_or_refuses<T>(bytes: &[u8]) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    if let Ok(message) = decode::<T>(bytes) {
        prop_assert_eq!(decode::<T>(&encode(&message, MAX_FRAME).unwrap()).unwrap(), message);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_to_the_worker_travel(message in strategies::to_worker(), at: Index, flip: u8) {
        travels(&message, at, flip)?;
    }

    #[test]
    fn messages_to_the_supervisor_travel(message in strategies::to_supervisor(), at: Index, flip: u8) {
        travels(&message, at, flip)?;
    }

    #[test]
    fn requests_travel(message in strategies::request(), at: Index, flip: u8) {
        travels(&message, at, flip)?;
    }

    #[test]
    fn responses_travel(message in strategies::response(), at: Index, flip: u8) {
        travels(&message, at, flip)?;
    }

    #[test]
    fn random_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        reads_or_refuses::<ToWorker>(&bytes)?;
        reads_or_refuses::<ToSupervisor>(&bytes)?;
        reads_or_refuses::<Request>(&bytes)?;
        reads_or_refuses::<Response>(&bytes)?;
    }

    #[test]
    fn a_path_that_is_taken_reads_back(text in strategies::text_like("[a-z0-9_{}i.-]{0,40}|(\\PC|\\.){0,300}")) {
        if let Ok(parts) = segments(&text) {
            let written: Vec<_> = parts.iter().map(|part| match part {
                Segment::Name(name) => (*name).to_owned(),
                Segment::Instance(number) => number.to_string(),
                Segment::Placeholder => "{i}".to_owned(),
            }).collect();
            prop_assert_eq!(written.join("."), text.strip_suffix('.').unwrap_or(&text));
        }
    }

    #[test]
    fn a_url_that_is_taken_reads_back_and_can_be_asked(
        text in strategies::text_like("[hH]ttps?://[a-z0-9.:@\\[\\]%?/#-]{0,20}|(http://)?\\PC{0,300}"),
    ) {
        if let Ok(url) = HttpUrl::parse(&text) {
            prop_assert_eq!(HttpUrl::parse(&url.to_string()).unwrap(), url.clone());
            prop_assert!(!url.host().is_empty(), "no host: {}", url);
            prop_assert!(url.port() > 0, "no port: {}", url);
            prop_assert!(url.path_and_query().starts_with('/'), "no path: {}: {}", url, url.path_and_query());
            prop_assert!(url.authority().starts_with(url.host()) || url.authority().starts_with('['));
        }
    }

    #[test]
    fn a_value_that_is_taken_reads_back(
        text in strategies::text_like(
            "\\PC{0,40}|-?[0-9]{0,22}|[0-9A-Za-z+/]{0,12}={0,2}|[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|[+-][0-9]{2}:[0-9]{2})?",
        ),
    ) {
        for expected in ParamType::ALL {
            if let Ok(value) = Value::parse(expected, &text) {
                prop_assert_eq!(value.param_type(), expected);
                prop_assert_eq!(Value::parse(expected, &value.to_string()).unwrap(), value.clone());
                if let Value::DateTime(at) = &value {
                    at.instant();
                }
            }
        }
    }

    #[test]
    fn the_wire_takes_what_the_parsers_take(
        text in "(https?://[a-z]{0,3}[:/]{0,2}|Device\\.{1,2}|2026-01-3[01]T12:00:00|[a-z\u{20ac}]{30,34})?[ -~]{0,3}",
    ) {
        let bytes = encode(&text, MAX_FRAME).unwrap();
        prop_assert_eq!(decode::<HttpUrl>(&bytes).ok(), HttpUrl::parse(&text).ok());
        prop_assert_eq!(decode::<DateTime>(&bytes).ok(), DateTime::parse(&text));
        prop_assert_eq!(decode::<Text<32>>(&bytes).ok(), Text::new(text).ok());
    }

    #[test]
    fn any_bytes_are_a_hello_or_refused(mut bytes in vec(any::<u8>(), 0..300), ours: bool) {
        if ours {
            bytes.splice(0..0, *b"CWMIW\x01");
        }
        if let Ok(hello) = Hello::from_bytes(&bytes) {
            prop_assert!(hello.build.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{:?}", hello.build);
        }
    }

    #[test]
    fn a_hello_fits_its_frame_whatever_the_build_is_called(build in "[ -~]{0,300}|\\PC{0,300}", number: u16) {
        for protocol in [Protocol::Worker, Protocol::Control] {
            let bytes = Hello { protocol, number, build: build.clone() }.to_bytes();
            prop_assert!(bytes.len() <= MAX_HELLO, "{} bytes", bytes.len());
            let read = Hello::from_bytes(&bytes).unwrap();
            prop_assert_eq!((read.protocol, read.number), (protocol, number));
            let sent = &build.as_bytes()[..build.len().min(255)];
            prop_assert_eq!(read.build, sent.escape_ascii().to_string());
        }
    }
}

#[test]
fn a_message_that_just_fits_its_frame_is_read() {
    let message = Response::Waiting("x".repeat(MAX_FRAME - 6));
    let bytes = encode(&message, MAX_FRAME).unwrap();
    assert_eq!(bytes.len(), MAX_FRAME);
    assert_eq!(decode::<Response>(&bytes).unwrap(), message);
}

#[test]
fn a_full_frame_of_short_values_is_read() {
    // Each entry has 6 bytes on the wire; its parts are far larger in memory.
    let entries = MAX_FRAME / 6 - 10;
    let names = (0..entries).map(|_| ("A.1", "", true)).collect();
    let message = ToWorker::Reply { id: 1, reply: Reply::Page(Page::Names(names)) };
    let bytes = encode(&message, MAX_FRAME).unwrap();
    assert!(bytes.len() > MAX_FRAME - 100, "{}", bytes.len());
    assert!(decode::<ToWorker>(&bytes).unwrap() == message);
}
