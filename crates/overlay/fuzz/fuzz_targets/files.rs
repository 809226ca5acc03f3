//! Random stacks of files and writes to them.
#![no_main]

#[path = "../bodies/files.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::files(bytes));
