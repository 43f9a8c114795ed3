//! A message of the ACS: read or refused, and its RPC decoded; the lenient reader takes all that the strict one takes.
#![no_main]

use fuzz::{rpc::Message, soap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lenient = soap::read(bytes, true);
    match soap::read(bytes, false) {
        Ok(envelope) => assert_eq!(lenient.as_ref(), Ok(&envelope)),
        Err(reason) => assert!(!reason.to_string().is_empty()),
    }
    if let Ok(envelope) = lenient {
        let _ = Message::decode(&envelope.body).name();
    }
});
