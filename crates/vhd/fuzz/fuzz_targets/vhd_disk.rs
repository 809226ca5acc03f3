//! VHDs of any content.
#![no_main]

#[path = "../bodies/vhd_disk.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::vhd_disk(bytes));
