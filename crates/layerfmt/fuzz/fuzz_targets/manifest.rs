//! Manifests of any content.
#![no_main]

#[path = "../bodies/layer.rs"]
#[allow(dead_code, reason = "several targets share the bodies")]
mod layer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layer::manifest(bytes));
