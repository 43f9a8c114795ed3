//! A settings file: read, or refused with a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| supervisor::fuzzed::settings_file(text));
