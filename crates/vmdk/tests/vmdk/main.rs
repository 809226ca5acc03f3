//! VMDK against other tools, real files and a model in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpus;
mod create;
mod foreign;
mod tools;
