//! Volumes of any content, checked.
#![no_main]

#[path = "../bodies/check.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::check(bytes));
