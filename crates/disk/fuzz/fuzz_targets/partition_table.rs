//! Partition tables of any content.
#![no_main]

#[path = "../bodies/partition_table.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::partition_table(bytes));
