//! A model file: read, or refused with a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| supervisor::fuzzed::model_file(text));
