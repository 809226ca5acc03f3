//! VHDX files of any content.
#![no_main]

#[path = "../bodies/vhdx_disk.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::vhdx_disk(bytes));
