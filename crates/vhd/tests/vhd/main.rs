//! VHD against real files, other tools, a plain model, cuts at every write, and hostile input.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod corpus;
mod crash;
mod hostile;
mod interop;
mod model;
mod parents;
mod repair;
mod tools;
