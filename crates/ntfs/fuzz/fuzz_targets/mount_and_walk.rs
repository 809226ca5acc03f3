//! Volumes of any content.
#![no_main]

#[path = "../bodies/mount_and_walk.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::mount_and_walk(bytes));
