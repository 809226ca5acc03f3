//! Commands on stacks of layers, before they are deployed.

pub mod conflicts;
pub mod explain;
mod layers;
