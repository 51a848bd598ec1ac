//! See `hairpin_fuzz::framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hairpin_fuzz::framing(data));
