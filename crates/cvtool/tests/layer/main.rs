//! Layers of real programs, from outside: built, judged by other tools, damaged, built again, compared.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod compared;
mod flipped;
mod hostile;
mod judged;
mod programs;
mod reproducible;
mod run;
mod unread;
