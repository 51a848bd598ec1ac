//! See `hairpin_fuzz::proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hairpin_fuzz::proxy(data));
