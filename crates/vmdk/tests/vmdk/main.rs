//! VMDK against other tools, real files and a model in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod corpus;
mod crash;
mod create;
mod esx;
mod foreign;
mod hostile;
mod in_place;
mod memory_files;
mod model;
mod tools;
