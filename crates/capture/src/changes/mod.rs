//! What changed between two snapshots.
//!
//! [`files::compare`] finds changed files: those whose identity, size and times are the same are not read.
//! [`registry::compare`] finds changed keys and values.

mod chain;
pub mod content;
pub mod files;
pub mod registry;

pub use chain::ChainBlocks;
