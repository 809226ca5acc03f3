//! Compressed bytes of any content.
#![no_main]

#[path = "../bodies/decompress.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::decompress(bytes));
