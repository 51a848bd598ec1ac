//! See `hairpin_fuzz::channel_data`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hairpin_fuzz::channel_data(data));
