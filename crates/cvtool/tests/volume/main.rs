//! `cvtool ls`, `tree`, `cat`, `extract`, `image pack` and `image check` as a user runs them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpus;
mod hostile;
mod judged;
mod pack;
mod support;
