//! A naive model of merging, and everything that tests share.
#![allow(dead_code, clippy::type_complexity, clippy::unwrap_used)]

pub mod bytes;
pub mod model;
pub mod naive;
pub mod steps;
pub mod tree;
pub mod world;
