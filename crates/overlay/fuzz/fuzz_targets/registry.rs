//! Random stacks of hives and writes to them.
#![no_main]

#[path = "../bodies/registry.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::registry(bytes));
