//! VHDX against real files, other tools, a model in memory, kills and hostile input.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod chain;
mod corpus;
mod crash;
mod hostile;
mod model;
mod repair;
mod second_opinions;
mod tools;
