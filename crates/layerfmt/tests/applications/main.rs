//! Applications found in files and registry, judged by other tools.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod found;
mod hostile;
mod programs;
mod shell_link;
mod tools;
