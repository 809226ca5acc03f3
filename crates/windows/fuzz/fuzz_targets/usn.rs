//! Records of a change journal of any content.
#![no_main]

#[path = "../bodies/usn.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::usn(bytes));
