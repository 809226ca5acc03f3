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

pub mod registry;
