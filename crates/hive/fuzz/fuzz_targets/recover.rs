//! A hive and two logs of any content.
#![no_main]

#[path = "../bodies/recover.rs"]
mod recover;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| recover::recover_hive(bytes));
