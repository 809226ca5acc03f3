//! Registry text of any content.
#![no_main]

#[path = "../bodies/texts.rs"]
#[allow(dead_code, reason = "two targets share the bodies")]
mod texts;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| texts::reg_text(bytes));
