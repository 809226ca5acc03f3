//! A naive model of merging, and everything that tests share.
#![allow(dead_code, clippy::type_complexity, clippy::unwrap_used)]

pub mod bytes;
pub mod hive;
pub mod model;
pub mod naive;
pub mod plain_keys;
pub mod seeds;
pub mod steps;
pub mod tree;
pub mod world;
