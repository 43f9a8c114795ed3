//! A frame between the daemons, or of cwmpctl: refused, or the same message again when it is written.
#![no_main]

use std::fmt::Debug;

use ipc_proto::codec::{MAX_FRAME, decode, encode};
use ipc_proto::{control, worker};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(message) = decode::<T>(bytes) {
        let again = encode(&message, MAX_FRAME).expect("what was read can be written");
        assert_eq!(decode::<T>(&again).expect("and read again"), message);
    }
}

fuzz_target!(|bytes: &[u8]| {
    round::<worker::ToWorker>(bytes);
    round::<worker::ToSupervisor>(bytes);
    // The parts of those two, as the golden samples have them.
    round::<worker::Push>(bytes);
    round::<worker::Query>(bytes);
    round::<worker::Reply>(bytes);
    round::<worker::Report>(bytes);
    round::<control::Request>(bytes);
    round::<control::Response>(bytes);
});
