//! See `hairpin_fuzz::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hairpin_fuzz::message(data));
