//! Merge semantics: who wins, what is hidden and what a write does in a stack of layers, for files and registry keys.
//!
//! * [`registry`]: keys and values, by the layered-key states of Windows.
//!
//! Pure: nothing here reads or writes. `no_std`; only `alloc` is needed. Nothing panics, and nothing recurses.

#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;

mod audit;
mod conflicts;
mod explain;
mod layer;
mod listing;
mod lookup;
mod names;
pub mod order;
mod path;
mod place;
pub mod plan;
pub mod policy;
pub mod registry;
mod sorted_merge;
mod stack;
mod standing;
mod walk;

pub use conflicts::{Agreement, Conflict, Conflicts};
pub use explain::Explanation;
pub use layer::{Kind, Layer};
pub use listing::{Claim, Listed, Listing};
pub use lookup::Resolved;
pub use names::Names;
pub use order::{Attachment, LayerId, Role};
pub use path::NamePath;
pub use place::{Part, Place};
pub use plan::{Plan, PlanError, Refusal, Step};
pub use stack::Stack;
pub use standing::{Hidden, Hiding, Standing};
pub use walk::Walk;
