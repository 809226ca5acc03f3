//! cvtool.exe from outside, run by Wine: the same commands as on Linux, with the same outcome.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod commands;
mod folders;
#[path = "../capture/tools.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod tools;
#[path = "../wine/mod.rs"]
#[allow(dead_code, unused_imports, reason = "other tests use more of it")]
mod wine;
