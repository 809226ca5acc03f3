//! From what changed to what a layer holds.
//!
//! [`gather()`] turns the changes between two snapshots into content with everything in it, deletions as whiteouts and
//! tombstones; [`select()`] leaves out what rules drop, and says of every item what became of it and why. What was gathered
//! can be selected from again, with other rules.

mod environment;
mod files;
mod gather;
mod installer;
mod items;
mod layer;
mod metadata;
mod registry;
mod report;
mod select;
mod unread;
mod write;

pub use environment::Variable;
pub use gather::{Gathered, Sides, gather};
pub use installer::Installer;
pub use items::{Change, Items};
pub use layer::{LayerOptions, content};
pub use report::{Captured, Counts, Report};
pub use select::{Selection, select};
pub use write::{write_captured, write_readable};
