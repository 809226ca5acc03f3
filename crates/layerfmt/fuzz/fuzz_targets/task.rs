//! Tasks of any content.
#![no_main]

#[path = "../bodies/found.rs"]
#[allow(dead_code, reason = "several targets share the bodies")]
mod found;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| found::task(bytes));
