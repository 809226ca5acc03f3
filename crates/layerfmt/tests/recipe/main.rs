//! Recipes: what is read from them, what is built, and what is said of mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;
mod hostile;
mod memory;
mod mistakes;
