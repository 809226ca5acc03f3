//! `cvtool capture` from outside: folders, disk images and Wine prefixes before and after what a script did to them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod changes;
#[cfg(target_os = "linux")]
mod images;
#[cfg(target_os = "linux")]
mod installers;
mod interrupted;
#[cfg(target_os = "linux")]
mod reads;
#[cfg(target_os = "linux")]
mod tools;
mod trouble;
#[cfg(target_os = "linux")]
#[path = "../wine/mod.rs"]
mod wine;
