#![no_main]

#[path = "../bodies/rules.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::rules(bytes));
