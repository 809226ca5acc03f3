//! Hives of any content, checked, repaired and edited.
#![no_main]

#[path = "../bodies/check.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::check_and_edit(bytes));
