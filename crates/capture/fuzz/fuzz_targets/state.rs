#![no_main]

#[path = "../bodies/state.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::state(bytes));
