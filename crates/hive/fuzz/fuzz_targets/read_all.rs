//! Hives of any content, read.
#![no_main]

#[path = "../bodies/read_all.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::read_all(bytes));
